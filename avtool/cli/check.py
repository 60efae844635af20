"""`avtool check`: the rules of audio description, held against any script."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avtool.cli import options
from avtool.cli.output import as_json, table
from avtool.cli.progress import progress as told
from avtool.cli.talk import talk
from avtool.errors import Findings


def check(
    script: Annotated[Path, typer.Argument(help="SRT, WebVTT, ASS or DAPT file.")],
    film: Annotated[Path | None, typer.Option("--film", help="The film it describes.")] = None,
    cast: options.CastFile = None,
    subtitles: options.Subtitles = None,
    audio_track: options.AudioTrack = None,
    preset: options.Preset = None,
    settings: options.Set = None,
    work: options.Work = None,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    progress: options.ProgressMode = "auto",
) -> None:
    """Hold a script, yours or avtool's, against the rules AD101-AD218. Exit code 3 where one is broken."""
    from avtool import cast as casts
    from avtool.config import resolve
    from avtool.narrate import style
    from avtool.tracks import subtitles as cues

    talk(quiet, verbose)
    values = resolve(preset, options.pairs(settings))[0]
    descriptions = cues.read(script)
    perceived = None
    if film is not None:
        from avtool.perception import open_film

        with told(progress, film.name) as tell:
            perceived = open_film(
                film,
                settings=values,
                subtitles=subtitles,
                audio_track=audio_track,
                work=work,
                progress=tell,
            ).film()
    findings = style.check(descriptions, perceived, casts.load(cast) if cast else None, values)
    errors = [finding for finding in findings if finding.severity == "E"]
    if json:
        as_json("check", script=str(script), cues=len(descriptions), findings=findings)
    else:
        columns = ("rule", "severity", "cue", "time", "message", "fix", "source")
        rows = [
            (
                finding.rule,
                finding.severity,
                finding.cue,
                finding.span,
                finding.message,
                finding.fix,
                finding.source,
            )
            for finding in findings
        ]
        table(f"{script.name}: {len(descriptions)} cues, {len(findings)} findings", columns, rows)
    if errors:
        raise Findings(f"{script}: {len(errors)} errors in {len(descriptions)} cues")
