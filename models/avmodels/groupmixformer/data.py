"""From image files to the tensors of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import Image
from timm.data.constants import IMAGENET_DEFAULT_MEAN as MEAN
from timm.data.constants import IMAGENET_DEFAULT_STD as STD
from timm.data.transforms_factory import create_transform
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from avmodels.data.images import Picture, read
from avmodels.data.samples import Sample
from avmodels.groupmixformer.config import Images

Reader = Callable[[Picture], list[Sample]]
Transform = Callable[[Image.Image], Tensor]
# The short side of a test image is that of the network times this, and then the middle is taken.
LARGER = 256 / 224


def test_transform(side: int, crop: bool = True) -> Transform:
    """From an RGB image to its middle, or with `crop` off to all of it squeezed, (3, side, side)."""
    bicubic = InterpolationMode.BICUBIC
    if crop:
        cut = [transforms.Resize(int(LARGER * side), bicubic), transforms.CenterCrop(side)]
    else:
        cut = [transforms.Resize((side, side), bicubic)]
    return transforms.Compose([*cut, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


def training_reader(how: Images) -> Reader:
    """Reads an image augmented, (3, side, side), with its label."""
    vary: Any = create_transform(
        how.side,
        is_training=True,
        scale=how.area,
        auto_augment=how.policy or None,
        color_jitter=0.0,
        interpolation="bicubic",
        mean=MEAN,
        std=STD,
        re_prob=how.erase,
        re_mode="pixel",
    )
    return lambda picture: [{"image": vary(read(picture)), "label": picture.label}]


def test_reader(how: Images) -> Reader:
    """Reads an image as it is tested, (3, side, side), with its label."""
    view = test_transform(how.side, how.crop)
    return lambda picture: [{"image": view(read(picture)), "label": picture.label}]
