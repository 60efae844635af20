"""Image weights as video weights."""

from __future__ import annotations

import torch
from torch import Tensor

from avmodels.engine.weights import State
from avmodels.sparseformer.model import Design
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
