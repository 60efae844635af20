"""Toy images made once, and a configuration that takes a step in a blink."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avmodels import zoo
from avmodels.data import toy_images

SMALL = (
    "model.side=16",
    "model.hidden=16",
    "model.width=8",
    "model.bank=24",
    "learning.neighbours=3",
    "training.epochs=2",
    "training.batch=16",
)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of eight shapes, eight of each to learn from and eight held out."""
    folder = tmp_path_factory.mktemp("shapes")
    toy_images.make(folder, 64, 64)
    return folder


def small(*settings: str) -> Any:
    """The tiny configuration made smaller yet, with settings changed."""
    return zoo.load("snclr", "tiny", (*SMALL, *settings))
