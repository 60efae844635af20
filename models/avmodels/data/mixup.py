"""Mixing the clips of a batch with one another."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def soft_labels(labels: Tensor, classes: int, smoothing: float) -> Tensor:
    """labels (B,) -> (B, classes): 1 - smoothing on the class, and `smoothing` spread over all."""
    return F.one_hot(labels, classes).float() * (1 - smoothing) + smoothing / classes


def mix(
    video: Tensor,
    labels: Tensor,
    classes: int,
    mixup: float = 0.8,
    cutmix: float = 1.0,
    switch: float = 0.5,
    smoothing: float = 0.1,
) -> tuple[Tensor, Tensor]:
    """Every clip mixed with its partner in the reversed batch, by blending or by pasting one box.

    video (B, ..., H, W) with B even, labels (B,). One draw serves the whole batch: with chance `switch` a box
    (CutMix, arXiv 1905.04899, its share from Beta(cutmix, cutmix)), else a blend (mixup, arXiv 1710.09412,
    Beta(mixup, mixup)). Returns the mixed video and the soft labels (B, classes). Draws from numpy's global
    generator in the order of timm 0.4.12.
    """
    np.random.rand()  # timm's draw for the chance to mix at all, which every recipe here has at 1
    partner = video.flip(0)
    if np.random.rand() < switch:
        top, left, bottom, right = cut_box(video.shape[-2], video.shape[-1], np.random.beta(cutmix, cutmix))
        video = video.clone()
        video[..., top:bottom, left:right] = partner[..., top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (video.shape[-2] * video.shape[-1])
    else:
        share = np.random.beta(mixup, mixup)
        video = torch.lerp(partner, video, share)
    soft = soft_labels(labels, classes, smoothing)
    return video, share * soft + (1 - share) * soft.flip(0)


def cut_box(height: int, width: int, share: float) -> tuple[int, int, int, int]:
    """A box of about 1 - share of the picture around a random centre: top, left, bottom, right, clipped."""
    side = np.sqrt(1 - share)
    high, wide = int(height * side) // 2, int(width * side) // 2
    y, x = np.random.randint(height), np.random.randint(width)
    return max(y - high, 0), max(x - wide, 0), min(y + high, height), min(x + wide, width)
