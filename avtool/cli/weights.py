"""`avtool weights`: what there is, where it lies, whether it is whole."""

from __future__ import annotations

from typing import Annotated

import typer

from avtool import weights
from avtool.cli import options
from avtool.cli.output import as_json, table
from avtool.errors import Findings, MissingError

app = typer.Typer(help="Weights: list, show, where, pull, verify, import, export.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A name from `avtool weights list`.")]


def installed(name: str) -> bool:
    """Whether the file of this weight is there."""
    try:
        weights.where(name)
    except MissingError:
        return False
    return True


@app.command("list")
def list_(json: options.AsJson = False) -> None:
    """Every weight, and whether it is installed."""
    entries = list(weights.index().values())
    if json:
        as_json("weights", weights=entries)
        return
    rows = [
        (
            entry.name,
            entry.job,
            entry.package or entry.source,
            entry.licence,
            "yes" if installed(entry.name) else "no",
        )
        for entry in entries
    ]
    table("weights", ("name", "job", "comes with", "licence", "installed"), rows)


@app.command()
def show(name: Name) -> None:
    """One weight: source, hash, licence, what it was trained on."""
    entry = weights.known(name)
    table(name, ("", ""), [(field, getattr(entry, field)) for field in entry.__dataclass_fields__])


@app.command()
def where(name: Name) -> None:
    """Print the file of a weight."""
    print(weights.where(name))


@app.command()
def pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names from `avtool weights list`.")],
) -> None:
    """Fetch weights from their hub: the one command that opens a connection."""
    for name in names:
        print(weights.pull(name))


@app.command()
def verify(json: options.AsJson = False) -> None:
    """Compare every installed weight with the hash of the index."""
    whole = {name: weights.verify(name) for name in weights.index() if installed(name)}
    if json:
        as_json("weights-verify", weights=whole)
    else:
        table("weights", ("name", "whole"), [(name, "yes" if good else "NO") for name, good in whole.items()])
    broken = [name for name, good in whole.items() if not good]
    if broken:
        raise Findings(f"damaged weights: {', '.join(broken)}; install their packages again")
