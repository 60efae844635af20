"""From a picture to the tensor a window is cut from."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

# Mean and deviation of ImageNet's pixels, RGB of 0..255: not CLIP's own, but what the published code uses.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


def fitted(height: int, width: int, bounds: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a picture scaled so that it just stays within the longer and the shorter bound."""
    factor = min(max(bounds) / max(height, width), min(bounds) / min(height, width))
    return int(height * factor + 0.5), int(width * factor + 0.5)


def fit(picture: np.ndarray, bounds: tuple[int, int]) -> np.ndarray:
    """picture (H, W, 3) uint8 scaled within the bounds, as OpenCV's bilinear filter does."""
    height, width = fitted(picture.shape[0], picture.shape[1], bounds)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)


def normalised(picture: np.ndarray) -> Tensor:
    """picture (H, W, 3) RGB uint8 -> (3, H, W) float32 with ImageNet's mean and deviation."""
    mean, std = (np.array(values, np.float32) for values in (MEAN, STD))
    scaled = (picture.astype(np.float32) - mean) / std
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))
