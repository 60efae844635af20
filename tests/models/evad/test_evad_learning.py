"""The tiny configuration learns who does what from how they move, and cannot without the order of time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avmodels import run, zoo
from avmodels.data import toy
from avmodels.evad import ava, data
from avmodels.evad.toy import ACTIONS, scene


@pytest.mark.slow
def test_tiny_finds_figures_and_reads_their_motion(tmp_path: Path) -> None:
    toy.make("evad", tmp_path / "toy", 640, 160)
    config = zoo.load("evad", "tiny")
    run.train("evad", config, tmp_path / "toy", tmp_path / "run")
    weights = tmp_path / "run/model.safetensors"
    metrics = run.evaluate("evad", config, weights, tmp_path / "toy", tmp_path / "scores")
    assert metrics["frame_map_50"] > 60  # chance is 17 with every box right
    mixed = zoo.load("evad", "tiny", ("data.shuffle=true",))
    shuffled = run.evaluate("evad", mixed, weights, tmp_path / "toy", tmp_path / "mixed")
    assert shuffled["frame_map_50"] < 0.6 * metrics["frame_map_50"]


def test_toy_data_are_avas_and_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        toy.make("evad", tmp_path / name, 3, 2)
    for path in sorted((tmp_path / "one").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
    config = zoo.load("evad", "tiny")
    train = data.read(tmp_path / "one", "train", config)
    assert train.labels == dict(enumerate(ACTIONS, start=1))
    assert [keyframe.image for keyframe in train.keyframes] == [f"train-00,{s:04}" for s in (902, 903, 904)]
    assert ava.read_excluded(tmp_path / "one/annotations/ava_val_excluded_timestamps_v2.2.csv") == set()


def test_what_a_figure_does_shows_in_no_keyframe() -> None:
    back, figures = scene(np.random.default_rng(0))
    pictures = []
    for action in ACTIONS:
        frame = back.copy()
        replace(figures[0], action=action).draw(frame, 0.0)
        pictures.append(frame)
    assert all((picture == pictures[0]).all() for picture in pictures) and (pictures[0] != back).any()


def test_shuffling_keeps_the_keyframe_where_it_is() -> None:
    numbers = np.arange(100, 116)
    mixed = data.shuffled(numbers)
    assert mixed[8] == 108 and sorted(mixed) == numbers.tolist() and (mixed != numbers).any()
