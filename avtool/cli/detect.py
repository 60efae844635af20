"""`avtool detect`: who is where and does what, second by second."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from avtool.cli import options
from avtool.cli.films import each, expand
from avtool.cli.output import as_json, table
from avtool.cli.progress import progress as told
from avtool.cli.talk import talk
from avtool.errors import UsageError
from avtool.timeline import clock


def detect(
    films: options.Films,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|evad/VARIANT|embedded",
            help="Of EVAD, or the embedded detector (default: the best imported that were trained on AVA, else embedded).",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Least score of an action that is told.")
    ] = 0.5,
    csv: Annotated[bool, typer.Option("--csv", help="Print csv, one row a person and second.")] = False,
    ava: Annotated[Path | None, typer.Option(metavar="FILE", help="Write AVA's csv, every score.")] = None,
    coco: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write JSON as COCO's video sets have it.")
    ] = None,
    render: Annotated[
        Path | None, typer.Option(metavar="FILE.mp4", help="Write the film with boxes drawn.")
    ] = None,
    short_side: Annotated[
        int | None,
        typer.Option(metavar="PIXELS", help="Of the picture EVAD sees (default: as trained, 288)."),
    ] = None,
    precision: Annotated[str, typer.Option(metavar="bf16|fp32", help="Of the arithmetic.")] = "bf16",
    start: options.Start = None,
    end: options.End = None,
    work: options.Work = None,
    force: options.Force = False,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    progress: options.ProgressMode = "auto",
) -> None:
    """Who is where and does what, at every whole second, followed within each shot."""
    talk(quiet, verbose)
    if precision not in ("bf16", "fp32"):
        raise UsageError(f"--precision {precision}: known are bf16, fp32")
    if any((ava, coco, render)) and len(expand(films)) > 1:
        raise UsageError("--ava, --coco and --render write one film's file; give one film")

    def one(film: Path) -> None:
        from avtool import detections
        from avtool.detect import detect

        with told(progress, film.name) as tell:
            found = detect(
                film,
                weights=weights,
                short_side=short_side,
                precision="fp32" if precision == "fp32" else "bf16",
                start=start,
                end=end,
                work=work,
                force=force,
                progress=tell,
            )
        if not quiet:
            print(f"{film.name}: people by {found.by}", file=sys.stderr)
        if ava:
            detections.write_ava(found, ava)
        if coco:
            detections.write_coco(found, coco)
        if render:
            from avtool.render import render as draw

            draw(found, threshold, render)
        if json:
            as_json("detect", film=str(film), by=found.by, keyframes=detections.by_keyframe(found, threshold))
        elif csv:
            detections.write_table(found, threshold, sys.stdout)
        else:
            rows = [
                (
                    clock(one.time),
                    one.shot,
                    one.track,
                    one.score,
                    " ".join(f"{side:.2f}" for side in one.box),
                    detections.told(found.doing(one, threshold)),
                )
                for one in found.people
            ]
            table(f"{film.name}: people", ("time", "shot", "track", "person", "x0 y0 x1 y1", "does"), rows)

    each(films, one)
