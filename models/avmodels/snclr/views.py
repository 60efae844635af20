"""Two views of an image, and the crops of probing and testing."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from PIL import Image, ImageFilter
from torch import Tensor
from torchvision import transforms

# Mean and standard deviation of ImageNet's pixels, RGB in [0, 1].
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# The short side of a test image, before its middle is taken, as a multiple of the middle's.
BEFORE_CROP = 256 / 224
PUBLISHED_SIDE = 224

# From an RGB image to (3, side, side), normalised.
Transform = Callable[[Image.Image], Tensor]


def pair(side: int, area: float) -> tuple[Transform, Transform]:
    """What makes the two views of an image (MoCo v3, from BYOL), each of at least `area` of it.

    They differ in that the first is always blurred, the second seldom but now and then solarised.
    """
    return view(side, area, blurred=1.0, solarised=0.0), view(side, area, blurred=0.1, solarised=0.2)


def view(side: int, area: float, blurred: float, solarised: float) -> Transform:
    """Makes a random view; `blurred` and `solarised` are chances."""
    return composed(
        transforms.RandomResizedCrop(side, scale=(area, 1.0)),
        transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
        transforms.RandomGrayscale(p=0.2),
        transforms.RandomApply([partial(blur, side=side)], p=blurred),
        transforms.RandomSolarize(threshold=128, p=solarised),
        transforms.RandomHorizontalFlip(),
    )


def crop(side: int, area: float) -> Transform:
    """Takes a random part of an image, mirrored half of the time."""
    return composed(transforms.RandomResizedCrop(side, scale=(area, 1.0)), transforms.RandomHorizontalFlip())


def middle(side: int) -> Transform:
    """Takes the middle of an image."""
    return composed(transforms.Resize(round(side * BEFORE_CROP)), transforms.CenterCrop(side))


def composed(*steps: Any) -> Transform:
    """Some steps one after the other, and then pixels as numbers."""
    whole: Any = transforms.Compose(
        [*steps, transforms.ToTensor(), transforms.Normalize(list(MEAN), list(STD))]
    )
    return whole


def blur(image: Image.Image, side: int) -> Image.Image:
    """The image under a Gaussian of 0.1 to 2 pixels at the published side, and in proportion at others."""
    return image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0) * side / PUBLISHED_SIDE))
