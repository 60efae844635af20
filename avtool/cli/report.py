"""`avtool report`: what was perceived, told and left out, to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avtool.cli import options
from avtool.cli.talk import talk
from avtool.workspace import refuse_input


def report(
    project: Annotated[Path, typer.Argument(help="The project file (JSON) that `avtool describe` wrote.")],
    film: Annotated[
        Path | None, typer.Argument(help="The film, where it is not where it was described.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write (default: beside the project file).")
    ] = None,
    png: Annotated[bool, typer.Option("--png", help="The film strip alone, as a picture.")] = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write one self-contained HTML page: film strip, descriptions with their facts, people, findings."""
    from avtool.media.probe import probe
    from avtool.report import page, strip
    from avtool.tracks import script as scripts

    talk(quiet, verbose)
    script = scripts.read(project)
    path = output or project.with_suffix(".png" if png else ".html")
    source = probe(film or script.film.path)
    refuse_input(path, project, source.path)
    (strip.draw if png else page.write)(script, source, path)
    if not quiet:
        print(path)
