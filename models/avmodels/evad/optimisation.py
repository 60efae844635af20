"""How fast what is learned, and when."""

from __future__ import annotations

from typing import Any

from torch import nn

from avmodels.evad.config import Schedule
from avmodels.nn.layer_decay import decays

# The parts that no checkpoint starts: they learn faster.
NEW_PARTS = ("stages.", "context.")


def learning_rate(epoch: float, schedule: Schedule) -> float:
    """The rate at a moment of training, in epochs and their fractions: a line up to the end of the warm-up,
    then the step that has begun last."""
    if epoch < schedule.warmup_epochs:
        reached = learning_rate(schedule.warmup_epochs, schedule)
        return schedule.warmup_lr + (reached - schedule.warmup_lr) * epoch / schedule.warmup_epochs
    return schedule.lr * [factor for start, factor in schedule.steps if start <= epoch][-1]


def parameter_groups(model: nn.Module, weight_decay: float, new_scale: float) -> list[dict[str, Any]]:
    """Optimiser groups with `params`, `weight_decay` and `lr_scale`: `new_scale` for stages and decoder.

    Vectors, biases and the mask token do not decay.
    """
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        scale = new_scale if name.startswith(NEW_PARTS) else 1.0
        decay = weight_decay if decays(name, parameter.ndim, ("context.mask_token",)) else 0.0
        group = groups.setdefault((scale, decay), {"params": [], "weight_decay": decay, "lr_scale": scale})
        group["params"].append(parameter)
    return list(groups.values())
