"""Toy data made once, and configurations small enough for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avmodels import zoo
from avmodels.data import toy

# A network that takes a few steps in a second.
SMALL = (
    "model.side=16",
    "model.frames=4",
    "training.batch=4",
    "training.epochs=2",
    "training.workers=0",
    "data.repeats=2",
)


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy data set of 24 training and 16 held-out videos."""
    folder = tmp_path_factory.mktemp("toys")
    toy.make("videomae-v2", folder, 24, 16)
    return folder


def small(variant: str, *settings: str) -> Any:
    """A tiny configuration with settings changed."""
    return zoo.load("videomae-v2", variant, (*SMALL, *settings))
