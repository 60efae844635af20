"""From frames to the pixels a model takes."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from avmodels.data.augment import normalise

# ImageNet's, though the models start from CLIP.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def short_side(side: int) -> int:
    """The length of a frame's short side before a crop of `side` is cut from it."""
    return int(side * 1.2)


def evaluation(frames: np.ndarray, side: int) -> Tensor:
    """frames (T, H, W, 3) uint8 -> their middle square, (T, 3, side, side), normalised."""
    height, width = resized(frames, short_side(side))
    return crop(frames, (height, width), round((height - side) / 2), round((width - side) / 2), side)


def training(frames: np.ndarray, side: int) -> tuple[Tensor, tuple[int, int]]:
    """The same of one random square for all frames, and its left and top (Python's global generator)."""
    height, width = resized(frames, short_side(side))
    left, top = random.randint(0, width - side), random.randint(0, height - side)
    return crop(frames, (height, width), top, left, side), (left, top)


def feature(frames: np.ndarray, side: int) -> Tensor:
    """frames (T, H, W, 3) uint8 squeezed to squares whatever their shape, (T, 3, side, side), normalised."""
    squares = (Image.fromarray(frame).resize((side, side), Image.Resampling.BILINEAR) for frame in frames)
    return normalise(np.stack([np.asarray(square) for square in squares]), MEAN, STD).transpose(0, 1)


def resized(frames: np.ndarray, short: int) -> tuple[int, int]:
    """Height and width with the short side at `short` pixels and the long side cut to whole ones."""
    height, width = frames.shape[1:3]
    if height < width:
        return short, int(short * width / height)
    return int(short * height / width), short


def crop(frames: np.ndarray, size: tuple[int, int], top: int, left: int, side: int) -> Tensor:
    """A square of the frames (T, H, W, 3) resized to `size` by nearest neighbours, (T, 3, side, side).

    Only the pixels of the square are taken.
    """
    rows = nearest(frames.shape[1], size[0])[top : top + side]
    columns = nearest(frames.shape[2], size[1])[left : left + side]
    return normalise(frames[:, rows[:, None], columns], MEAN, STD).transpose(0, 1)


@lru_cache(maxsize=256)
def nearest(length: int, new: int) -> np.ndarray:
    """The pixel that each of `new` pixels takes from a line of `length`, (new,) int64.

    Asked of Pillow, whose rounding at exact ties no simple formula repeats.
    """
    ramp = Image.fromarray(np.arange(length, dtype=np.int32)[None], mode="I")
    return np.asarray(ramp.resize((new, 1), Image.Resampling.NEAREST))[0].astype(np.int64)


def padded(clip: Tensor, frames: int) -> Tensor:
    """clip (T, 3, H, W) with zeros for the frames it lacks: (frames, 3, H, W)."""
    missing = frames - len(clip)
    return torch.cat([clip, clip.new_zeros(missing, *clip.shape[1:])]) if missing > 0 else clip
