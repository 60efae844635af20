"""EVAD on UCF101-24 and JHMDB: files, frame and video precision, linking, and the whole test."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from avmodels.engine import weights
from avmodels.errors import DataError
from avmodels.evad import data, recipe, tubes
from avmodels.evad.average_precision import Boxes
from avmodels.evad.config import Detection
from avmodels.evad.tube_evaluation import linked_tubes, true_boxes
from avmodels.evad.tube_precision import FoundTube, frame_precision, iou, link, tube_iou, video_precision
from avmodels.evad.tubes import Clip, Tube

CONFIG = Detection.model_validate(
    {
        "recipe": "detect",
        "about": "for tests",
        "model": {"size": "vit-tiny", "classes": 2},
        "data": {"annotations": "jhmdb", "short_side": 64},
        "schedule": {"lr": 1.0e-3},
        "training": {"epochs": 1, "batch": 1, "precision": "fp32", "workers": 0},
    }
)
ROWS = np.array([[2, 10, 10, 29, 49], [3, 12, 10, 31, 49], [4, 14, 10, 33, 49]], np.float32)


def document() -> dict:
    """One training and one test video of 5 frames, 60 x 90, somebody waving in three of them."""
    return {
        "labels": ["run", "wave"],
        "train_videos": [["run/a"]],
        "test_videos": [["wave/b"]],
        "nframes": {"run/a": 5, "wave/b": 5},
        "resolution": {"run/a": (60, 90), "wave/b": (60, 90)},
        "gttubes": {"run/a": {0: [ROWS]}, "wave/b": {1: [ROWS]}},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "JHMDB-GT.pkl").write_bytes(pickle.dumps(document(), protocol=2))
    draw = np.random.default_rng(0)
    for name in ("run/a", "wave/b"):
        (tmp_path / "Frames" / name).mkdir(parents=True)
        for number in range(1, 6):
            picture = draw.integers(0, 256, (60, 90, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / f"Frames/{name}/{number:05}.png"), picture)
    return tmp_path


def test_every_annotated_frame_is_a_keyframe(folder: Path) -> None:
    labels, clips = tubes.read(folder, "jhmdb", "train", 1)
    assert labels == ["run", "wave"] and [clip.name for clip in clips] == ["run/a"]
    found = tubes.keyframes(clips, folder, "jhmdb", 2, annotated=True)
    assert [(keyframe.image, keyframe.centre) for keyframe in found] == [
        ("run/a,00002", 1),
        ("run/a,00003", 2),
        ("run/a,00004", 3),
    ]
    np.testing.assert_allclose(found[0].boxes, [[10 / 90, 10 / 60, 29 / 90, 49 / 60]])
    assert found[0].actions.tolist() == [[True, False]]
    assert len(tubes.keyframes(clips, folder, "jhmdb", 2, annotated=False)) == 5


def test_what_is_wrong_with_annotations_is_told(folder: Path) -> None:
    with pytest.raises(DataError, match="1 splits, not one number 3"):
        tubes.read(folder, "jhmdb", "train", 3)
    with pytest.raises(DataError, match="cannot read"):
        tubes.read(folder, "ucf101-24", "train", 1)
    path = folder / "JHMDB-GT.pkl"
    path.write_bytes(pickle.dumps(Path("/etc")))
    with pytest.raises(DataError, match="it asks for pathlib"):
        tubes.read(folder, "jhmdb", "train", 1)
    wrong = document()
    wrong["gttubes"]["run/a"] = {7: [ROWS]}
    path.write_bytes(pickle.dumps(wrong))
    with pytest.raises(DataError, match="label 7 of run/a"):
        tubes.read(folder, "jhmdb", "train", 1)
    del wrong["nframes"]
    path.write_bytes(pickle.dumps(wrong))
    with pytest.raises(DataError, match="nframes"):
        tubes.read(folder, "jhmdb", "train", 1)


def frames(*rows: tuple[str, tuple[float, ...], float]) -> Boxes:
    images, corners, scores = zip(*rows, strict=True)
    return Boxes(np.array(images), np.array(corners, float), np.zeros(len(rows), int), np.array(scores))


def test_frame_precision_is_a_raw_trapezoid_with_second_choices() -> None:
    one, other = (0.0, 0.0, 9.0, 9.0), (0.0, 0.0, 9.0, 8.0)
    truth = frames(("v,1", one, 1), ("v,1", other, 1))
    # Both take a box: the second finds the first's taken, and takes the other.
    assert frame_precision(truth, frames(("v,1", one, 0.9), ("v,1", one, 0.8)), 0, 0.5) == 1
    # A miss between two hits: points (0, 1), (.5, 1), (.5, .5), (1, 2/3).
    far = (50.0, 50.0, 60.0, 60.0)
    found = frames(("v,1", one, 0.9), ("v,1", far, 0.8), ("v,1", one, 0.7))
    assert frame_precision(truth, found, 0, 0.5) == pytest.approx(0.5 + 0.5 * (0.5 + 2 / 3) / 2)
    assert np.isnan(frame_precision(truth, found, 1, 0.5))
    # Sides count whole pixels.
    assert iou(np.array([0, 0, 9, 9]), np.array([[0, 0, 9, 4]]))[0] == 0.5


def test_tubes_overlap_in_space_and_time() -> None:
    tube = Tube(0, np.arange(1, 11), np.tile([0.0, 0, 9, 9], (10, 1)))
    half = Tube(0, np.arange(6, 11), np.tile([0.0, 0, 9, 4], (5, 1)))
    assert tube_iou(tube, tube) == 1
    assert tube_iou(tube, half) == 0.25
    clip = Clip("v", 10, (20, 20), [tube])
    assert video_precision([clip], {"v": [FoundTube(tube, 0.5)]}, 0, 0.9) == 1
    assert video_precision([clip], {"v": [FoundTube(half, 0.5)]}, 0, 0.5) == 0
    assert video_precision([clip], {}, 0, 0.5) == 0


def test_linking_fills_gaps_and_ends_where_nobody_is() -> None:
    def here(x: float) -> np.ndarray:
        return np.array([[x, 0.0, x + 9, 9.0]])

    score, nothing = np.array([0.5]), (np.zeros((0, 4)), np.zeros(0))
    seen = {1: (here(0), score), 2: nothing, 3: (here(2), score)}
    seen |= {number: nothing for number in range(4, 10)} | {10: (here(2), score)}
    first, second = sorted(link(seen, 3, shortest=1), key=lambda one: one.tube.frames[0])
    assert first.tube.frames.tolist() == [1, 2, 3] and first.tube.corners[1, 0] == 1
    assert second.tube.frames.tolist() == [10] and first.tube.label == 3
    assert [one.tube.frames[0] for one in link(seen, 3, shortest=2)] == [1]


def test_the_truth_itself_is_worth_a_hundred(folder: Path) -> None:
    _, clips = tubes.read(folder, "jhmdb", "val", 1)
    truth = true_boxes(clips)
    linked = linked_tubes(truth, 1)
    assert frame_precision(truth, truth, 1, 0.5) == 1
    assert video_precision(clips, linked, 1, 0.9) == 1


def test_a_network_trains_and_is_judged(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    metrics = recipe.train(CONFIG, folder, run, None, False)
    assert metrics["keyframes"] == 5 and {"frame_map_50", "video_map_20", "video_map"} <= metrics.keys()
    again = recipe.evaluate(CONFIG, run / "model.safetensors", folder, tmp_path / "scores")
    assert again == metrics
    assert weights.metadata(run / "model.safetensors")["labels"] == '{"1": "run", "2": "wave"}'
    assert (tmp_path / "scores/classes.csv").read_text().splitlines()[0].startswith("action,frame_map_50")
    narrow = CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"classes": 3})})
    with pytest.raises(DataError, match="2 actions, model.classes is 3"):
        data.tubes_of(folder, "val", narrow)
