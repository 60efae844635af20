"""Masks drawn towards the edges of the picture (pixel-adaptive mask refinement, arXiv 2005.08104)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

DILATIONS = (1, 2, 4, 8, 12, 24)
ITERATIONS = 10
# Differences are measured in tenths of the local deviation.
SHARPNESS = 0.1


def refine(
    image: Tensor, masks: Tensor, iterations: int = ITERATIONS, dilations: Sequence[int] = DILATIONS
) -> Tensor:
    """image (B, 3, H, W), normalised, and masks (B, K, h, w) -> refined masks (B, K, H, W)."""
    masks = F.interpolate(masks, size=image.shape[2:], mode="bilinear", align_corners=True)
    weights = affinity(image, dilations)
    for _ in range(iterations):
        steps = zip(shifted(masks, dilations), weights.unbind(1), strict=True)
        masks = sum((weight[:, None] * moved for moved, weight in steps), torch.zeros_like(masks))
    return masks


def affinity(image: Tensor, dilations: Sequence[int] = DILATIONS) -> Tensor:
    """How much each pixel takes from its 8 neighbours at each dilation: image (B, C, H, W) -> (B, 8 n, H, W),
    summing to 1, dilations one after the other."""
    spread = 1e-8 + SHARPNESS * local_deviation(image, dilations)
    likeness = [-((moved - image).abs() / spread).mean(1) for moved in shifted(image, dilations)]
    return torch.stack(likeness, 1).softmax(1)


def local_deviation(image: Tensor, dilations: Sequence[int] = DILATIONS) -> Tensor:
    """The deviation (unbiased) around every pixel over its neighbours at all dilations and itself, once for each
    dilation: (B, C, H, W) -> the same shape."""
    taps = [*shifted(image, dilations), *(image for _ in dilations)]
    return torch.stack(taps).std(0)


def shifted(maps: Tensor, dilations: Sequence[int]) -> Iterator[Tensor]:
    """The maps (B, C, H, W) seen from 8 sides, row by row, at each dilation; edges repeat outwards."""
    height, width = maps.shape[2:]
    for far in dilations:
        padded = F.pad(maps, (far, far, far, far), mode="replicate")
        for down in (0, far, 2 * far):
            for right in (0, far, 2 * far):
                if (down, right) != (far, far):
                    yield padded[:, :, down : down + height, right : right + width]
