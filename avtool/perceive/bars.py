"""Black bars: the letterbox or pillarbox around a picture, which the networks of sight should not see."""

from __future__ import annotations

import numpy as np

FINE = 180  # pixels of the shorter side that tell where bars end
BLACK = 32  # of 255: what is nowhere brighter is black


def inside(frames: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the picture between bars that are black in all `frames` (n, height, width, 3).

    What would leave less than half of the height or width is not a picture between bars but something bright
    on black, such as a title: then it is the whole.
    """
    height, width = frames.shape[1:3]
    lit = frames.max(axis=(0, 3)) >= BLACK
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if not rows.size or rows[-1] - rows[0] < height / 2 or columns[-1] - columns[0] < width / 2:
        return slice(0, height), slice(0, width)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def without(frame: np.ndarray) -> np.ndarray:
    """The picture between the bars of one `frame` (height, width, 3), told from every n-th pixel and line."""
    nth = max(1, min(frame.shape[:2]) // FINE)
    rows, columns = inside(frame[None, ::nth, ::nth])
    return frame[rows.start * nth : rows.stop * nth, columns.start * nth : columns.stop * nth]
