"""A keyframe, whatever data set it is of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class Keyframe:
    """One picture of a video of `frames` pictures, which `pattern` names in `folder` by numbers from 1, and who is
    there: boxes (n, 4), x1 y1 x2 y2 as shares of the picture, and actions (n, classes), True for what they do.
    `centre` is the number of the keyframe's picture, from 0."""

    image: str
    folder: Path
    pattern: str
    frames: int
    centre: int
    boxes: np.ndarray
    actions: np.ndarray

    def __str__(self) -> str:
        return self.image
