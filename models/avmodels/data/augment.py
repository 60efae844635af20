"""Random transforms of whole clips: one draw serves all frames.

Draws come from the global generators of `random`, numpy and torch, in the order of the published recipes, so
that a seeded run can be compared with them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from timm.data.auto_augment import RandAugment, rand_augment_transform
from torch import Tensor

# Offsets of a fixed crop, in quarters of the room left: corners, centre, edges, quarters.
FIXED_OFFSETS = (
    (0, 0), (4, 0), (0, 4), (4, 4), (2, 2), (0, 2), (4, 2), (2, 4), (2, 0), (1, 1), (3, 1), (1, 3), (3, 3),
)  # fmt: skip


class Box(NamedTuple):
    """A crop in pixels."""

    top: int
    left: int
    height: int
    width: int


def rand_augment(policy: str) -> RandAugment:
    """The policy timm's notation names, e.g. `rand-m7-n4-mstd0.5-inc1`, with bicubic geometry."""
    return rand_augment_transform(policy, {"interpolation": Image.Resampling.BICUBIC})


def rand_augment_clip(frames: np.ndarray, policy: RandAugment) -> tuple[np.ndarray, list[int]]:
    """frames (T, H, W, 3) uint8 with one draw of operations applied to all, and the operations' numbers."""
    numbers = np.random.choice(len(policy.ops), policy.num_layers)
    pictures = [Image.fromarray(frame) for frame in frames]
    for number in numbers:
        operation = policy.ops[number]
        if random.random() > operation.prob:
            continue
        magnitude = min(max(random.gauss(operation.magnitude, operation.magnitude_std), 0.0), 10.0)
        strength = operation.level_fn(magnitude, operation.hparams) if operation.level_fn else ()
        pictures = [operation.aug_fn(picture, *strength, **operation.kwargs) for picture in pictures]
    return np.stack([np.asarray(picture) for picture in pictures]), numbers.tolist()


def random_resized_box(
    height: int,
    width: int,
    area: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Box:
    """A crop of a random part of the area and a random shape; after ten misses the largest central one."""
    for _ in range(10):
        target = random.uniform(*area) * height * width
        shape = math.exp(random.uniform(math.log(ratio[0]), math.log(ratio[1])))
        wide, high = round(math.sqrt(target * shape)), round(math.sqrt(target / shape))
        np.random.uniform()  # the published recipe draws whether to swap sides and never does
        if 0 < wide <= width and 0 < high <= height:
            top = random.randint(0, height - high)
            return Box(top, random.randint(0, width - wide), high, wide)
    wide, high = min(width, round(height * ratio[1])), min(height, round(width / ratio[0]))
    return Box((height - high) // 2, (width - wide) // 2, high, wide)


def fixed_box(height: int, width: int, size: int, scales: Sequence[float] = (1, 0.875, 0.75, 0.66)) -> Box:
    """A crop whose sides are two like scales of the short side, at one of thirteen fixed places (TSN)."""
    base = min(height, width)
    sides = [int(base * scale) for scale in scales]
    sides = [size if abs(side - size) < 3 else side for side in sides]
    pairs = [
        (high, wide)
        for i, high in enumerate(sides)
        for j, wide in enumerate(sides)
        if abs(i - j) <= 1
    ]  # fmt: skip
    high, wide = random.choice(pairs)
    x, y = random.choice(FIXED_OFFSETS)
    return Box(y * ((height - high) // 4), x * ((width - wide) // 4), high, wide)


def resize_crop(frames: np.ndarray, box: Box, size: int) -> np.ndarray:
    """The crop of every frame (T, H, W, 3) as `size` x `size` pixels, uint8, as Pillow's bilinear filter does."""
    top, left, height, width = box
    cut = frames[:, top : top + height, left : left + width]
    resized = (Image.fromarray(frame).resize((size, size), Image.Resampling.BILINEAR) for frame in cut)
    return np.stack([np.asarray(picture) for picture in resized])


def resize_short(frames: np.ndarray, side: int) -> np.ndarray:
    """frames (T, H, W, 3) uint8 with the short side at `side` pixels, as OpenCV's bilinear filter does."""
    height, width = frames.shape[1:3]
    if min(height, width) == side:
        return frames
    if height < width:
        size = (int(side / height * width), side)
    else:
        size = (side, int(side / width * height))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in frames])


def normalise(frames: np.ndarray | Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """frames (T, H, W, 3) of 0..255 -> (3, T, H, W) float32, (x / 255 - mean) / std."""
    clip = torch.as_tensor(frames).permute(3, 0, 1, 2).float()
    shape = (3, 1, 1, 1)
    return clip.sub_(255 * torch.tensor(mean).view(shape)).div_(255 * torch.tensor(std).view(shape))


def resize_clip(clip: Tensor, size: int) -> Tensor:
    """clip (C, T, H, W) -> (C, T, size, size), bilinear without antialiasing."""
    return F.interpolate(clip, size=(size, size), mode="bilinear", align_corners=False)


def random_flip(clip: Tensor) -> Tensor:
    """clip (..., W) mirrored half of the time."""
    return clip.flip(-1) if np.random.uniform() < 0.5 else clip


def random_erase(clip: Tensor, chance: float) -> Tensor:
    """clip (C, T, H, W) with, at the given chance, one box of 2 to 33 % of the picture replaced in every frame
    by noise of its own, N(0, 1) (Zhong et al., arXiv 1708.04896)."""
    if random.random() > chance:
        return clip
    colours, time, height, width = clip.shape
    for _ in range(100):
        area = random.uniform(0.02, 1 / 3) * height * width
        shape = math.exp(random.uniform(math.log(0.3), math.log(1 / 0.3)))
        high, wide = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if high < height and wide < width:
            top = random.randint(0, height - high)
            left = random.randint(0, width - wide)
            erased = clip.clone()
            for frame in range(time):
                noise = torch.empty(colours, high, wide).normal_()
                erased[:, frame, top : top + high, left : left + wide] = noise
            return erased
    return clip
