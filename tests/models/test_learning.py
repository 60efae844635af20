"""The tiny configurations learn: far better than chance on held-out toy videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avmodels import run, zoo
from avmodels.data import toy
from avmodels.data.clips import Video


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy data set as `avtool data toy` makes it."""
    folder = tmp_path_factory.mktemp("many")
    toy.make("videomae-v2", folder, 640, 160)
    return folder


@pytest.mark.slow
def test_tiny_names_the_motion(many: Path, tmp_path: Path) -> None:
    config = zoo.load("videomae-v2", "tiny")
    run.train("videomae-v2", config, many, tmp_path / "run")
    metrics = run.evaluate(
        "videomae-v2", config, tmp_path / "run/model.safetensors", many, tmp_path / "scores"
    )
    assert metrics["top1"] > 60  # chance is 12.5


@pytest.mark.slow
def test_tiny_pretrain_fills_in(many: Path, tmp_path: Path) -> None:
    config = zoo.load("videomae-v2", "tiny-pretrain")
    run.train("videomae-v2", config, many / "unlabelled", tmp_path / "run")
    weights = tmp_path / "run/model.safetensors"
    metrics = run.evaluate("videomae-v2", config, weights, many / "unlabelled", tmp_path / "scores")
    pixels = np.stack([Video(path).frames(np.arange(24)) for path in sorted((many / "val").iterdir())]) / 255
    assert metrics["loss"] < pixels.var() / 2  # chance: every pixel at the mean


def test_toy_data_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        toy.make("videomae-v2", tmp_path / name, 8, 8)
    for path in sorted((tmp_path / "one").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
    held_out = {path.read_bytes() for path in (tmp_path / "one/val").iterdir()}
    assert not held_out & {path.read_bytes() for path in (tmp_path / "one/train").iterdir()}
