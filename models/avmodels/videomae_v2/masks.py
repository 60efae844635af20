"""Which tokens the encoder sees and which the decoder reconstructs (dual masking)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

Grid = tuple[int, int, int]


def tube(grid: Grid, ratio: float) -> np.ndarray:
    """One draw of the encoder's mask, (time, height * width), True = hidden: the same cells in every frame.

    Draws from numpy's global generator.
    """
    time, height, width = grid
    cells = height * width
    hidden = int(ratio * cells)
    mask = np.hstack([np.zeros(cells - hidden), np.ones(hidden)])
    np.random.shuffle(mask)
    return np.tile(mask.astype(bool), (time, 1))


def running_cell_maps(grid: Grid, ratio: float) -> np.ndarray:
    """The decoder's four possible masks, (4, time, height * width), True = dropped.

    A 2 x 2 cell tiles the frame; which of its corners are dropped moves on by one each time step, so that
    every corner is dropped 4 * ratio times in any four steps.

    Raises ValueError for a ratio that is no multiple of a quarter within (0, 1), or an odd grid.
    """
    time, height, width = grid
    dropped = int(4 * ratio)
    if dropped not in (1, 2, 3):
        raise ValueError(f"the running cell drops 1, 2 or 3 of its 4 corners, not {4 * ratio:g}")
    if height % 2 or width % 2:
        raise ValueError(f"the running cell needs an even grid, not {height} x {width}")
    phase, step, corner = np.ogrid[:4, :time, :4]
    cells = (corner + phase + step + 1) % 4 < dropped
    frames = np.tile(cells.reshape(4, time, 2, 2), (1, 1, height // 2, width // 2))
    return frames.reshape(4, time, height * width)


def draw(grid: Grid, encoder_ratio: float, decoder_ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """One clip's masks for encoder and decoder, each (time * height * width,), True = hidden or dropped.

    A decoder ratio of 0 keeps exactly what the encoder does not see. Draws the tube, then the phase, from
    numpy's global generator.
    """
    hidden = tube(grid, encoder_ratio).ravel()
    if decoder_ratio == 0:
        return hidden, ~hidden
    return hidden, running_cell_maps(grid, decoder_ratio)[np.random.randint(4)].ravel()


def kept(mask: Tensor) -> Tensor:
    """The token numbers a mask (B, N) leaves, (B, n), increasing; every row must leave as many."""
    return torch.nonzero(~mask)[:, 1].view(len(mask), -1)
