"""`avtool describe`: the main job."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avtool.cli import options
from avtool.cli.films import expand
from avtool.cli.library import EngineName, through
from avtool.cli.output import as_json, table
from avtool.cli.progress import progress as told
from avtool.cli.talk import talk
from avtool.cli.voice import Default, Extended, Hls, Mux, show
from avtool.errors import UsageError
from avtool.workspace import refuse_input, writable

if TYPE_CHECKING:
    from avtool.library.order import Order
    from avtool.tracks.script import Script

TEMPLATE = "{stem}.{lang}.ad.{ext}"


def describe(
    films: options.Films,
    cast: options.CastFile = None,
    cast_dir: Annotated[
        Path | None, typer.Option(help="Folder with a cast file for each film: NAME.json for NAME.mkv.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help=f"File, folder or template (default: {TEMPLATE} beside the film)."
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", help="srt, vtt, ass, dapt or json; may be repeated (default: srt and json)."
        ),
    ] = None,
    subtitles: options.Subtitles = None,
    audio_track: options.AudioTrack = None,
    preset: options.Preset = None,
    settings: options.Set = None,
    narrator: options.Narrator = None,
    characters: options.Characters = None,
    start: options.Start = None,
    end: options.End = None,
    allow_outside: options.AllowOutside = False,
    spoken: Annotated[
        bool, typer.Option("--voice", help="Speak it too; `--set voice=...` chooses the voice.")
    ] = False,
    mux: Mux = False,
    default: Default = False,
    hls: Hls = False,
    extended: Extended = False,
    work: options.Work = None,
    force: options.Force = False,
    engine: EngineName = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Several films: how many at a time here (default: as cores and memory allow)."
        ),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster (default: one begun on this machine).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done, and how long.")
    ] = False,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    progress: options.ProgressMode = "auto",
) -> None:
    """Write a timed audio-description track for each film."""
    from avtool.config import resolve
    from avtool.describe import refuse_described
    from avtool.library.order import Order, deliver
    from avtool.perception import open_film

    talk(quiet, verbose)
    values = resolve(preset, options.pairs(settings, narrator=narrator, characters=characters))[0]
    kinds = formats or _kinds_of(output)
    spoken = spoken or mux or hls or extended
    voice = (
        {"audio_track": audio_track, "mux": mux, "default": default, "hls": hls, "extended": extended}
        if spoken
        else None
    )
    several = expand(films)
    if cast and cast_dir:
        raise UsageError("--cast is for every film, --cast-dir has one for each: choose one of them")

    def order(film: Path) -> Order:
        alone = len(several) == 1 and len(kinds) == 1
        files = {kind: destination(film, kind, output, values.language, alone) for kind in kinds}
        asked: dict[str, Any] = {
            "cast": _cast_of(film, cast_dir) if cast_dir else cast,
            "settings": values,
            "subtitles": subtitles,
            "audio_track": audio_track,
            "start": start,
            "end": end,
            "work": work,
            "allow_outside": allow_outside,
        }
        return Order(film, asked, files, voice, force)

    orders = [order(film) for film in several]
    for one in orders if not dry_run else ():
        for file in one.files.values():
            refuse_input(file, *several, *(given for given in (one.asked["cast"], subtitles) if given))
            writable(file)
    if dry_run:
        for one in orders:
            _tell_plan(one)
    elif len(orders) == 1:
        [one] = orders
        with told(progress, one.film.name) as tell:
            seen = open_film(one.film, force=force, progress=tell, **one.asked)
            if not force:
                refuse_described(seen.source)
            script, voiced = deliver(one, seen)
        _show(script, one.film, [*one.files.values()], json, quiet)
        if voiced:
            show(voiced, one.film, json, quiet)
    else:
        through(orders, engine, workers, address, progress, json, quiet)


def _cast_of(film: Path, folder: Path) -> Path | None:
    """The film's own cast file in `folder`; None, and a warning, where there is none."""
    file = folder / f"{film.stem}.json"
    if not folder.is_dir():
        raise UsageError(f"--cast-dir {folder} is no folder")
    if file.is_file():
        return file
    logging.getLogger("avtool").warning("%s has no cast file %s: nobody in it is named", film.name, file)
    return None


def _kinds_of(output: str | None) -> list[str]:
    from avtool.tracks import FORMATS

    suffix = Path(output).suffix.lstrip(".") if output else ""
    return [suffix] if suffix in FORMATS else ["srt", "json"]


def destination(film: Path, kind: str, output: str | None, language: str, alone: bool) -> Path:
    """Where the track of `kind` goes. `alone`: it is the only file, so `output` may name it.

    Raises UsageError for a format nobody knows and a template that does not fit.
    """
    from avtool.tracks import extension

    names = {"stem": film.stem, "lang": language, "ext": extension(kind)}
    if output is None:
        return film.with_name(TEMPLATE.format(**names))
    if "{" in output:
        try:
            return Path(output.format(**names))
        except (KeyError, ValueError, IndexError) as error:
            raise UsageError(f"-o {output}: a template may hold {{stem}}, {{lang}} and {{ext}}") from error
    path = Path(output)
    if alone and not path.is_dir() and not output.endswith("/"):
        return path
    if path.is_file():
        raise UsageError(f"-o {output} is a file, but several files are to be written; name a folder")
    return path / TEMPLATE.format(**names)


# Seconds a second of film takes on two cores (bench/describe.py).
_COST = {"speech": 0.03, "shots": 0.06, "looks": 0.01, "people": 0.20, "tags": 0.05, "texts": 0.04}


def _tell_plan(order: Order) -> None:
    from avtool.perception import open_film

    seen = open_film(order.film, force=order.force, **order.asked)
    rows = [
        (stage, "done" if done else f"about {_COST.get(stage, 0) * seen.span.seconds + 0.5:.0f} s")
        for stage, done in seen.stages()
    ]
    writes = [("write", file) for file in order.files.values()]
    table(f"{order.film.name}: plan", ("stage", "time"), [*rows, *writes])


def _show(script: Script, film: Path, files: list[Path], json: bool, quiet: bool) -> None:
    if json:
        as_json(
            "describe",
            film=str(film),
            files=[str(file) for file in files],
            descriptions=script.descriptions,
            dropped=script.dropped,
            findings=script.findings,
            report=script.report,
        )
        return
    if quiet:
        return
    columns = ("cue", "time", "description")
    rows = [(cue.id, cue.span, cue.text) for cue in script.descriptions]
    table(f"{film.name}: {len(rows)} descriptions", columns, rows)
    for line in script.report:
        print(line)
    for file in files:
        print(file)
