"""`avtool retime`: a script moved to another cut of its film."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from avtool.cli import options
from avtool.cli.output import as_json, table
from avtool.cli.talk import talk
from avtool.errors import Findings, UsageError
from avtool.timeline import SECOND
from avtool.workspace import refuse_input

Format = Literal["srt", "vtt", "ass"]
FORMATS: tuple[Format, ...] = ("srt", "vtt", "ass")


def retime(
    script: Annotated[Path, typer.Argument(help="SRT, WebVTT, ASS, DAPT or project file, timed to OLD.")],
    old: Annotated[Path, typer.Argument(help="The film that the script was written for.")],
    new: Annotated[Path, typer.Argument(help="Another cut of it.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="SRT, WebVTT or ASS file (default: beside the script)."),
    ] = None,
    preset: options.Preset = None,
    settings: options.Set = None,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Move a script to another cut of its film by aligning their sound. Exit code 3 where cues were cut out."""
    from avtool.config import resolve
    from avtool.retime import retime
    from avtool.tracks import subtitles

    talk(quiet, verbose)
    values = resolve(preset, options.pairs(settings))[0]
    path = output or script.with_name(
        f"{script.stem}.retimed{script.suffix if script.suffix in ('.vtt', '.ass') else '.srt'}"
    )
    format: Format | None = next((one for one in FORMATS if path.suffix.lower() == f".{one}"), None)
    if format is None:
        raise UsageError(f"-o {path}: a script is retimed into .srt, .vtt or .ass; choose one of these")
    refuse_input(path, script, old, new)
    cues = subtitles.read(script)
    moved = retime(cues, old, new)
    subtitles.write(moved.cues, path, format, values.language)
    if json:
        as_json("retime", file=str(path), pieces=moved.times.pieces, cues=moved.cues, lost=moved.lost)
    elif not quiet:
        rows = [(one.old, one.new, (one.new.start - one.old.start) / SECOND) for one in moved.times.pieces]
        table(f"{new.name}: {len(rows)} stretches of {old.name}", ("old", "new", "shift in s"), rows)
        if moved.lost:
            lost = [(cue.id, cue.span, cue.text) for cue in moved.lost]
            table(f"{len(lost)} cues were cut out", ("cue", "time in the old film", "text"), lost)
        print(path)
    if moved.lost:
        raise Findings(f"{script}: {len(moved.lost)} of {len(cues)} cues are in no part that {new.name} has")
