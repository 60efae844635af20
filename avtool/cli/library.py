"""Many films at a time: the engine that is asked for, progress over all, and a summary."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from avtool.cli.output import as_json, table
from avtool.cli.progress import checked, line
from avtool.errors import PartialError, UsageError

if TYPE_CHECKING:
    from avtool.library.order import Order
    from avtool.library.run import Engine, Outcome, Tell

EngineName = Annotated[
    Literal["local", "ray"], typer.Option(help="Several films: on this machine's cores, or on a Ray cluster.")
]


def through(
    orders: Sequence[Order],
    engine: Literal["local", "ray"],
    workers: int | None,
    address: str | None,
    progress: str,
    json: bool,
    quiet: bool,
) -> None:
    """Work through `orders` and tell what became of each film.

    Raises PartialError where some failed, UsageError for an engine that cannot be had.
    """
    from avtool.library.run import Aside, work_through

    if engine == "local" and address:
        raise UsageError("--address is of a Ray cluster: add --engine ray")
    aside = Aside(_books(orders[0]) / "set-aside.json")
    began = time.monotonic()
    hands = _engine(engine, workers, address)
    try:
        with _told(progress) as tell:
            outcomes = work_through(orders, hands, aside, tell)
    finally:
        hands.close()
    _show(outcomes, time.monotonic() - began, json, quiet)
    bad = [outcome for outcome in outcomes if not outcome.good]
    if bad:
        told = "; ".join(f"{outcome.order.film}: {outcome.reason}" for outcome in bad)
        raise PartialError(f"{len(bad)} of {len(outcomes)} films failed: {told}")


def _engine(name: Literal["local", "ray"], workers: int | None, address: str | None) -> Engine:
    if name == "ray":
        from avtool.library.cluster import Cluster

        return Cluster(address)
    from avtool.library.workers import Workers, room

    return Workers(workers or room())


def _books(order: Order) -> Path:
    """Where it is kept which films are set aside: beside the workspaces."""
    from avtool.workspace import local

    return local(order.asked["work"])


@contextmanager
def _told(mode: str) -> Iterator[Tell | None]:
    """Progress over the whole library, as `avtool.cli.progress` tells that of one film."""
    checked(mode)
    began = time.monotonic()

    def eta(done: int, total: int) -> float | None:
        return (time.monotonic() - began) * (total - done) / done if done else None

    if mode == "json":
        yield lambda done, total: line("library", done, total, eta(done, total), "")
    elif mode == "auto" and sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("library"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        yield None


def _show(outcomes: Sequence[Outcome], took: float, json: bool, quiet: bool) -> None:
    if json:
        films = [
            {
                "film": str(outcome.order.film),
                "state": outcome.state,
                "reason": outcome.reason or None,
                "files": [str(file) for file in outcome.order.files.values()] if outcome.good else [],
                "descriptions": outcome.descriptions,
                "seconds": round(outcome.duration, 3),
                "took": round(outcome.took, 1),
            }
            for outcome in outcomes
        ]
        as_json("library", films=films, took=round(took, 1))
        return
    if quiet:
        return
    rows = [
        (
            outcome.order.film,
            outcome.state,
            outcome.descriptions,
            f"{outcome.duration:.0f} s" if outcome.duration else "",
            f"{outcome.took:.0f} s" if outcome.took else "",
            outcome.reason,
        )
        for outcome in outcomes
    ]
    good, watched = sum(outcome.good for outcome in outcomes), sum(outcome.duration for outcome in outcomes)
    table(
        f"{good} of {len(outcomes)} films in {took:.0f} s; {watched / 60:.1f} minutes of film",
        ("film", "", "descriptions", "length", "took", "why"),
        rows,
    )
