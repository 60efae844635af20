"""EVAD's files, views, schedule and average precision."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avmodels.engine import config as configs
from avmodels.engine.descent import adamw
from avmodels.engine.schedule import Length
from avmodels.errors import ConfigError, DataError
from avmodels.evad import ava, views
from avmodels.evad.average_precision import Boxes, Protocol, average_precisions, ranks, sure_scores
from avmodels.evad.config import Detection, Schedule

CONFIGS = files("avmodels.evad").joinpath("configs")
VARIANTS = sorted(path.name for path in CONFIGS.iterdir())


# --- average precision --------------------------------------------------------------------------------------


def boxes(*rows: tuple[str, tuple[float, float, float, float], int, float]) -> Boxes:
    """Boxes from rows of image, corners, label, score."""
    images, corners, labels, scores = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Boxes(
        np.array(images, str), np.array(corners, float).reshape(-1, 4), np.array(labels), np.array(scores)
    )


HERE, THERE = (0.1, 0.1, 0.5, 0.5), (0.6, 0.6, 0.9, 0.9)


def precision(truth: Boxes, found: Boxes, protocol: Protocol = "repository") -> float:
    """Average precision of class 1 at IoU 0.5."""
    return average_precisions(truth, found, [1], [0.5], protocol)[0, 0]


def test_the_first_of_two_takes_the_box_by_the_order_of_the_protocol() -> None:
    truth = boxes(("a", HERE, 1, 1))
    found = boxes(("a", HERE, 1, 0.2), ("a", HERE, 1, 0.9))
    assert precision(truth, found) == 0.5
    assert precision(truth, found, "sorted") == 1
    assert precision(truth, found, "activitynet") == 1


def test_there_is_no_second_choice() -> None:
    near = (0.1, 0.1, 0.5, 0.48)
    truth = boxes(("a", HERE, 1, 1), ("a", near, 1, 1))
    found = boxes(("a", HERE, 1, 0.9), ("a", HERE, 1, 0.8))
    assert precision(truth, found) == 0.5


def test_the_official_script_reads_the_best_50_rows_of_an_image() -> None:
    truth = boxes(("a", HERE, 1, 1), ("b", HERE, 1, 1))
    others = [("a", THERE, 2, 0.5 + n / 1000) for n in range(50)]
    found = boxes(("a", HERE, 1, 0.4), *others, ("b", HERE, 1, 0.3))
    both = average_precisions(truth, found, [1, 2], [0.5], "activitynet")
    assert both[0, 0] == 0.5 and np.isnan(both[0, 1])
    # Rows of classes that are not judged do not count among them.
    assert precision(truth, found, "activitynet") == 1
    assert average_precisions(truth, found, [1, 2], [0.5], "sorted")[0, 0] == 1


def test_the_official_script_passes_over_images_it_does_not_know() -> None:
    truth = boxes(("a", HERE, 1, 1), ("b", HERE, 7, 1))
    found = boxes(("a", HERE, 1, 0.3), ("b", HERE, 1, 0.4), ("c", HERE, 1, 0.5))
    assert precision(truth, found) == pytest.approx(1 / 3)
    # `b` has a true box, if of a class that is not judged.
    assert precision(truth, found, "activitynet") == 0.5


def test_boxes_without_area_are_left_out() -> None:
    truth = boxes(("a", HERE, 1, 1))
    flat = boxes(
        ("a", (0.5, 0.1, 0.5, 0.6), 1, 0.9), ("a", (0.6, 0.7, 0.5, 0.8), 1, 0.8), ("a", HERE, 1, 0.5)
    )
    assert precision(truth, flat) == 1


def test_nothing_found_and_nothing_true() -> None:
    truth = boxes(("a", HERE, 1, 1))
    assert precision(truth, boxes()) == 0
    assert np.isnan(average_precisions(truth, boxes(("a", HERE, 2, 1)), [2], [0.5], "sorted")[0, 0])


corner = st.tuples(*(st.integers(0, 6) for _ in range(4))).map(
    lambda c: (c[0] / 10, c[1] / 10, (c[0] + c[2] + 1) / 10, (c[1] + c[3] + 1) / 10)
)
row = st.tuples(st.sampled_from("abc"), corner, st.sampled_from([1, 2]))


@given(st.lists(row, min_size=1, max_size=8), st.lists(row, max_size=12), st.randoms())
def test_average_precision_agrees_with_box_by_box(truth: list, found: list, random) -> None:
    scores = random.sample(range(1, 100), len(found))
    ours = [(*one, score / 100) for one, score in zip(found, scores, strict=True)]
    got = average_precisions(
        boxes(*((*one, 1.0) for one in truth)), boxes(*ours), [1, 2], [0.3, 0.5], "repository"
    )
    for column, label in enumerate((1, 2)):
        for line, threshold in enumerate((0.3, 0.5)):
            want = box_by_box(
                [t for t in truth if t[2] == label], [f for f in ours if f[2] == label], threshold
            )
            np.testing.assert_allclose(got[line, column], want)


def box_by_box(truth: list, found: list, threshold: float) -> float:
    """The same, as one would do it by hand."""
    if not truth:
        return float("nan")
    free, right = set(range(len(truth))), []
    for image, corners, _, score in found:
        shares = [(overlap(corners, t[1]), -n) for n, t in enumerate(truth) if t[0] == image]
        best, number = max(shares, default=(0.0, 1))
        hit = best >= threshold and -number in free
        free -= {-number} if hit else set()
        right.append((score, hit))
    total, hits, points = 0.0, 0, []
    for place, (_, hit) in enumerate(sorted(right, reverse=True), start=1):
        hits += hit
        points.append((hits / place, hit))
    for number, (_, hit) in enumerate(points):
        total += max(share for share, _ in points[number:]) if hit else 0
    return total / len(truth)


def overlap(one: tuple, other: tuple) -> float:
    wide, high = (min(one[k + 2], other[k + 2]) - max(one[k], other[k]) for k in (0, 1))
    common = max(wide, 0) * max(high, 0)
    areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return common / (areas - common)


def test_a_score_is_sure_from_where_on_most_is_right() -> None:
    truth = boxes(*((str(n), HERE, 1, 1) for n in range(20)))
    right = [(str(n), HERE, 1, 0.9 - n / 100) for n in range(16)]
    wrong = [(str(n), THERE, 1, 0.7 - n / 100) for n in range(8)]
    (least,) = sure_scores(truth, boxes(*right, *wrong), [1], 0.8)
    assert least == pytest.approx(0.67)  # 16 of 20 are right
    assert np.isnan(sure_scores(truth, boxes(*right[:9]), [1], 0.8)).all()  # too few to tell
    assert np.isnan(sure_scores(truth, boxes(), [1, 2], 0.8)).all()


def test_ranks_count_within_an_image() -> None:
    assert ranks(np.array(list("abacb"))).tolist() == [0, 0, 1, 0, 1]


# --- files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "v,902,0.1,0.2,0.3,0.4,11,0\nv,902,0.1,0.2,0.3,11,0\n",
            r"line 2: expected `video, second, x1.*person`",
        ),
        ("v,902,0.1,0.2,0.3,nan,11,0\n", "line 1: expected"),
        ("v,902,0.1,0.2,0.3,0.4,eleven,0\n", "line 1: expected"),
        ("v,soon,0.1,0.2,0.3,0.4,11,0\n", "line 1: expected .* got 'v,soon"),
        ("v\n", "line 1: expected"),
        (None, "cannot read"),
    ],
)
def test_a_wrong_annotation_is_told_by_line(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "ava.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=message):
        ava.read_boxes(path, scored=False)


def test_annotations_are_read(tmp_path: Path) -> None:
    path = tmp_path / "ava.csv"
    path.write_text("v,0902,0.1,0.2,0.3,0.4,11,0\n\nv,903\nw,1000,0,0,1,1,80,0.25\n")
    truth, found = ava.read_boxes(path, scored=False), ava.read_boxes(path, scored=True)
    assert truth.images.tolist() == ["v,0902", "w,1000"] and truth.labels.tolist() == [11, 80]
    assert truth.scores.tolist() == [1, 1] and found.scores.tolist() == [0, 0.25]
    (tmp_path / "excluded.csv").write_text("v,902\n")
    kept = ava.without(found, ava.read_excluded(tmp_path / "excluded.csv"))
    assert kept.images.tolist() == ["w,1000"]
    (tmp_path / "empty.csv").write_text("")
    assert ava.read_boxes(tmp_path / "empty.csv", scored=True).corners.shape == (0, 4)


def test_a_label_map_is_read_with_either_key(tmp_path: Path) -> None:
    path = tmp_path / "labels.pbtxt"
    path.write_text('item {\n  name: "sit"\n  id: 11\n}\nlabel {\n  name: "stand"\n  label_id: 12\n}\n')
    assert ava.read_labels(path) == {11: "sit", 12: "stand"}
    path.write_text("sit\nstand\n")
    with pytest.raises(DataError, match="is no label map"):
        ava.read_labels(path)


# --- clips --------------------------------------------------------------------------------------------------


def test_frames_beyond_the_video_repeat_its_ends() -> None:
    assert views.clip_frames(0, 1).tolist() == [0] * 16
    assert views.clip_frames(32, 64).tolist() == list(range(0, 64, 4))
    assert views.clip_frames(60, 62)[8:].tolist() == [60, 61, 61, 61, 61, 61, 61, 61]


@pytest.mark.parametrize(
    ("height", "width", "size"), [(360, 640, (288, 512)), (640, 360, (512, 288)), (100, 1000, (133, 1333))]
)
def test_the_short_side_decides_unless_the_long_is_too_long(height: int, width: int, size: tuple) -> None:
    frames = np.zeros((1, height, width, 3), np.uint8)
    clip, corners = views.view(frames, np.array([[-0.5, 0.0, 2.0, 1.0]]), 288, 1333)
    assert clip.shape == (3, 1, *size)
    assert (corners >= 0).all() and (corners[:, 2:] <= [size[1] - 1, size[0] - 1]).all()


def test_a_mirrored_clip_is_mirrored_with_its_boxes() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
    corners = np.array([[0.25, 0.25, 0.5, 0.75]])
    straight, ours = views.view(frames, corners, 32, 100)
    mirrored, theirs = views.view(frames, corners, 32, 100, flip=True)
    assert (straight.flip(-1) == mirrored).all()
    assert theirs.tolist() == [[47 - ours[0, 2], ours[0, 1], 47 - ours[0, 0], ours[0, 3]]]


# --- configurations -----------------------------------------------------------------------------------------


def read(variant: str, section: str = "model", **settings: Any) -> Detection:
    document = configs.read_yaml(Path(str(CONFIGS.joinpath(variant))))
    document[section].update(settings)
    return configs.validate(document, Detection, variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_configuration_is_valid(variant: str) -> None:
    config = read(variant)
    assert configs.validate(json.loads(config.model_dump_json()), Detection, variant) == config


def test_too_small_a_share_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves 6% of the tokens"):
        read("vit-b-ktp.yaml", "model", keep_rate=0.4)
    with pytest.raises(ConfigError, match="must begin at 0"):
        read("vit-b-ktp.yaml", "schedule", steps=[[1, 1.0]])


@given(st.floats(0, 12))
def test_the_rate_never_leaves_its_bounds(epoch: float) -> None:
    schedule = Schedule(lr=2.5e-5)
    length = Length(total=1200, an_epoch=100, clips=8)
    assert 2.5e-7 * 0.999 <= adamw(schedule).rate(int(epoch * 100), length) <= 2.5e-5 * 1.001
