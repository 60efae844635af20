"""How the networks descend: published rates and groups."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from avmodels.engine.descent import Descent
from avmodels.engine.schedule import Length
from avmodels.groupmixformer.config import Steepness
from avmodels.nn.layer_decay import layer_groups

# Images of a step that published rates are for.
STEP = 512


def rate(update: int, total: int, warmup: int, base: float, start: float, final: float) -> float:
    """The rate once `update` of `total` updates are done: a line from `start` to `base` over the `warmup`, then
    a cosine to `final`.

    The cosine is counted from the very first update, so that the rate falls a little where the warm-up ends.
    """
    if update < warmup:
        return start + (base - start) * update / warmup
    if update >= total:
        return final
    return final + 0.5 * (base - final) * (1 + math.cos(math.pi * update / total))


def adamw(how: Steepness) -> Descent:
    """AdamW; its rate grows with the images of a step.

    The published code tells the optimiser the rate after each step, so that a step has the one of the step before,
    and the first two have the warm-up's start.
    """

    def optimiser(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups, lr=0.0, betas=how.betas, eps=how.eps)

    def of_step(step: int, length: Length) -> float:
        warmup = int(how.warmup_epochs * length.an_epoch)
        update = max(step - 1, 0)
        return rate(update, length.total, warmup, how.lr, how.warmup_lr, how.final_lr) * length.clips / STEP

    return Descent(optimiser, of_step, how.clip)


def groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two optimiser groups: vectors and biases do not decay."""
    return layer_groups(model, 0, 1.0, weight_decay)
