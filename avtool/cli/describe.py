"""`avtool describe`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avtool.cli import options
from avtool.cli.films import each, expand
from avtool.cli.output import as_json, table
from avtool.cli.progress import progress as told
from avtool.cli.talk import talk
from avtool.cli.voice import Extended, Hls, Mux, show
from avtool.errors import UsageError
from avtool.workspace import writable

if TYPE_CHECKING:
    from avtool.tracks.script import Script

TEMPLATE = "{stem}.{lang}.ad.{ext}"


def describe(
    films: options.Films,
    cast: options.CastFile = None,
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
    start: options.Start = None,
    end: options.End = None,
    allow_outside: options.AllowOutside = False,
    spoken: Annotated[
        bool, typer.Option("--voice", help="Speak it too; `--set voice=...` chooses the voice.")
    ] = False,
    mux: Mux = False,
    hls: Hls = False,
    extended: Extended = False,
    work: options.Work = None,
    force: options.Force = False,
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
    from avtool.describe import describe

    talk(quiet, verbose)
    values = resolve(preset, options.pairs(settings))[0]
    kinds = formats or _kinds_of(output)
    asked: dict[str, Any] = {
        "cast": cast,
        "settings": values,
        "subtitles": subtitles,
        "audio_track": audio_track,
        "start": start,
        "end": end,
        "work": work,
        "force": force,
        "allow_outside": allow_outside,
    }
    spoken = spoken or mux or hls or extended
    single = len(expand(films)) == 1

    def one(film: Path) -> None:
        from avtool.perception import open_film
        from avtool.speak import speak
        from avtool.tracks import write

        files = [
            destination(film, kind, output, values.language, single and len(kinds) == 1) for kind in kinds
        ]
        if dry_run:
            _tell_plan(film, files, asked)
            return
        for file in files:
            writable(file)
        with told(progress, film.name) as tell:
            script = describe(film, voiced=spoken, progress=tell, **asked)
        for kind, file in zip(kinds, files, strict=True):
            write(script, file, kind)
        _show(script, film, files, json, quiet)
        if spoken:
            seen = open_film(film, **{**asked, "force": False})
            done = speak(
                script.descriptions,
                seen,
                files[0].parent,
                waiting=script.waiting,
                audio_track=audio_track,
                mux=mux,
                hls=hls,
                extended=extended,
            )
            show(done, film, json, quiet)

    each(films, one)


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


def _tell_plan(film: Path, files: list[Path], asked: dict[str, Any]) -> None:
    from avtool.perception import open_film

    seen = open_film(film, **asked)
    rows = [
        (stage, "done" if done else f"about {_COST.get(stage, 0) * seen.span.seconds + 0.5:.0f} s")
        for stage, done in seen.stages()
    ]
    table(f"{film.name}: plan", ("stage", "time"), [*rows, *(("write", file) for file in files)])


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
