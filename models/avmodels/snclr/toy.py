"""Photos of some things, each taken many times at any angle: near-duplicates that no view makes of one another."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from avmodels.data.toy_images import write

# Things, pixels along a side of a photo, and patches along a side of a thing's pattern.
THINGS, SIDE, PATCHES = 32, 32, 3


def make(folder: Path, train: int, held_out: int) -> None:
    """Writes `folder`/{train,val}/THING/*.png, so many photos in all; the thing is the class."""
    patterns = [pattern(np.random.default_rng([2, number])) for number in range(THINGS)]
    for part, (name, count) in enumerate((("train", train), ("val", held_out))):
        for number in range(count):
            place = folder / name / f"{number % THINGS:02}"
            place.mkdir(parents=True, exist_ok=True)
            taken = photo(patterns[number % THINGS], np.random.default_rng([part, number]))
            write(place / f"{number:05}.png", taken)


def pattern(draw: np.random.Generator) -> np.ndarray:
    """What a thing looks like: soft patches of colour, (SIDE, SIDE, 3) float32."""
    patches = draw.normal(size=(PATCHES, PATCHES, 3)).astype(np.float32)
    soft = cv2.resize(patches, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return 128 + 60 * (soft - soft.mean()) / soft.std()


def photo(pattern: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """A round piece of a pattern before grey, (SIDE, SIDE, 3) uint8: turned by any angle, and a little moved,
    scaled and lit."""
    centre = SIDE / 2 + draw.uniform(-1, 1, 2)
    radius = SIDE * draw.uniform(0.29, 0.39)
    turned = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), draw.uniform(0, 360), 2 * radius / SIDE)
    turned[:, 2] += centre - SIDE / 2
    thing = cv2.warpAffine(pattern, turned, (SIDE, SIDE)) * (1 + 0.15 * draw.normal())
    across, down = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    share = (radius - np.hypot(across - centre[0], down - centre[1]) + 0.5).clip(0, 1)[..., None]
    picture = 128 * (1 - share) + thing * share
    return (picture + draw.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8)
