"""Fixed position tables."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def sinusoid(tokens: int, width: int) -> Tensor:
    """The table (tokens, width) of Vaswani et al. over the flat token number.

    angle = token / 10000^(2 * floor(channel / 2) / width), sine in even channels and cosine in odd ones,
    computed in float64 and rounded once to float32.
    """
    angles = np.arange(tokens)[:, None] / np.power(10000, 2 * (np.arange(width) // 2) / width)
    angles[:, 0::2] = np.sin(angles[:, 0::2])
    angles[:, 1::2] = np.cos(angles[:, 1::2])
    return torch.from_numpy(angles.astype(np.float32))


def resize_space(table: Tensor, grid: tuple[int, int, int], side: int | tuple[int, int]) -> Tensor:
    """A table of `grid` (time, height, width) resized bicubically, each step to a `side` or (high, wide)."""
    maps = table.view(*grid, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(maps, size=side, mode="bicubic", align_corners=False)
    return resized.permute(0, 2, 3, 1).flatten(0, 2)


def resize_time(table: Tensor, grid: tuple[int, int, int], steps: int) -> Tensor:
    """A table of `grid` (time, height, width) resized linearly to `steps` time steps."""
    lines = table.view(grid[0], grid[1] * grid[2], -1).permute(1, 2, 0)
    resized = F.interpolate(lines, size=steps, mode="linear", align_corners=False)
    return resized.permute(2, 0, 1).flatten(0, 1)
