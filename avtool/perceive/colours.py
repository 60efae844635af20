"""The colours of things by TagAlign, where its words and the pixels themselves agree."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from avtool.timeline import Attribute, Box, Thing, Track

if TYPE_CHECKING:
    from avtool.media.probe import Probe

# What is asked of, and what it looks like, RGB.
COLOURS = {
    "red": (195, 30, 35),
    "orange": (240, 130, 30),
    "yellow": (235, 205, 45),
    "green": (45, 130, 60),
    "blue": (40, 85, 180),
    "purple": (110, 50, 140),
    "pink": (240, 150, 180),
    "brown": (105, 65, 40),
    "black": (20, 20, 22),
    "white": (240, 240, 240),
    "grey": (125, 125, 127),
}
# Things of which a colour tells something.
COLOURED = frozenset(
    (
        *("bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "bench"),
        *("cat", "dog", "horse", "cow", "bear", "backpack", "umbrella", "handbag", "tie", "suitcase"),
        *("kite", "bottle", "cup", "bowl", "chair", "couch", "bed", "vase", "book", "teddy bear"),
    )
)
# Least probability of a word among all colours, and least share of the pixels that are nearest to it. The first is not
# calibrated, for CLIP's weights were not at hand; the second keeps it from calling grey what no pixel bears out.
LEAST, SHARE = 0.8, 0.25
# Of a box, this much in the middle is looked at: its corners show what is behind.
MIDDLE = 0.6
LARGE = 0.01  # of the picture: smaller things have too few patches


def look(film: Probe, things: Sequence[Thing], tracks: Sequence[Track], weights: Path) -> list[Attribute]:
    """The colour of each thing that is alone of its kind in its shot, where it is sure."""
    from avtool.media.frames import grab
    from avtool.tag import locator

    asked = []
    for thing in things:
        own = [track for track in tracks if (track.shot, track.label) == (thing.shot, thing.label)]
        if thing.label not in COLOURED or thing.count != 1 or not own:
            continue
        longest = max(own, key=lambda track: len(track.times))
        at = len(longest.times) // 2
        x0, y0, x1, y1 = longest.boxes[at]
        if (x1 - x0) * (y1 - y0) >= LARGE:
            asked.append((thing.label, thing.shot, longest.times[at], longest.boxes[at]))
    found = []
    for label, some in groupby(sorted(asked), key=lambda one: one[0]):
        compare = locator([f"{colour} {label}" for colour in COLOURS], weights)
        for _, shot, time, box in some:
            picture = grab(film, [time])[0]
            colour, sure = surest(compare.likeliest(picture, middle(box)))
            if sure >= LEAST and share(picture, box, colour) >= SHARE:
                found.append(Attribute(label, shot, colour, time, sure))
    return sorted(found, key=lambda one: (one.shot, one.label))


def surest(likely: np.ndarray) -> tuple[str, float]:
    """The colour of the highest of some probabilities (COLOURS,), and how high it is."""
    best = int(likely.argmax())
    return list(COLOURS)[best], float(likely[best])


def middle(box: Box) -> Box:
    """The middle of a box."""
    x0, y0, x1, y1 = box
    dx, dy = (x1 - x0) * (1 - MIDDLE) / 2, (y1 - y0) * (1 - MIDDLE) / 2
    return x0 + dx, y0 + dy, x1 - dx, y1 - dy


def share(picture: np.ndarray, box: Box, colour: str) -> float:
    """The share of the pixels in the middle of a box of picture (H, W, 3), RGB uint8, that of all colours are nearest
    to this one, by CIELAB."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = middle(box)
    rows = slice(int(y0 * height), max(int(y1 * height), int(y0 * height) + 1))
    columns = slice(int(x0 * width), max(int(x1 * width), int(x0 * width) + 1))
    pixels = _lab(picture[rows, columns].reshape(1, -1, 3))
    named = _lab(np.array([list(COLOURS.values())], np.uint8))
    nearest = np.linalg.norm(pixels[:, None] - named[None], axis=-1).argmin(1)
    return float((nearest == list(COLOURS).index(colour)).mean())


def _lab(pixels: np.ndarray) -> np.ndarray:
    """pixels (1, n, 3), RGB uint8 -> (n, 3)."""
    return cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
