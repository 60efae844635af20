"""Squares cut out of a picture, as the networks for bodies and faces want them."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np


class Square(NamedTuple):
    """A square of a picture in whole pixels; it may reach beyond the picture's edge."""

    left: int
    top: int
    side: int


def around(x: float, y: float, side: float) -> Square:
    """The square of `side` pixels whose centre is at (x, y)."""
    whole = max(1, round(side))
    return Square(round(x - whole / 2), round(y - whole / 2), whole)


def cut(frame: np.ndarray, square: Square, size: int) -> np.ndarray:
    """What `square` shows of `frame`, as uint8 (size, size, 3); black beyond the picture's edge."""
    left, top, side = square
    nth = side // size
    if nth > 1:  # every n-th pixel and line: a large square need not be copied whole to be made small
        frame = frame[::nth, ::nth]
        left, top, side = round(left / nth), round(top / nth), round(side / nth)
    height, width = frame.shape[:2]
    canvas = np.zeros((side, side, 3), np.uint8)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    if x0 < x1 and y0 < y1:
        canvas[y0 - top : y1 - top, x0 - left : x1 - left] = frame[y0:y1, x0:x1]
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(canvas, (size, size), interpolation=interpolation)
