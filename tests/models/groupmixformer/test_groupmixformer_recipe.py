"""GroupMixFormer trains, resumes and is judged: classes, pixels and objects."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from avmodels import run, zoo
from avmodels.data import toy, toy_scenes
from avmodels.engine.schedule import Length
from avmodels.errors import DataError
from avmodels.groupmixformer import ade20k, coco, descent
from avmodels.groupmixformer.config import Scenes, Steepness
from avmodels.groupmixformer.loss import segmentation_loss
from avmodels.metrics.coco import average_precision

SYSTEM = "groupmixformer"
BRIEF = (
    "model.widths=[10, 20, 20, 40]",
    "model.depths=[1, 1, 1, 1]",
    "training.batch=4",
    "training.epochs=1",
    "training.workers=0",
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    toy.make("imagenet", folder, 16, 8)
    return folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    toy.make("ade20k", folder, 8, 4)
    return folder


def trained(variant: str, data: Path, folder: Path, *settings: str, init: Path | None = None) -> Path:
    config = zoo.load(SYSTEM, variant, (*BRIEF, *settings))
    run.train(SYSTEM, config, data, folder, init=init)
    return folder / "model.safetensors"


def judged(variant: str, weights: Path, data: Path, folder: Path, *settings: str) -> dict[str, float]:
    return run.evaluate(SYSTEM, zoo.load(SYSTEM, variant, (*BRIEF, *settings)), weights, data, folder)


def last_metrics(folder: Path) -> dict[str, Any]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return next(record for record in map(json.loads, reversed(lines)) if "held_out" in record)


@pytest.mark.parametrize("mix", [True, False])
def test_a_classifier_trains_and_is_judged_as_while_training(images: Path, tmp_path: Path, mix: bool) -> None:
    weights = trained("toy", images, tmp_path / "run", f"data.mix={mix}")
    metrics = judged("toy", weights, images, tmp_path)
    assert metrics["held_out"] == 8
    assert metrics["top1"] == last_metrics(tmp_path / "run")["top1"]
    again = trained("toy", images, tmp_path / "again", f"data.mix={mix}")
    one, other = load_file(weights), load_file(again)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_segmenter_starts_from_a_classifier_and_is_judged(
    images: Path, scenes: Path, tmp_path: Path
) -> None:
    classifier = trained("toy", images, tmp_path / "classifier")
    for head in ("semantic-fpn", "upernet"):
        settings = (f"model.head={head}", "data.side=64")
        weights = trained("toy-semantic-fpn", scenes, tmp_path / head, *settings, init=classifier)
        metrics = judged("toy-semantic-fpn", weights, scenes, tmp_path, *settings)
        assert 0 <= metrics["miou"] <= metrics["mean_accuracy"] <= 100
        assert metrics["miou"] == pytest.approx(last_metrics(tmp_path / head)["miou"])


def test_a_detector_starts_from_a_classifier_and_is_judged(
    images: Path, scenes: Path, tmp_path: Path
) -> None:
    classifier = trained("toy", images, tmp_path / "classifier")
    weights = trained("toy-mask-rcnn", scenes, tmp_path / "run", init=classifier)
    metrics = judged("toy-mask-rcnn", weights, scenes, tmp_path)
    assert 0 <= metrics["ap"] <= 100 and metrics["held_out"] == 4


def test_true_scenes_get_full_marks(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = zoo.load(SYSTEM, "toy-semantic-fpn", BRIEF)
    held_out = ade20k.scenes(scenes, "validation")
    truths = iter([ade20k.pixels(scene)[1] for scene in held_out])

    def perfect(model: object, image: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
        truth = torch.from_numpy(next(truths).astype(np.int64))
        assert truth.shape == size
        return (truth - 1).clamp(min=0)

    monkeypatch.setattr(ade20k, "predicted", perfect)
    from avmodels.engine import processes

    here = processes.accelerator("fp32")
    metrics = ade20k.evaluate(torch.nn.Identity(), held_out, Scenes(side=64), 9, config.training, here)
    assert metrics["miou"] == metrics["mean_accuracy"] == metrics["accuracy"] == 100


def test_true_objects_get_full_marks_and_moved_ones_fewer(scenes: Path) -> None:
    objects = coco.Objects(scenes, "val", len(toy_scenes.SHAPES))
    rows: dict[int, list[dict[str, Any]]] = {0: [], 4: []}
    for view in objects.views:
        target = objects.target(view)
        assert len(target["boxes"]) == len(target["masks"]) > 0
        for box, mask in zip(target["boxes"].long(), target["masks"], strict=True):
            rows_in, columns_in = mask.nonzero().unbind(1)
            edges = (columns_in.min(), rows_in.min(), columns_in.max() + 1, rows_in.max() + 1)
            assert tuple(box.tolist()) == tuple(int(edge) for edge in edges)
        for shift, found in rows.items():
            moved = {
                "boxes": target["boxes"] + shift,
                "labels": target["labels"],
                "scores": torch.ones(len(target["labels"])),
                "masks": target["masks"][:, None].roll((shift, shift), (2, 3)).float(),
            }
            found += coco.results(view.number, moved, objects.categories)
    for kind in ("bbox", "segm"):
        assert average_precision(objects.coco, rows[0], kind)["ap"] == pytest.approx(100)
        assert average_precision(objects.coco, rows[4], kind)["ap"] < 80
    assert average_precision(objects.coco, [], "bbox")["ap"] == 0


def test_a_mirrored_object_keeps_its_box_about_its_mask(scenes: Path) -> None:
    objects = coco.Objects(scenes, "train", len(toy_scenes.SHAPES))
    read = coco.training_reader(objects)
    boxes = set()
    for _ in range(12):
        (sample,) = read(objects.views[0])
        columns = sample["target"]["masks"][0].any(0).nonzero()
        x0, _, x1, _ = sample["target"]["boxes"][0].tolist()
        assert (x0, x1) == (columns.min().item(), columns.max().item() + 1)
        boxes.add((x0, x1))
    assert len(boxes) == 2


def test_a_training_crop_keeps_classes_with_their_pixels(scenes: Path) -> None:
    read = ade20k.training_reader(Scenes(side=80), 9)
    for scene in ade20k.scenes(scenes, "training"):
        (sample,) = read(scene)
        assert sample["image"].shape == (3, 80, 80) and sample["truth"].shape == (80, 80)
        labels = set(sample["truth"].unique().tolist())
        assert labels <= set(range(-1, 9)) and 0 in labels


def test_pixels_without_class_do_not_count() -> None:
    scores = torch.randn(2, 3, 4, 4)
    truth = torch.randint(0, 3, (2, 4, 4))
    truth[0] = -1
    want = torch.nn.functional.cross_entropy(scores[1:], truth[1:])
    torch.testing.assert_close(segmentation_loss([scores], truth), want)
    torch.testing.assert_close(segmentation_loss([scores, scores], truth), 1.4 * want)
    assert segmentation_loss([scores], torch.full_like(truth, -1)) == 0


def test_the_rate_follows_the_images_of_a_step() -> None:
    rate = descent.adamw(Steepness(warmup_epochs=2)).rate
    length = Length(total=100, an_epoch=10, clips=1024)
    rates = [rate(step, length) for step in range(100)]
    assert rates[0] == rates[1] == 2 * 5e-7
    assert rates[1:21] == sorted(rates[1:21]) and rates[21:] == sorted(rates[21:], reverse=True)
    assert rates[20] == pytest.approx(2 * (5e-4 - (5e-4 - 5e-7) / 20))
    assert rates[-1] > 2 * 5e-6


def test_bad_data_are_said_in_a_line(scenes: Path, images: Path, tmp_path: Path) -> None:
    config = zoo.load(SYSTEM, "toy", (*BRIEF, "model.classes=9"))
    with pytest.raises(DataError, match="has 8 folders of classes, the network 9 classes"):
        run.train(SYSTEM, config, images, tmp_path / "a")
    with pytest.raises(DataError, match="has 8 categories, the network 5 classes"):
        coco.Objects(scenes, "val", 5)
    (tmp_path / "annotations").mkdir()
    path = tmp_path / "annotations" / "instances_val2017.json"
    for text in ("{", '{"images": [{"id": 1}]}', "[]"):
        path.write_text(text)
        with pytest.raises(DataError, match=re.escape(str(path))):
            coco.Objects(tmp_path, "val", 5)
    (tmp_path / "images/training").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "images/training/a.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="has no annotation at"):
        ade20k.scenes(tmp_path, "training")
    (tmp_path / "annotations/training").mkdir()
    cv2.imwrite(str(tmp_path / "annotations/training/a.png"), np.zeros((8, 9), np.uint8))
    with pytest.raises(DataError, match="one byte for every pixel"):
        ade20k.pixels(ade20k.scenes(tmp_path, "training")[0])
    cv2.imwrite(str(tmp_path / "annotations/training/a.png"), np.full((8, 8), 10, np.uint8))
    with pytest.raises(DataError, match="has class 10, the network 9 classes"):
        ade20k.training_reader(Scenes(side=8), 9)(ade20k.scenes(tmp_path, "training")[0])


@pytest.mark.slow
def test_toy_names_shapes(tmp_path: Path) -> None:
    toy.make("imagenet", tmp_path / "toy", 640, 160)
    config = zoo.load(SYSTEM, "toy")
    run.train(SYSTEM, config, tmp_path / "toy", tmp_path / "run")
    weights = tmp_path / "run/model.safetensors"
    metrics = run.evaluate(SYSTEM, config, weights, tmp_path / "toy", tmp_path)
    assert metrics["top1"] > 45  # chance is 12.5


@pytest.mark.slow
def test_toy_semantic_fpn_finds_the_pixels_of_shapes(tmp_path: Path) -> None:
    toy.make("ade20k", tmp_path / "toy", 320, 40)
    config = zoo.load(SYSTEM, "toy-semantic-fpn")
    run.train(SYSTEM, config, tmp_path / "toy", tmp_path / "run")
    weights = tmp_path / "run/model.safetensors"
    metrics = run.evaluate(SYSTEM, config, weights, tmp_path / "toy", tmp_path)
    assert metrics["miou"] > 30  # all ground would be 10
