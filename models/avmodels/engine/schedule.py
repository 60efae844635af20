"""How a rate moves over the steps of a run."""

from __future__ import annotations

import math


def cosine(step: int, total: int, warmup: int, base: float, final: float) -> float:
    """The value at `step`: a line from 0 to `base` over the `warmup` steps, then half a cosine towards `final`,
    which the last step does not quite reach."""
    if step < warmup:
        return base * step / max(warmup - 1, 1)
    return final + 0.5 * (base - final) * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
