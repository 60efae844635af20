"""Where the time of one version of a film lies in another."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avtool.timeline import SECOND, Span
from avtool.tracks import files


class Piece(NamedTuple):
    """A stretch of the old version, and where it lies in the new one; inside it time runs evenly."""

    old: Span
    new: Span

    def at(self, time: int) -> int:
        """Where `time` of the old version, inside the piece or at its end, is in the new one."""
        return self.new.start + (time - self.old.start) * self.new.duration // max(1, self.old.duration)


@dataclass(frozen=True, slots=True)
class TimeMap:
    """The pieces that both versions have, in order; what lies between them is in one of the two only."""

    pieces: tuple[Piece, ...]

    def at(self, time: int) -> int | None:
        """Where `time` of the old version is in the new one; None where it was cut out."""
        place = bisect_right(self.pieces, time, key=lambda piece: piece.old.start) - 1
        if place < 0 or time > self.pieces[place].old.end:
            return None
        return self.pieces[place].at(time)

    def span(self, span: Span) -> Span | None:
        """Where what is left of `span` is in the new version; None where all of it was cut out."""
        parts = [(piece, part) for piece in self.pieces if (part := piece.old.clip(span))]
        if not parts:
            return None
        (first, begin), (last, end) = parts[0], parts[-1]
        return Span(first.at(begin.start), last.at(end.end))

    def back(self, times: np.ndarray) -> np.ndarray:
        """Where `times` (microseconds) of the new version come from; what is new there, from the time before it."""
        new = [time for piece in self.pieces for time in (piece.new.start, piece.new.end)]
        old = [time for piece in self.pieces for time in (piece.old.start, piece.old.end)]
        return np.interp(times, new, old)


def write(times: TimeMap, path: Path) -> None:
    """Write the map as JSON, in seconds. Raises UsageError and ResourceError as `files.save` does."""
    pieces = [
        {
            "old": [piece.old.start / SECOND, piece.old.end / SECOND],
            "new": [piece.new.start / SECOND, piece.new.end / SECOND],
        }
        for piece in times.pieces
    ]
    files.save(path, json.dumps({"schema": "avtool.timemap/1", "pieces": pieces}, indent=1) + "\n")
