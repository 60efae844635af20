"""Which frames a clip has, and their pixels and boxes as the network takes them."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from avmodels.data import augment

# Subtracted from, and dividing, every colour in [0, 1].
MEAN = (0.45, 0.45, 0.45)
STD = (0.225, 0.225, 0.225)


def clip_frames(centre: int, length: int, frames: int = 16, stride: int = 4) -> np.ndarray:
    """The numbers of a clip's frames, every `stride`-th, that of the middle slice's first being `centre`.

    Those beyond the ends of a video of `length` frames repeat its first or last.
    """
    numbers = centre + stride * (np.arange(frames) - frames // 2)
    return numbers.clip(0, length - 1)


def resize_scale(height: int, width: int, short_side: int, long_side: int) -> float:
    """The factor that makes the short side `short_side`, or less where the long would pass `long_side`."""
    return min(short_side / min(height, width), long_side / max(height, width))


def resize(frames: np.ndarray, scale: float) -> np.ndarray:
    """frames (T, H, W, 3) uint8, bilinearly resized, each side to the nearest pixel."""
    size = tuple(int(side * scale + 0.5) for side in frames.shape[2:0:-1])
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in frames])


def normalised(frames: np.ndarray) -> Tensor:
    """frames (T, H, W, 3) uint8, RGB -> (3, T, H, W)."""
    return augment.normalise(frames, MEAN, STD)


def view(
    frames: np.ndarray, boxes: np.ndarray, short_side: int, long_side: int, flip: bool = False
) -> tuple[Tensor, np.ndarray]:
    """A clip and its boxes as the network takes them.

    frames (T, H, W, 3) uint8, RGB; boxes (n, 4), x1 y1 x2 y2 as shares of the picture. Returns the clip
    (3, T, h, w), and the boxes in its pixels, none beyond its last pixel. As published, boxes are scaled by
    the factor before the sides are rounded, and are mirrored as pixel numbers (x -> width - 1 - x).
    """
    height, width = frames.shape[1:3]
    corners = within(boxes * np.tile([width, height], 2), height, width)
    if flip:
        frames = frames[:, :, ::-1]
        corners = corners[:, [2, 1, 0, 3]]
        corners[:, [0, 2]] = width - 1 - corners[:, [0, 2]]
    scale = resize_scale(height, width, short_side, long_side)
    frames = resize(np.ascontiguousarray(frames), scale)
    return normalised(frames), within(corners * scale, *frames.shape[1:3])


def within(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """boxes (n, 4), x1 y1 x2 y2, moved into 0 .. width - 1 and 0 .. height - 1."""
    return boxes.clip(0, np.tile([width - 1, height - 1], 2))
