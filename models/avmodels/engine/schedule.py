"""How a rate moves over the steps of a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Length:
    """How long a run is: its steps, the steps of an epoch, and the clips of a step."""

    total: int
    an_epoch: int
    clips: int


# The learning rate of a step, counted from 0, in a run of some length.
Rate = Callable[[int, Length], float]


def cosine(step: int, total: int, warmup: int, base: float, final: float) -> float:
    """The value at `step`: a line from 0 to `base` over the `warmup` steps, then half a cosine towards `final`,
    which the last step does not quite reach."""
    if step < warmup:
        return base * step / max(warmup - 1, 1)
    return final + 0.5 * (base - final) * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def staircase(epoch: float, steps: tuple[tuple[float, float], ...], warmup: float, start: float) -> float:
    """The factor at a moment, in epochs and their fractions: a line from `start` to that of the end of the
    `warmup`, then the factor of the last of the `steps`, (epoch, factor), that has begun."""
    if epoch < warmup:
        return start + (staircase(warmup, steps, 0, start) - start) * epoch / warmup
    return [factor for begins, factor in steps if begins <= epoch][-1]
