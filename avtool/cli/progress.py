"""Progress on stderr: a bar with ETA on a terminal, JSON lines for programs, or nothing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from avtool.errors import UsageError
from avtool.timeline import SECOND

if TYPE_CHECKING:
    from avtool.perception import Progress

MODES = ("auto", "json", "none")


@contextmanager
def progress(mode: str, file: str) -> Iterator[Progress | None]:
    """What to hand to the library as `progress` for one film.

    Raises UsageError for a mode that is none of MODES.
    """
    checked(mode)
    if mode == "json":
        yield _json_lines(file)
    elif mode == "auto" and sys.stderr.isatty():
        yield from _bars(file)
    else:
        yield None


def checked(mode: str) -> None:
    """Raises UsageError for a mode that is none of MODES."""
    if mode not in MODES:
        raise UsageError(f"--progress {mode}: known are {', '.join(MODES)}")


def line(stage: str, done: float, total: float, eta: float | None, file: str) -> None:
    """One object on stderr for programs."""
    told = {
        "stage": stage,
        "done": done,
        "total": total,
        "eta_s": None if eta is None else round(eta, 1),
        "file": file,
    }
    print(json.dumps(told), file=sys.stderr, flush=True)


def _json_lines(file: str) -> Progress:
    began: dict[str, float] = {}
    told: dict[str, float] = {}

    def tell(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        began.setdefault(stage, now)
        if done < total and now - told.get(stage, 0) < 0.5:
            return
        told[stage] = now
        eta = (now - began[stage]) * (total - done) / done if done else None
        line(stage, done / SECOND, total / SECOND, eta, file)

    return tell


def _bars(file: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f}%"))
    with Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(f"{file}: {stage}", total=total)
            bars.update(tasks[stage], completed=done)

        yield tell
