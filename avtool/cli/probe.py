"""`avtool probe`: what a file holds."""

from __future__ import annotations

from pathlib import Path

from avtool.cli import options
from avtool.cli.films import each
from avtool.cli.output import as_json, table
from avtool.cli.talk import talk


def probe(
    films: options.Films,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """What a file holds: streams, clock, rotation, colour, sound, chapters, subtitles, existing AD."""
    talk(quiet, verbose)
    each(films, lambda film: _show(film, json))


def _show(path: Path, json: bool) -> None:
    from dataclasses import fields

    from avtool.media.probe import probe

    film = probe(path)
    if json:
        as_json("probe", film=film)
        return
    whole = [
        (field.name, getattr(film, field.name))
        for field in fields(film)
        if field.name not in ("path", "video", "audio", "subtitles")
    ]
    table(path.name, ("", ""), whole)
    streams = [film.video, *film.audio, *film.subtitles]
    for stream in filter(None, streams):
        rows = [(field.name, getattr(stream, field.name)) for field in fields(stream)]
        table(type(stream).__name__, ("", ""), rows)
