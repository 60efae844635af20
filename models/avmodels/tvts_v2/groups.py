"""Which parameters are trained, how fast, and which decay."""

from __future__ import annotations

from typing import Any

from torch import nn

from avmodels.tvts_v2.model import TVTS

# Beside a rate of 1 for what CLIP brought.
NEW_RATE = 1000.0
# Parts of the names of what CLIP does not have; the positions in time go with CLIP's all the same.
NEW = (".timeattn.", ".ln_3.", "sorter.")
# Parts of the names of what does not decay.
PLAIN = ("bias", "ln_", "norm")


def freeze(model: TVTS, share: float = 0.75) -> None:
    """Freezes the first `share` of the text encoder's blocks; its tables and projection stay free."""
    blocks = model.text.transformer.resblocks
    for block in list(blocks)[: int(len(blocks) * share)]:
        block.requires_grad_(False)


def groups(model: nn.Module, weight_decay: float = 0.05, new_rate: float = NEW_RATE) -> list[dict[str, Any]]:
    """Optimiser groups, each with `params`, `weight_decay` and `lr_scale`: new and decaying, new, CLIP's and
    decaying, CLIP's. Frozen parameters are in none."""
    found = {(new, plain): [] for new in (True, False) for plain in (False, True)}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            found[is_new(name), any(part in name for part in PLAIN)].append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": 0.0 if plain else weight_decay,
            "lr_scale": new_rate if new else 1.0,
        }
        for (new, plain), parameters in found.items()
    ]


def is_new(name: str) -> bool:
    """Whether a parameter learns at the rate of what CLIP did not bring."""
    return any(part in name for part in NEW)
