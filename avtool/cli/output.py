"""What commands print: a table for people, versioned JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avtool.timeline import Span, clock

PIPED = 160  # columns of a table that goes to a file or another program


def as_json(kind: str, version: int = 1, **content: Any) -> None:
    """One JSON object on stdout; `schema` tells programs what they read."""
    print(
        json.dumps({"schema": f"avtool.{kind}/{version}", **content}, default=_plain, ensure_ascii=False),
        flush=True,
    )


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on stdout."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(_cell(value) for value in row))
    Console(width=None if sys.stdout.isatty() else PIPED).print(grid)


def _cell(value: Any) -> str:
    from rich.markup import escape

    match value:
        case None:
            return ""
        case Span():
            return f"{clock(value.start)} - {clock(value.end)}"
        case float():
            return f"{value:.2f}"
        case Path():
            return escape(str(value))
        case _:
            return escape(str(value))
