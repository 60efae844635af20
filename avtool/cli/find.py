"""`avtool find`: the moments of films that a sentence describes, or that show what makes a sound."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from avtool.cli import options
from avtool.cli.films import each
from avtool.cli.output import as_json, table
from avtool.cli.progress import progress as told
from avtool.cli.talk import talk
from avtool.errors import PartialError, UsageError


def find(
    films: Annotated[
        list[str] | None, typer.Argument(help="Films: files, folders or globs.", show_default=False)
    ] = None,
    sentence: Annotated[
        str | None, typer.Argument(help='E.g. "a woman opens a letter".', show_default=False)
    ] = None,
    sound: Annotated[
        Path | None,
        typer.Option(
            metavar="CLIP", help="Find what makes the sound in this file; then there is no SENTENCE."
        ),
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="How many moments.")] = 10,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the thumbnails (default: the films' workspaces)."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="TVTSv2's (vit-b-16, vit-b-32, vit-h-14), or Speed Co-Augmentation's for a sound, or a file.",
        ),
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
    """The moments most like a sentence, or that look most like a sound's source, the best first; scores rank
    moments, they do not prove any."""
    from avtool import find as finding
    from avtool import sights
    from avtool.perception import open_film

    talk(quiet, verbose)
    named = list(films or ())
    if sound is not None:
        # The parser takes the last name for a sentence.
        named += [sentence] if sentence else []
        if not named:
            raise UsageError("name the films to look through: FILM --sound CLIP")
        network = sights.load(sights.weights(weights))
        what, wanted = sound.name, sights.vector(sound, network)
        index = partial(sights.index, network=network)
    elif named and sentence:
        encoders = finding.load(finding.weights(weights))
        what, wanted = sentence, finding.vector(sentence, encoders)
        index = partial(finding.index, encoders=encoders)
    else:
        raise UsageError('say what to find: FILM "a woman opens a letter", or FILM --sound CLIP')
    indexed: list[finding.Indexed] = []

    def one(film: Path) -> None:
        with told(progress, film.name) as tell:
            seen = open_film(film, start=start, end=end, work=work, force=force, progress=tell)
            indexed.append(index(seen, progress=tell))

    failed: PartialError | None = None
    try:
        each(named, one)
    except PartialError as error:
        failed = error
    moments = finding.best(indexed, wanted, top, output)
    if json:
        as_json("find", query=what, moments=moments)
    else:
        rows = [
            (number, f"{moment.score:.3f}", moment.film, moment.span, moment.thumbnail)
            for number, moment in enumerate(moments, start=1)
        ]
        table(what, ("", "score", "film", "time", "thumbnail"), rows)
    if failed:
        raise failed
