"""Images as films give them: shots of a few scenes, and of each shot many frames that are nearly the same."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from avmodels.data.toy_images import SHAPES, shape_mask, write

# Scenes, frames of a shot, and pixels along a side.
SCENES, FRAMES, SIDE = 16, 32, 40
# Hue, in half degrees, by which the colours of a scene are shifted in a shot, and drift within it.
SHIFT, DRIFT = 8, 8


def make(folder: Path, train: int, held_out: int) -> None:
    """Writes `folder`/{train,val}/SCENE/*.png, about so many frames; the scene is the class.

    A scene has a shape and two colours, which its shots shift as another light would; no shot is in both parts.
    """
    for part, (name, count) in enumerate((("train", train), ("val", held_out))):
        for shot in range(-(-count // FRAMES)):
            scene = shot % SCENES
            shape = scene % len(SHAPES)
            place = folder / name / f"{scene:02}-{SHAPES[shape]}"
            place.mkdir(parents=True, exist_ok=True)
            hues = np.random.default_rng([2, scene]).uniform(0, 180, 2)
            for number, frame in enumerate(frames(shape, hues, np.random.default_rng([part, shot]))):
                write(place / f"{shot:04}-{number:02}.png", frame)


def frames(shape: int, hues: np.ndarray, draw: np.random.Generator) -> list[np.ndarray]:
    """The frames (SIDE, SIDE, 3), uint8, of one shot: the shape in the second hue before the first. It turns once;
    places, size, colours and light wander."""
    shifted, start = hues + draw.normal(0, SHIFT, 2), draw.uniform(0, 2 * np.pi)
    made = []
    for time, (x, y, size, light, *drift, left, right) in enumerate(wander(8, draw).T):
        back, front = (
            colour(hue + DRIFT * by, value) for hue, by, value in zip(shifted, drift, (130, 210), strict=True)
        )
        centre, radius = SIDE / 2 + 4 * np.array([x, y]), SIDE * (0.28 + 0.05 * size)
        turn = start + 2 * np.pi * time / FRAMES
        mask = shape_mask(shape, (SIDE, SIDE), centre, radius, turn)
        share = mask[..., None].astype(np.float32) / 255
        slope = np.linspace(left, right, SIDE)[:, None]
        picture = (back * (1 - share) + front * share) * (1 + 0.15 * light + 0.1 * slope)
        made.append((picture + draw.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8))
    return made


def wander(paths: int, draw: np.random.Generator) -> np.ndarray:
    """Smooth random closed paths (paths, FRAMES) of mean 0 and deviation 1 or so."""
    times = 2 * np.pi * np.arange(FRAMES) / FRAMES
    waves = np.concatenate([wave(rate * times)[None] for rate in (1, 2) for wave in (np.sin, np.cos)])
    return draw.normal(0, 1 / np.sqrt(2), (paths, len(waves))) @ waves


def colour(hue: float, value: float) -> np.ndarray:
    """The RGB of a hue, in half degrees, and a brightness in [0, 255]."""
    pixel = np.array([[[hue % 180, 150, value]]], np.uint8)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
