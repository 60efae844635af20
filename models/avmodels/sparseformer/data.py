"""From a folder of images to the tensors of a recipe."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from timm.data.transforms_factory import create_transform
from torchvision.datasets.folder import IMG_EXTENSIONS

from avmodels.data.clips import UnreadableError
from avmodels.data.samples import Sample
from avmodels.errors import DataError
from avmodels.sparseformer.config import PIXELS, AugmentedImages, BootstrapImages, Images


@dataclass(frozen=True)
class Picture:
    """An image file and the number of its class, -1 where it has none."""

    path: Path
    label: int = -1

    def __str__(self) -> str:
        return str(self.path)


Reader = Callable[[Picture], list[Sample]]


def labelled(folder: Path, classes: int) -> list[Picture]:
    """The images of `folder`/CLASS/*, classes numbered by name. Raises DataError where they are not `classes`."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if len(names) != classes:
        raise DataError(f"{folder} has {len(names)} folders of classes, the network {classes} classes")
    return [
        Picture(picture.path, label) for label, name in enumerate(names) for picture in found(folder / name)
    ]


def found(folder: Path) -> list[Picture]:
    """All images at or below a folder, in order of path. Raises DataError where there is none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMG_EXTENSIONS)
    if not paths:
        raise DataError(f"there are no images in {folder}")
    return [Picture(path) for path in paths]


def read(path: Path) -> Image.Image:
    """An image file of any mode as upright RGB; 16 bits are scaled to 8, alpha is left out.

    Raises UnreadableError for a file that is missing, broken, cut short or too large to be meant well.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                image = ImageOps.exif_transpose(file)
                image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Warning) as error:
        raise UnreadableError(f"{path} cannot be read as an image: {' '.join(str(error).split())}") from error
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image, np.float32) / 257).clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def training_reader(how: AugmentedImages) -> Reader:
    """Reads an image augmented, (3, side, side), with its label."""
    mean, std = PIXELS[how.pixels]
    transform: Any = create_transform(
        how.side,
        is_training=True,
        scale=how.area,
        auto_augment=how.policy or None,
        interpolation=how.interpolation,
        mean=mean,
        std=std,
        re_prob=how.erase,
        re_mode="pixel",
    )
    return lambda picture: [{"image": transform(read(picture.path)), "label": picture.label}]


def bootstrap_reader(how: BootstrapImages, side: int) -> Reader:
    """Reads an image mildly augmented, (3, side, side)."""
    mean, std = PIXELS[how.pixels]
    transform: Any = create_transform(
        side,
        is_training=True,
        scale=how.area,
        color_jitter=how.jitter,
        interpolation=how.interpolation,
        mean=mean,
        std=std,
    )
    return lambda picture: [{"image": transform(read(picture.path))}]


def test_reader(how: Images, side: int) -> Reader:
    """Reads the middle of an image, (3, side, side), with its label."""
    mean, std = PIXELS[how.pixels]
    transform: Any = create_transform(
        side, interpolation=how.interpolation, mean=mean, std=std, crop_pct=how.centre
    )
    return lambda picture: [{"image": transform(read(picture.path)), "label": picture.label}]
