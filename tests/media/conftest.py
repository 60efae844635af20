"""Clips that several tests read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.media import clips


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def plain(folder: Path) -> Path:
    """Two seconds of H.264 with B-frames and a beep at 1 s."""
    return clips.write(folder / "plain.mp4", clips.picture(), clips.beep(), **clips.X264, acodec="aac")
