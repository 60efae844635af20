"""Thumbnails show the right moment in the right shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avtool.media.probe import probe
from avtool.media.thumbnails import thumbnail
from tests.media import clips


@pytest.mark.parametrize("degrees", [0, 90])
def test_thumbnail(folder: Path, plain: Path, degrees: int) -> None:
    path = clips.copy(folder / f"thumbnail-{degrees}.mp4", plain, display_rotation=degrees)
    height = 64 if degrees else 48
    picture = thumbnail(probe(path), 30 * clips.FRAME, height)
    assert picture.size == ((38, 64) if degrees else (80, 48))
    assert clips.number(np.rot90(np.asarray(picture), -degrees // 90)) == 30
