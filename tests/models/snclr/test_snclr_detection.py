"""Detection on an encoder: COCO's files read, its measure, and a detector that learns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as masks

from avmodels import run, zoo
from avmodels.data.toy_images import shape_mask, write
from avmodels.engine import weights
from avmodels.engine.log import records
from avmodels.errors import DataError
from avmodels.snclr import coco, recipe
from avmodels.snclr.model import SNCLR

SMALL = (
    "model.size=resnet14",
    "model.classes=2",
    "model.short=64",
    "model.long=80",
    "training.batch=2",
    "training.epochs=1",
    "training.workers=0",
    "training.precision=fp32",
)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO folder of four images to learn from and two held out, a disc and a square in each, the second class
    numbered 7; one image is without objects."""
    folder = tmp_path_factory.mktemp("coco")
    (folder / "annotations").mkdir()
    for part, count in (("train", 4), ("val", 2)):
        (folder / f"{part}2017").mkdir()
        pictures, objects = [], []
        for number in range(count + (part == "train")):
            image = np.full((64, 80, 3), 60, np.uint8)
            name = f"{number:03}.png"
            pictures.append({"id": number, "file_name": name, "height": 64, "width": 80})
            for category, shape, x in ((1, 1, 22), (7, 4, 58)) if number < count else ():
                mask = (shape_mask(shape, (64, 80), np.array([x, 20 + 5 * number]), 14, 0) > 127).astype(
                    np.uint8
                )
                image[mask > 0] = (250, 80 * (category == 1), 20)
                run_lengths: Any = masks.encode(np.asfortranarray(mask))
                run_lengths["counts"] = run_lengths["counts"].decode()
                objects.append(
                    {
                        "id": len(objects) + 1,
                        "image_id": number,
                        "category_id": category,
                        "bbox": masks.toBbox(run_lengths).tolist(),
                        "area": int(mask.sum()),
                        "iscrowd": 0,
                        "segmentation": run_lengths,
                    }
                )
            write(folder / f"{part}2017" / name, image)
        document = {
            "images": pictures,
            "annotations": objects,
            "categories": [{"id": 1, "name": "disc"}, {"id": 7, "name": "square"}],
        }
        (folder / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(document))
    return folder


def test_the_truth_itself_has_full_precision(marked: Path) -> None:
    held = coco.truth(marked, "val")
    scenes = coco.scenes(held, marked, "val", marked=True)
    found = []
    for scene in scenes:
        boxes = torch.tensor([one["bbox"] for one in scene.objects])
        boxes[:, 2:] += boxes[:, :2]
        perfect = {
            "boxes": boxes,
            "labels": torch.tensor([1, 2]),
            "scores": torch.ones(2),
            "masks": torch.stack([torch.from_numpy(held.annToMask(one)) for one in scene.objects])[
                :, None
            ].float(),
        }
        found += coco.results(held, scene.number, perfect)
    numbers = [scene.number for scene in scenes]
    measured = coco.average_precision(held, numbers, found)
    assert measured["box_AP"] == measured["mask_AP"] == pytest.approx(100)
    wrong = [{**one, "category_id": 8 - one["category_id"]} for one in found]
    assert coco.average_precision(held, numbers, wrong)["box_AP"] == 0
    assert coco.average_precision(held, [0], [])["box_AP"] == 0


def test_mirrored_boxes_lie_around_mirrored_masks(marked: Path) -> None:
    held = coco.truth(marked, "train")
    scene = coco.scenes(held, marked, "train", marked=True)[0]
    for _ in range(8):
        target = coco.training_sample(scene, held)["target"]
        for (x0, y0, x1, y1), mask in zip(target["boxes"].tolist(), target["masks"], strict=True):
            rows, columns = np.nonzero(mask.numpy())
            assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x0, y0, x1, y1)
        assert target["labels"].tolist() == [1, 2]


@pytest.mark.slow
def test_a_detector_starts_from_pretraining_and_learns(marked: Path, tmp_path: Path) -> None:
    pretraining = zoo.load("snclr", "resnet50", ("model.size=resnet14", "model.hidden=8", "model.bank=40"))
    model = recipe.build(pretraining)
    assert isinstance(model, SNCLR)
    weights.write(model.state_dict(), tmp_path / "pre.safetensors", recipe.about(pretraining))
    config = zoo.load("snclr", "resnet50-coco", (*SMALL, "training.epochs=6"))
    run.train("snclr", config, marked, tmp_path / "run", init=tmp_path / "pre.safetensors")
    losses = [record["loss"] for record in records(tmp_path / "run") if "loss" in record]
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:2])
    metrics = run.evaluate("snclr", config, tmp_path / "run/model.safetensors", marked, tmp_path / "results")
    assert metrics["held_out"] == 2 and 0 <= metrics["mask_AP"] <= 100


def test_other_classes_are_refused(marked: Path, tmp_path: Path) -> None:
    config = zoo.load("snclr", "resnet50-coco", (*SMALL, "model.classes=3"))
    with pytest.raises(DataError, match="3 classes of objects"):
        run.train("snclr", config, marked, tmp_path)
    with pytest.raises(DataError, match="cannot read the annotations"):
        coco.truth(tmp_path, "train")
