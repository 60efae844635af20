"""Which parameters decay, and how fast each layer learns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import nn

# Tokens and tables that belong to the input, whatever their number of dimensions.
INPUT_TOKENS = ("pos_embed", "cls_token", "mask_token")


def layer_of(name: str, depth: int) -> int:
    """The layer a plain ViT's parameter belongs to: 0 for the input, k + 1 for block k, depth + 1 for the rest."""
    if name.startswith("patch_embed") or name in INPUT_TOKENS:
        return 0
    block = re.match(r"blocks\.(\d+)\.", name)
    return int(block[1]) + 1 if block else depth + 1


def decays(name: str, dimensions: int, no_decay: Iterable[str] = INPUT_TOKENS) -> bool:
    """Whether weight decay applies: not to vectors, biases, scales, nor the names in `no_decay`."""
    return dimensions > 1 and not name.endswith((".bias", ".scale")) and name not in no_decay


def layer_groups(
    model: nn.Module, depth: int, layer_decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Optimiser groups, one for each layer and kind of decay, in the order of the parameters.

    Each has `params`, `weight_decay` and `lr_scale` = layer_decay ^ (depth + 1 - layer): the later the layer,
    the faster it learns (BEiT, arXiv 2106.08254). A layer_decay of 1 makes two groups.
    """
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        scale = layer_decay ** (depth + 1 - layer_of(name, depth))
        decay = weight_decay if decays(name, parameter.ndim) else 0.0
        group = groups.setdefault((scale, decay), {"params": [], "weight_decay": decay, "lr_scale": scale})
        group["params"].append(parameter)
    return list(groups.values())
