"""ADE20K: images, and pictures of the same size that hold every pixel's class.

ROOT/images/{training,validation}/*.jpg
ROOT/annotations/{training,validation}/*.png    0: none, 1 ...: the classes
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor, nn

from avmodels.data.augment import normalise
from avmodels.data.clips import UnreadableError
from avmodels.data.images import Picture, found, read
from avmodels.data.samples import Sample
from avmodels.engine.config import Training
from avmodels.engine.judging import judge, total
from avmodels.errors import DataError
from avmodels.groupmixformer.config import Scenes
from avmodels.groupmixformer.data import MEAN, STD
from avmodels.tag_align import miou

# A test image's long side is at most so many times its short one.
LONGEST = 4


@dataclass(frozen=True, slots=True)
class Scene:
    """An image file and that of its pixels' classes."""

    image: Path
    classes: Path

    def __str__(self) -> str:
        return str(self.image)


def scenes(root: Path, part: str) -> list[Scene]:
    """The scenes of a part, `training` or `validation`. Raises DataError where an image has no annotation."""
    made = []
    for picture in found(root / "images" / part):
        classes = root / "annotations" / part / f"{picture.path.stem}.png"
        if not classes.exists():
            raise DataError(f"{picture.path} has no annotation at {classes}")
        made.append(Scene(picture.path, classes))
    return made


def pixels(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) uint8 and classes (H, W) uint8 of a scene. Raises UnreadableError."""
    image = np.asarray(read(Picture(scene.image)))
    try:
        with Image.open(scene.classes) as file:
            classes = np.asarray(file)
    except (OSError, ValueError, SyntaxError) as error:
        raise UnreadableError(f"{scene.classes} cannot be read: {' '.join(str(error).split())}") from error
    if classes.shape != image.shape[:2] or classes.dtype != np.uint8:
        raise UnreadableError(f"{scene.classes} does not hold one byte for every pixel of {scene.image}")
    return image, classes


def training_reader(how: Scenes, classes: int) -> Callable[[Scene], list[Sample]]:
    """Reads a crop of a scene at a random scale, (3, side, side), and its classes (side, side), -1 for none.

    A scene with a class that the network does not have counts as unreadable.
    """

    def sample(scene: Scene) -> list[Sample]:
        image, truth = pixels(scene)
        if truth.max() > classes:
            raise UnreadableError(f"{scene.classes} has class {truth.max()}, the network {classes} classes")
        factor = random.uniform(*how.scale) * how.side / min(truth.shape)
        image, truth = scaled(image, factor), scaled(truth, factor, cv2.INTER_NEAREST)
        image, truth = crop(image, truth, how.side)
        if random.random() < 0.5:
            image, truth = image[:, ::-1], truth[:, ::-1]
        # 0, no class, becomes the -1 that the loss leaves out.
        return [{"image": normalised(image), "truth": torch.from_numpy(truth.astype(np.int64) - 1)}]

    return sample


def scaled(picture: np.ndarray, factor: float, filtered: int = cv2.INTER_LINEAR) -> np.ndarray:
    """A picture (H, W, ...) larger or smaller."""
    height, width = (max(round(side * factor), 1) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=filtered)


def crop(image: np.ndarray, classes: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A random square of an image and its classes; where they are smaller, black and without class beyond them."""
    height, width = classes.shape
    beyond = ((0, max(side - height, 0)), (0, max(side - width, 0)))
    image, classes = np.pad(image, (*beyond, (0, 0))), np.pad(classes, beyond)
    top = random.randint(0, max(height - side, 0))
    left = random.randint(0, max(width - side, 0))
    place = slice(top, top + side), slice(left, left + side)
    return image[place], classes[place]


def normalised(image: np.ndarray) -> Tensor:
    """image (H, W, 3) uint8 -> (3, H, W)."""
    return normalise(np.ascontiguousarray(image)[None], MEAN, STD)[:, 0]


def test_reader(how: Scenes) -> Callable[[Scene], list[Sample]]:
    """Reads a scene, its short side at `side` pixels, (3, h, w), and its classes as they are, (H, W)."""

    def sample(scene: Scene) -> list[Sample]:
        image, classes = pixels(scene)
        factor = min(how.side / min(classes.shape), LONGEST * how.side / max(classes.shape))
        return [{"image": normalised(scaled(image, factor)), "classes": torch.from_numpy(classes.copy())}]

    return sample


def evaluate(
    model: nn.Module, held_out: list[Scene], how: Scenes, classes: int, training: Training, here: Accelerator
) -> dict[str, float]:
    """Mean IoU and mean and whole accuracy over the pixels of all scenes, in percent."""
    sums = np.zeros((4, classes), np.int64)

    def add(model: nn.Module, batch: dict[str, Any]) -> dict[str, float]:
        for image, truth in zip(batch["image"], batch["classes"], strict=True):
            best = predicted(model, image, tuple(truth.shape)).cpu().numpy()
            sums[:] += miou.areas(best, miou.without_zero(truth.cpu().numpy()), classes)
        return {}

    counts = judge(model, held_out, test_reader(how), add, training, here, stack=listed)
    areas = miou.Areas(*np.array(total(sums.ravel().tolist(), here)).reshape(sums.shape))
    if not areas.labelled.any():
        raise DataError("no pixel of the held-out scenes has a class")
    recalls = miou.recalls(areas)
    return {
        "miou": miou.mean_iou(areas),
        "mean_accuracy": 100 * float(np.nanmean(recalls)),
        "accuracy": 100 * float(areas.intersection.sum() / areas.labelled.sum()),
    } | counts


def predicted(model: nn.Module, image: Tensor, size: tuple[int, ...]) -> Tensor:
    """The class, from 0, of every pixel of a picture of `size`, for image (3, h, w): (H, W)."""
    scores = model(image[None])[0].float()
    return nn.functional.interpolate(scores, size=size, mode="bilinear", align_corners=False)[0].argmax(0)


def listed(samples: list[Sample]) -> dict[str, Any]:
    """Samples whose tensors differ in size, each name's in a list."""
    return {name: [sample[name] for sample in samples] for name in samples[0]}
