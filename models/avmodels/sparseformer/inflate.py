"""Image weights as video weights."""

from __future__ import annotations

import torch
from torch import Tensor

from avmodels.engine.weights import State
from avmodels.sparseformer.model import Design, SparseFormer
from avmodels.sparseformer.regions import over_time


def inflate(state: State, design: Design, replicates: int) -> State:
    """The published rule: `replicates` sets of the tokens, each over its share of the time.

    Within a set the points of a token all lie at the middle of that time, and no region moves along it. `state`
    has the library's names.
    """
    adjustment = f"roi_adjust_module.{1 if design.adjustment == 'linear' else 3}.weight"

    def inflated(name: str, tensor: Tensor) -> Tensor:
        if name == "feat_extractor.conv1.weight":
            return tensor.unsqueeze(2)
        if name == "initial_roi.weight":
            return over_time(tensor, replicates)
        if name == "initial_embedding.weight" and not design.shared_embedding:
            return tensor.repeat(replicates, 1)
        if name.endswith((".roi_offset_bias", ".roi_offset_module.1.weight", adjustment)):
            return with_time(tensor)
        return tensor

    return {name: inflated(name, tensor) for name, tensor in state.items()}


def with_time(rows: Tensor) -> Tensor:
    """Rows that stand for (x, y), (x, y) ... with a row of zeros for t after each pair: (2n, ...) -> (3n, ...)."""
    pairs = rows.unflatten(0, (-1, 2))
    return torch.cat([pairs, torch.zeros_like(pairs[:, :1])], dim=1).flatten(0, 1)


@torch.no_grad()
def spread_times(model: SparseFormer) -> None:
    """Spreads the points of a video network's tokens over their times, where they lie at one.

    Equal times have no deviation, and so a gradient thousands of times that of the places, which the bound on its
    norm then leaves nothing of.
    """
    for name, bias in model.named_parameters():
        if name.endswith("roi_offset_bias"):
            times = bias.view(-1, 3)[:, 2]
            if not times.any():
                times.uniform_(-0.5, 0.5)
