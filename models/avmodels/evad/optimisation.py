"""How fast what is learned."""

from __future__ import annotations

from typing import Any

from torch import nn

from avmodels.nn.layer_decay import decays

# The parts that no checkpoint starts: they learn faster.
NEW_PARTS = ("stages.", "context.")


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
