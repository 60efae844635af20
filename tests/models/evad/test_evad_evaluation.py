"""EVAD's test on a folder laid out as AVA."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from avmodels.engine import processes, weights
from avmodels.errors import DataError
from avmodels.evad import ava, data, evaluation, recipe
from avmodels.evad.average_precision import Boxes, average_precisions
from avmodels.evad.config import Detection
from avmodels.evad.detections import Detections
from avmodels.evad.evaluation import Found

CONFIG = Detection.model_validate(
    {
        "recipe": "detect",
        "about": "for tests",
        "model": {"size": "vit-tiny", "classes": 3},
        "data": {"short_side": 64},
        "schedule": {"lr": 1.0e-3},
        "training": {"epochs": 1, "batch": 1, "precision": "fp32", "workers": 0},
    }
)
LABELS = {1: "stand", 3: "wave"}
ANNOTATIONS = """film,0902,0.100,0.200,0.400,0.900,1,0
film,0902,0.100,0.200,0.400,0.900,3,0
film,0902,0.500,0.200,0.800,0.900,1,1
film,0903,0.300,0.300,0.600,0.800,3,0
film,0904,0.300,0.300,0.600,0.800,1,0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of noise, two keyframes to judge and one that is excluded."""
    root = tmp_path_factory.mktemp("ava")
    for name in ("frames/film", "frame_lists", "annotations"):
        (root / name).mkdir(parents=True)
    generator = np.random.default_rng(0)
    wanted = {int(n) for second in (2, 3) for n in range(30 * second - 32, 30 * second + 32)}
    for number in sorted(wanted):
        picture = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(root / f"frames/film/film_{number + 1:06}.jpg"), picture)
    lines = ["original_vido_id video_id frame_id path labels"]
    lines += [f'film 0 {n} film/film_{n + 1:06}.jpg ""' for n in range(122)]
    (root / "frame_lists/val.csv").write_text("\n".join(lines) + "\n")
    (root / "annotations/ava_val_v2.2.csv").write_text(ANNOTATIONS)
    (root / "annotations/ava_val_excluded_timestamps_v2.2.csv").write_text("film,0904\n")
    labels = "".join(f'item {{\n  name: "{name}"\n  id: {n}\n}}\n' for n, name in LABELS.items())
    (root / "annotations/ava_action_list_v2.2_for_activitynet_2019.pbtxt").write_text(labels)
    return root


def test_a_split_is_read_person_by_person(folder: Path) -> None:
    found = data.read(folder, "val", CONFIG)
    assert found.labels == LABELS
    assert [keyframe.image for keyframe in found.keyframes] == ["film,0902", "film,0903"]
    first = found.keyframes[0]
    assert (first.centre, first.frames) == (60, 122)
    assert first.boxes[:, 0].tolist() == [0.1, 0.5]
    assert first.actions.tolist() == [[True, False, True], [True, False, False]]
    clip = data.reader(CONFIG)(first)
    assert clip["video"].shape == (3, 8, 64, 85) and clip["original"].tolist() == [48, 64]
    assert clip["boxes"].shape == (2, 4) and clip["actions"].shape == (2, 3)
    mirrored = data.reader(CONFIG, flip=1.0)(first)
    assert (clip["boxes"][:, 0] + mirrored["boxes"][:, 2] - 63 * 64 / 48).abs().max() < 0.01


def test_the_network_is_judged_by_what_it_wrote(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = recipe.build(CONFIG)
    torch.nn.init.uniform_(model.proposals.boxes.weight, 0.3, 0.6)
    path = tmp_path / "model.safetensors"
    weights.write(model.state_dict(), path, recipe.about(CONFIG))
    recipe.evaluate(CONFIG, path, folder, tmp_path / "first")
    found = ava.read_boxes(tmp_path / "first/detections.csv", scored=True)
    assert set(found.images) == {"film,0902", "film,0903"} and set(found.labels) == set(LABELS)

    # What it is surest of in each second is declared true.
    best = found.where(np.argsort(-found.scores, kind="stable"))
    best = best.where(np.unique(np.char.add(best.images, best.labels.astype(str)), return_index=True)[1])
    shutil.copytree(folder, tmp_path / "ava")
    ava.write_boxes(best, tmp_path / "ava/annotations/ava_val_v2.2.csv")
    metrics = recipe.evaluate(CONFIG, path, tmp_path / "ava", tmp_path / "second")
    assert metrics["keyframes"] == 2 and metrics["unreadable"] == 0
    want = 100 * np.mean(average_precisions(best, found, sorted(LABELS), [0.5], "activitynet"))
    assert metrics["frame_map_50"] == pytest.approx(want, abs=1) and want > 1
    assert (tmp_path / "second/classes.csv").read_text().splitlines()[2].startswith("3,wave,2,")


def test_finding_everyone_is_worth_a_hundred(folder: Path) -> None:
    split = data.read(folder, "val", CONFIG)
    found = [
        Found(
            number,
            Detections(
                torch.zeros(0), *map(torch.from_numpy, (one.boxes, one.boxes[:, 0], one.actions * 1.0))
            ),
            np.pad(one.boxes, ((0, 0), (0, 1)), constant_values=0.9),
        )
        for number, one in enumerate(split.keyframes)
    ]
    rows = evaluation.rows_of(found[::-1], sorted(split.labels))
    assert rows.images.tolist() == [0, 0, 0, 0, 1, 1]
    scores = evaluation.judge(split, rows, CONFIG)
    assert (scores == 1).all()
    people = evaluation.people_precision(split.keyframes, found)
    assert people == {"person_ap": 100, "person_ap50": 100, "person_ap75": 100}
    doubled = [one._replace(proposals=np.concatenate([one.proposals] * 2)) for one in found[:1]]
    assert evaluation.people_precision(split.keyframes, doubled)["person_ap50"] == pytest.approx(
        100 * 67 / 101
    )
    nobody = evaluation.rows_of([], sorted(split.labels))
    assert (evaluation.judge(split, nobody, CONFIG) == 0).all()


def test_missing_pictures_are_told(folder: Path, tmp_path: Path) -> None:
    split = data.read(folder, "val", CONFIG)
    lost = [replace(keyframe, folder=tmp_path / "film") for keyframe in split.keyframes]
    model, here = recipe.build(CONFIG).eval(), processes.accelerator()
    with pytest.raises(DataError, match="2 of 2 keyframes cannot be read"):
        evaluation.test(model, split._replace(keyframes=lost), tmp_path, CONFIG, here)


def test_what_is_wrong_with_a_folder_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*ava_train_v2.2.csv"):
        data.read(folder, "train", CONFIG)
    narrow = CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"classes": 2})})
    with pytest.raises(DataError, match="action 3 is not among 2 classes"):
        data.read(folder, "val", narrow)
    (tmp_path / "list.csv").write_text("a header with four columns\nfilm 0\n")
    with pytest.raises(DataError, match="line 2: expected 5 columns"):
        data.read_lengths(tmp_path / "list.csv")


def test_written_detections_are_read_again(tmp_path: Path) -> None:
    rows = Boxes(
        np.array(["v,0902"]), np.array([[0.1, 0.25, 0.5, 0.75]]), np.array([3]), np.array([0.123456])
    )
    ava.write_boxes(rows, tmp_path / "d.csv")
    assert (tmp_path / "d.csv").read_text() == "v,0902,0.100,0.250,0.500,0.750,3,0.1235\n"
    assert not list(tmp_path.glob("*.part"))
