"""`avtool find`: the moments of films that a sentence describes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avtool.cli import options
from avtool.cli.films import each
from avtool.cli.output import as_json, table
from avtool.cli.progress import progress as told
from avtool.cli.talk import talk
from avtool.errors import PartialError


def find(
    films: options.Films,
    sentence: Annotated[str, typer.Argument(help='E.g. "a woman opens a letter".', show_default=False)],
    top: Annotated[int, typer.Option(metavar="N", min=1, help="How many moments.")] = 10,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the thumbnails (default: the films' workspaces)."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="TVTSv2's: vit-b-16, vit-b-32, vit-h-14 or a file."),
    ] = None,
    start: options.Start = None,
    end: options.End = None,
    work: options.Work = None,
    force: options.Force = False,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    progress: options.ProgressMode = "auto",
) -> None:
    """The moments most like a sentence, the best first; scores rank moments, they do not prove any."""
    from avtool import find as finding
    from avtool.perception import open_film

    talk(quiet, verbose)
    encoders = finding.load(finding.weights(weights))
    wanted = finding.vector(sentence, encoders)
    indexed: list[finding.Indexed] = []

    def one(film: Path) -> None:
        with told(progress, film.name) as tell:
            seen = open_film(film, start=start, end=end, work=work, force=force, progress=tell)
            indexed.append(finding.index(seen, encoders, tell))

    failed: PartialError | None = None
    try:
        each(films, one)
    except PartialError as error:
        failed = error
    moments = finding.best(indexed, wanted, top, output)
    if json:
        as_json("find", query=sentence, moments=moments)
    else:
        rows = [
            (number, f"{moment.score:.3f}", moment.film, moment.span, moment.thumbnail)
            for number, moment in enumerate(moments, start=1)
        ]
        table(sentence, ("", "score", "film", "time", "thumbnail"), rows)
    if failed:
        raise failed
