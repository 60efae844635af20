"""Images with boxes and masks in the form of COCO: DIR/annotations/instances_{train,val}2017.json beside
DIR/{train,val}2017/*.jpg."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as masks
from torch import Tensor
from torchvision.transforms import functional

from avmodels.data import images
from avmodels.data.images import Picture
from avmodels.data.samples import Sample
from avmodels.errors import DataError
from avmodels.metrics import coco


@dataclass(frozen=True)
class Scene:
    """An image of a set, its number there, and what is marked in it."""

    picture: Picture
    number: int
    objects: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        return str(self.picture)


def truth(folder: Path, part: str) -> Any:
    """The annotations of `part`, train or val, as pycocotools' COCO (whose types are looser than its stubs say).

    Raises DataError where they are missing or not COCO's.
    """
    path = folder / "annotations" / f"instances_{part}2017.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the annotations {path}: {error}") from error
    lacking = [key for key in ("images", "annotations", "categories") if key not in document]
    if lacking:
        raise DataError(f"{path} is no COCO file of instances: it has no {', '.join(lacking)}")
    return coco.indexed(document)


def scenes(held: Any, folder: Path, part: str, marked: bool) -> list[Scene]:
    """The images of `part`; with `marked` only those in which something is marked. Raises DataError for none."""
    found = []
    for number in sorted(held.getImgIds()):
        objects = tuple(held.loadAnns(held.getAnnIds(number)))
        if objects or not marked:
            path = folder / f"{part}2017" / held.imgs[number]["file_name"]
            found.append(Scene(Picture(path), number, objects))
    if not found:
        raise DataError(f"no image of {folder}/{part}2017 has objects")
    return found


def training_sample(scene: Scene, held: Any) -> Sample:
    """The image (3, H, W) in [0, 1] and its targets, mirrored half of the time.

    Crowds and boxes without area are left out. Classes are counted from 1 in the order of their numbers.
    """
    image = images.read(scene.picture)
    places = {number: place for place, number in enumerate(sorted(held.getCatIds()), start=1)}
    kept = [one for one in scene.objects if not one.get("iscrowd") and min(one["bbox"][2:]) > 0]
    boxes = torch.tensor([one["bbox"] for one in kept], dtype=torch.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    drawn = [torch.from_numpy(held.annToMask(one)) for one in kept]
    mask = torch.stack(drawn) if drawn else torch.zeros(0, image.height, image.width, dtype=torch.uint8)
    pixels = functional.to_tensor(image)
    if random.random() < 0.5:
        pixels, mask = pixels.flip(-1), mask.flip(-1)
        boxes[:, [0, 2]] = image.width - boxes[:, [2, 0]]
    labels = torch.tensor([places[one["category_id"]] for one in kept], dtype=torch.long)
    return {"image": pixels, "target": {"boxes": boxes, "labels": labels, "masks": mask}}


def test_sample(scene: Scene) -> Sample:
    """The image (3, H, W) in [0, 1], and its number."""
    image: Image.Image = images.read(scene.picture)
    return {"image": functional.to_tensor(image), "number": scene.number}


def results(held: Any, number: int, found: dict[str, Tensor]) -> list[dict[str, Any]]:
    """What a detector found in an image, as COCO's results: boxes, scores, masks in run lengths."""
    categories = sorted(held.getCatIds())
    boxes = found["boxes"].clone()
    boxes[:, 2:] -= boxes[:, :2]
    drawn = (found["masks"][:, 0] > 0.5).to(torch.uint8).numpy()
    runs = masks.encode(np.asfortranarray(drawn.transpose(1, 2, 0))) if len(drawn) else []
    return [
        {
            "image_id": number,
            "category_id": categories[label - 1],
            "bbox": box,
            "score": score,
            "segmentation": run,
        }
        for label, box, score, run in zip(
            found["labels"].tolist(), boxes.tolist(), found["scores"].tolist(), runs, strict=True
        )
    ]


def average_precision(held: Any, numbers: list[int], found: list[dict[str, Any]]) -> dict[str, float]:
    """AP, AP50 and AP75 in percent of boxes (`box_*`) and masks (`mask_*`) over some images, by COCO's own rules."""
    got: dict[str, float] = {}
    kinds: dict[str, Literal["bbox", "segm"]] = {"box": "bbox", "mask": "segm"}
    for what, kind in kinds.items():
        measures = coco.average_precision(held, found, kind, numbers)
        got |= {f"{what}_{name.upper()}": measures.get(name, 0.0) for name in coco.MEASURES[:3]}
    return got
