"""`avtool stats`: where the time and the memory went."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer

from avtool import ledger
from avtool.cli import options
from avtool.cli.output import as_json, table
from avtool.errors import UsageError


def stats(
    work: Annotated[
        Path | None, typer.Argument(help="Folder of workspaces, or one of them (default: in your cache).")
    ] = None,
    json: options.AsJson = False,
) -> None:
    """Time and peak memory of every stage of the films described so far."""
    from avtool.workspace import local

    folder = work or local()
    taken = ledger.read(folder)
    if not taken:
        raise UsageError(f"no film was described in {folder} yet; name the folder given as --work")
    if json:
        as_json("stats", stages=taken)
        return
    by_film: defaultdict[str, list[ledger.Taken]] = defaultdict(list)
    for one in taken:
        by_film[one.film].append(one)
    rows = []
    for film, stages in by_film.items():
        for one in stages:
            rows.append((Path(film).name, one.stage, *_row(one.seconds, one.processor, one.peak), one.host))
        seconds, processor = (sum(getattr(one, it) for one in stages) for it in ("seconds", "processor"))
        length = max(one.film_seconds for one in stages)
        told = f"of {length:.0f} s of film"
        rows.append(
            (Path(film).name, "all", *_row(seconds, processor, max(one.peak for one in stages)), told)
        )
    table(str(folder), ("film", "stage", "seconds", "processor", "peak MB", ""), rows)


def _row(seconds: float, processor: float, peak: float) -> tuple[str, str, str]:
    return f"{seconds:.1f}", f"{processor:.1f}", f"{peak:.0f}"
