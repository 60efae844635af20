"""`avtool tags`: what each shot shows as a whole, by the embedded network or any classifier of the model library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avtool.cli import options, stages
from avtool.cli.films import each
from avtool.cli.progress import progress as told
from avtool.cli.talk import talk


def tags(
    films: Annotated[
        list[str],
        typer.Argument(
            help="Films: files, folders or globs; with a backbone also pictures.", show_default=False
        ),
    ],
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="SYSTEM/VARIANT", help="A classifier of the model library, e.g. sparseformer/v1-tiny."
        ),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Its weights (default: the imported ones).")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Least mean probability of what a backbone tells (default: 0.5)."),
    ] = None,
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the backbone.")
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
    """What each shot shows as a whole."""
    talk(quiet, verbose)
    asked = {"start": start, "end": end, "work": work, "force": force}
    if backbone is None:
        if weights or set or threshold is not None:
            raise typer.BadParameter("--weights, --threshold and --set are of a --backbone: name one")
        each(films, lambda film: stages.show(stages.TAGS, film, json, progress, asked))
        return

    from avtool import recognise
    from avtool.perception import open_film
    from avtool.tag import PICTURES

    recogniser, digest = recognise.open_backbone(backbone, weights, set or ())
    least = recognise.LEAST if threshold is None else threshold

    def one(film: Path) -> None:
        if film.suffix.lower() in PICTURES:
            found = recognise.in_picture(film, recogniser, least)
        else:
            with told(progress, film.name) as tell:
                seen = open_film(film, progress=tell, **asked)
                found = recognise.in_film(seen, recogniser, digest, least, tell)
        stages.show_records(stages.TAGS, film, found, json)

    each(films, one)
