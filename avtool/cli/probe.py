"""`avtool probe`: what a file holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from avtool.cli import options
from avtool.cli.films import each
from avtool.cli.output import as_json, table
from avtool.cli.talk import talk
from avtool.timeline import clock

if TYPE_CHECKING:
    from avtool.media.probe import Probe


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
    apart = ("path", "video", "audio", "subtitles")
    for title, part in ((path.name, film), *((type(s).__name__, s) for s in _streams(film))):
        rows = [(f.name, _told(f.name, getattr(part, f.name))) for f in fields(part) if f.name not in apart]
        table(title, ("", ""), rows)


def _streams(film: Probe) -> list[Any]:
    return [*filter(None, (film.video,)), *film.audio, *film.subtitles]


def _told(name: str, value: Any) -> Any:
    return clock(value) if name in ("start", "duration", "origin") else value
