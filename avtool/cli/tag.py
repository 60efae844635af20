"""`avtool tag`: are these things in the picture, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avtool.cli import options
from avtool.cli.output import as_json, table
from avtool.cli.progress import progress as told


def tag(
    source: Annotated[
        Path, typer.Argument(metavar="FILM|IMAGE", help="A film or a picture.", show_default=False)
    ],
    tags: Annotated[
        str, typer.Option(metavar="WORDS", help="What to look for: 'red car, dog'.", show_default=False)
    ],
    map: Annotated[Path | None, typer.Option(metavar="PNG", help="Draw where each is.")] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least score of what is there.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="TagAlign's weights (default: the imported ones).")
    ] = None,
    start: options.Start = None,
    end: options.End = None,
    work: options.Work = None,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
    progress: options.ProgressMode = "auto",
) -> None:
    """Find things by name in a picture, or in the middle of every shot of a film, and show where they are."""
    from avtool import tag as finding
    from avtool.perception import open_film

    locate = finding.locator(finding.words_of(tags), weights, threshold)
    if source.suffix.lower() in finding.PICTURES:
        sights = [finding.look(locate, finding.read_picture(source), source.name)]
        shown = sights
    else:
        with told("none" if quiet else progress, source.name) as tell:
            seen = open_film(source, start=start, end=end, work=work, progress=tell)
            sights = list(finding.in_film(locate, seen, tell))
        shown = finding.best(sights)
    if map is not None:
        finding.draw(shown, map)
    found = [it for sight in sights for it in sight.found]
    if json:
        as_json("tag", file=source, threshold=locate.protocol.background, tags=found)
        return
    columns = ("tag", "score", "present", "of the picture", "shot", "time")
    rows = [
        (it.word, it.score, "yes" if it.present else "", f"{it.share:.0%}", it.shot, it.span) for it in found
    ]
    if sights and found[0].shot is None:
        columns, rows = columns[:4], [row[:4] for row in rows]
    elif len(sights) > 1:
        rows = [row for row in rows if row[2]]
    table(source.name, columns, rows)
