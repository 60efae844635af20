"""How far the programme steps back under each description: depths, fades, and the curve they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avtool.timeline import SECOND, Span
from avtool.tracks.loudness import NOTHING, Levels

# The numbers of spec 5.2; levels in dB or LU, times in microseconds.
SHALLOWEST, DEEPEST = 4.0, 18.0
CLEAR, CLEAR_LEAST = 10.0, 6.0  # narration above the ducked programme: aimed at, and never less
FADE_DOWN, FADE_UP = 300_000, 600_000
TOGETHER = SECOND  # between two descriptions: shorter, and the programme stays down
QUICKEST = 20_000  # a fade is not shorter, that it does not click


@dataclass(frozen=True, slots=True)
class Duck:
    """One description's place in the mix: the programme goes `depth` dB down, the clip is `gain` dB up."""

    span: Span
    depth: float
    gain: float
    down: int = FADE_DOWN  # microseconds before the first word
    up: int = FADE_UP  # microseconds after the last


def duck(spans: Sequence[Span], levels: Levels) -> list[Duck]:
    """A duck for each of `spans` (in order): deep enough for the narration to be heard above the programme.

    Fades keep off the dialogue. A duck's `gain` is relative to the narration's level.
    """
    ducks = []
    for span in spans:
        background = levels.programme.during([span])
        depth = float(np.clip(CLEAR - (levels.narration - background), SHALLOWEST, DEEPEST))
        gain = max(0.0, CLEAR_LEAST - (levels.narration - (background - depth)))
        before = max((one.end for one in levels.dialogue if one.end <= span.start), default=-FADE_DOWN)
        after = min(
            (one.start for one in levels.dialogue if one.start >= span.end), default=span.end + FADE_UP
        )
        ducks.append(
            Duck(
                span,
                depth if background > NOTHING else 0.0,
                gain,
                down=min(FADE_DOWN, max(QUICKEST, span.start - before)),
                up=min(FADE_UP, max(QUICKEST, after - span.end)),
            )
        )
    return ducks


def curve(ducks: Sequence[Duck]) -> list[tuple[int, float]]:
    """The programme's gain: (microseconds, dB) in order, straight lines in dB between them, flat outside."""
    points: list[tuple[int, float]] = []
    for number, one in enumerate(ducks):
        if number == 0 or one.span.start - ducks[number - 1].span.end >= TOGETHER:
            points.append((max(0, one.span.start - one.down), 0.0))
        points += [(one.span.start, -one.depth), (one.span.end, -one.depth)]
        if number + 1 == len(ducks) or ducks[number + 1].span.start - one.span.end >= TOGETHER:
            points.append((one.span.end + one.up, 0.0))
    return points


def gains(points: Sequence[tuple[int, float]], times: np.ndarray) -> np.ndarray:
    """The curve in dB at `times` (microseconds)."""
    if not points:
        return np.zeros(len(times))
    at, values = zip(*points, strict=True)
    return np.interp(times, at, values)
