"""The neighbours: a first-in-first-out bank of past keys, the same in all processes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NeighbourBank(nn.Module):
    """`size` past keys and the inverse of their lengths, at first random directions.

    All of it is saved, so that a run that goes on finds the neighbours it had.
    """

    rows: Tensor
    scales: Tensor
    place: Tensor

    def __init__(self, width: int, size: int):
        super().__init__()
        self.register_buffer("rows", F.normalize(torch.randn(size, width)))
        self.register_buffer("scales", torch.ones(size))
        self.register_buffer("place", torch.zeros(1, dtype=torch.long))

    @torch.no_grad()
    def nearest(self, keys: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The `count` rows nearest to each key by cosine, the nearest first: numbers and cosines, (B, count).

        keys (B, width).
        """
        # In full precision: rounded cosines would shuffle the neighbours, and casting the bank costs more.
        with torch.autocast(keys.device.type, enabled=False):
            cosines = F.normalize(keys.float()) @ self.rows.T
        best = cosines.mul_(self.scales).topk(count)
        return best.indices, best.values

    def directions(self, numbers: Tensor) -> Tensor:
        """The rows of some numbers (...), each of length 1, (..., width)."""
        return self.rows[numbers] * self.scales[numbers].unsqueeze(-1)

    @torch.no_grad()
    def put(self, keys: Tensor) -> None:
        """Writes keys (B, width) over the oldest rows; those that do not fit before the end are dropped, and
        the next go to the start, as published."""
        first = int(self.place)
        fitting = keys[: len(self.rows) - first].float()
        after = first + len(fitting)
        self.rows[first:after] = fitting
        self.scales[first:after] = fitting.norm(dim=1).clamp(min=1e-12).reciprocal()
        self.place.fill_(after % len(self.rows))
