"""Toy scenes of several shapes, in the layouts of ADE20K and of COCO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avmodels.data.toy_actions import contrast
from avmodels.data.toy_images import SHAPES, shape_mask, write

SIZE = 96, 128
# ADE20K's number of the ground; shapes come after it. Edges, where a pixel is of both, have none, which is 0.
GROUND = 1
# So many shapes at most.
MOST = 4


def make(folder: Path, train: int, held_out: int) -> None:
    """Scenes with the class of every pixel, and the same with the outlines of their objects.

    `images` and `annotations/{training,validation}` are ADE20K's, `{train,val}2017` and `annotations/*.json` COCO's.
    """
    for part, (count, ade, coco) in enumerate(
        ((train, "training", "train2017"), (held_out, "validation", "val2017"))
    ):
        for path in (f"images/{ade}", f"annotations/{ade}", coco):
            (folder / path).mkdir(parents=True, exist_ok=True)
        document: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
        document["categories"] = [{"id": 10 * (k + 1), "name": name} for k, name in enumerate(SHAPES)]
        for number in range(count):
            image, masks, labels = scene(np.random.default_rng([part, number]))
            name = f"{number:05}.png"
            write(folder / "images" / ade / name, image)
            write(folder / coco / name, image)
            cv2.imwrite(str(folder / "annotations" / ade / name), pixel_classes(masks, labels))
            height, width = SIZE
            document["images"].append({"id": number + 1, "file_name": name, "height": height, "width": width})
            for mask, label in zip(masks, labels, strict=True):
                found = annotation(mask, label)
                document["annotations"].append(
                    found | {"id": len(document["annotations"]) + 1, "image_id": number + 1}
                )
        (folder / "annotations" / f"instances_{coco}.json").write_text(json.dumps(document))


def scene(draw: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray], list[int]]:
    """An image (H, W, 3) uint8 of one to four shapes apart from one another, their masks (H, W), 255 inside and
    soft at the edge, and their numbers in SHAPES."""
    coarse = (draw.uniform(0, 200, 3) + draw.uniform(-25, 25, (2, 3, 3))).astype(np.float32)
    image = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_LINEAR).clip(0, 255)
    masks, labels = [], []
    taken = np.zeros(SIZE, bool)
    for _ in range(int(draw.integers(1, MOST + 1))):
        label, radius = int(draw.integers(len(SHAPES))), draw.uniform(12, 24)
        centre = draw.uniform(radius, np.array(SIZE[::-1]) - radius)
        mask = shape_mask(label, SIZE, centre, radius, draw.uniform(0, 2 * np.pi))
        if (taken & (mask > 0)).any():
            continue
        taken |= cv2.dilate(mask, np.ones((5, 5))) > 0
        share = mask[..., None].astype(np.float32) / 255
        image = image * (1 - share) + np.array(contrast(image, draw), np.float32) * share
        masks.append(mask)
        labels.append(label)
    image = (image + draw.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8)
    return image, masks, labels


def pixel_classes(masks: list[np.ndarray], labels: list[int]) -> np.ndarray:
    """Every pixel's class as ADE20K numbers them, (H, W) uint8."""
    classes = np.full(SIZE, GROUND, np.uint8)
    for mask, label in zip(masks, labels, strict=True):
        classes[mask > 0] = 0
        classes[mask == 255] = GROUND + 1 + label
    return classes


def annotation(mask: np.ndarray, label: int) -> dict[str, Any]:
    """An object as COCO lists it, its outline as uncompressed runs down the columns: outside, inside, outside ..."""
    inside = mask > 127
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    down = inside.ravel(order="F")
    turns = np.flatnonzero(np.diff(np.concatenate([[False], down]).astype(np.int8)))
    counts = np.diff(np.concatenate([[0], turns, [down.size]]))
    x, y, right, bottom = (int(edge) for edge in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    return {
        "category_id": 10 * (label + 1),
        "bbox": [x, y, right - x, bottom - y],
        "area": int(inside.sum()),
        "iscrowd": 0,
        "segmentation": {"size": list(SIZE), "counts": counts.tolist()},
    }
