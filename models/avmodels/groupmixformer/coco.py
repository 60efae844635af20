"""COCO: images, and a JSON file of the objects in them.

ROOT/{train,val}2017/*.jpg
ROOT/annotations/instances_{train,val}2017.json
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torchvision.ops import box_convert
from torchvision.transforms.functional import hflip, to_tensor

from avmodels.data.images import Picture, read
from avmodels.data.samples import Sample
from avmodels.engine.config import Training
from avmodels.engine.judging import judge
from avmodels.errors import DataError
from avmodels.groupmixformer.ade20k import listed
from avmodels.metrics.coco import average_precision, quiet


class View(NamedTuple):
    """An image file, its number, and the numbers of its objects' annotations."""

    path: Path
    number: int
    objects: tuple[int, ...]

    def __str__(self) -> str:
        return str(self.path)


class Objects:
    """The images and objects of a part, `train` or `val`.

    A detector numbers the categories in order from 1; `categories` are their numbers in the file.
    Raises DataError for a file that is missing, broken, or not of `classes` categories.
    """

    def __init__(self, root: Path, part: str, classes: int):
        from pycocotools.coco import COCO

        path = root / "annotations" / f"instances_{part}2017.json"
        try:
            with quiet():
                self.coco: Any = COCO(str(path))
            self.categories = sorted(self.coco.cats)
            self.views = [
                View(
                    root / f"{part}2017" / image["file_name"],
                    number,
                    tuple(self.coco.getAnnIds(imgIds=[number], iscrowd=False)),
                )
                for number, image in sorted(self.coco.imgs.items())
            ]
        except (OSError, KeyError, TypeError, AssertionError, json.JSONDecodeError) as error:
            raise DataError(f"cannot read {path} as COCO's annotations: {error}") from error
        if len(self.categories) != classes:
            raise DataError(f"{path} has {len(self.categories)} categories, the network {classes} classes")

    def target(self, view: View) -> dict[str, Tensor]:
        """Boxes (n, 4) in pixels, x0 y0 x1 y1, labels (n,) from 1, masks (n, H, W) of an image's objects."""
        found = [item for item in self.coco.loadAnns(view.objects) if min(item["bbox"][2:]) > 0]
        image = self.coco.imgs[view.number]
        masks = np.zeros((len(found), image["height"], image["width"]), np.uint8)
        for mask, item in zip(masks, found, strict=True):
            mask[:] = self.coco.annToMask(item)
        boxes = torch.tensor([item["bbox"] for item in found], dtype=torch.float32).reshape(-1, 4)
        labels = [self.categories.index(item["category_id"]) + 1 for item in found]
        return {
            "boxes": box_convert(boxes, "xywh", "xyxy"),
            "labels": torch.tensor(labels, dtype=torch.int64),
            "masks": torch.from_numpy(masks),
        }


def training_reader(objects: Objects) -> Callable[[View], list[Sample]]:
    """Reads an image, (3, H, W) in [0, 1], and its objects, mirrored half of the time."""

    def sample(view: View) -> list[Sample]:
        image, target = to_tensor(read(Picture(view.path))), objects.target(view)
        if random.random() < 0.5:
            width = image.shape[-1]
            image, target["masks"] = hflip(image), hflip(target["masks"])
            target["boxes"][:, [0, 2]] = width - target["boxes"][:, [2, 0]]
        return [{"image": image, "target": target}]

    return sample


def test_reader(view: View) -> list[Sample]:
    """Reads an image, (3, H, W) in [0, 1], and its number."""
    return [{"image": to_tensor(read(Picture(view.path))), "number": view.number}]


def evaluate(model: nn.Module, objects: Objects, training: Training, here: Accelerator) -> dict[str, float]:
    """COCO's average precision of boxes, and of masks where the detector makes some (`mask_ap`), in percent."""
    rows: list[dict[str, Any]] = []

    def add(model: nn.Module, batch: dict[str, Any]) -> dict[str, float]:
        for number, found in zip(batch["number"], model(batch["image"]), strict=True):
            rows.extend(results(number, found, objects.categories))
        return {}

    counts = judge(model, objects.views, test_reader, add, training, here, stack=listed)
    every = gather_object(rows) if here.num_processes > 1 else rows
    metrics = average_precision(objects.coco, every, "bbox")
    if any("segmentation" in row for row in every):
        metrics |= {
            f"mask_{name}": value for name, value in average_precision(objects.coco, every, "segm").items()
        }
    return metrics | counts


def results(number: int, found: dict[str, Tensor], categories: list[int]) -> list[dict[str, Any]]:
    """What a detector found in image `number` as rows of COCO's result files."""
    from pycocotools import mask as rle

    boxes = box_convert(found["boxes"].float(), "xyxy", "xywh").tolist()
    rows = [
        {"image_id": number, "category_id": categories[label - 1], "bbox": box, "score": score}
        for box, label, score in zip(boxes, found["labels"].tolist(), found["scores"].tolist(), strict=True)
    ]
    for row, mask in zip(rows, found.get("masks", ()), strict=False):
        row["segmentation"] = rle.encode(np.asfortranarray((mask[0] > 0.5).cpu().numpy().astype(np.uint8)))
    return rows
