"""Images as films give them: shots of a few scenes, and of each shot many frames that are nearly the same."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from avmodels.data.toy_images import SHAPES, shape_mask, write

# Scenes, frames of a shot, and pixels along a side.
SCENES, FRAMES, SIDE = 8, 64, 40
# Hue, in half degrees, by which the colours of a scene are shifted in a shot, and drift within it.
SHIFT, DRIFT = 8, 8


def make(folder: Path, train: int, held_out: int) -> None:
    """Writes `folder`/{train,val}/SCENE/*.png, about so many frames; the scene is the class.

    A scene has a shape before a backdrop of stripes, and two colours, which its shots shift as another light would;
    no shot is in both parts.
    """
    for part, (name, count) in enumerate((("train", train), ("val", held_out))):
        for shot in range(-(-count // FRAMES)):
            number = shot % SCENES
            made = scene(number)
            place = folder / name / f"{number:02}-{SHAPES[made.shape]}"
            place.mkdir(parents=True, exist_ok=True)
            for frame, picture in enumerate(frames(made, np.random.default_rng([part, shot]))):
                write(place / f"{shot:04}-{frame:02}.png", picture)


class Scene(NamedTuple):
    """What a scene's shots share: a shape, two hues in half degrees, and the stripes behind, in radians a pixel
    along x and y."""

    shape: int
    hues: np.ndarray
    stripes: np.ndarray


def scene(number: int) -> Scene:
    """The scene of a number, always the same."""
    draw = np.random.default_rng([2, number])
    angle, rate = draw.uniform(0, np.pi), draw.uniform(0.5, 1.6)
    return Scene(
        number % len(SHAPES), draw.uniform(0, 180, 2), rate * np.array([np.cos(angle), np.sin(angle)])
    )


def frames(scene: Scene, draw: np.random.Generator) -> list[np.ndarray]:
    """The frames (SIDE, SIDE, 3), uint8, of one shot. The shape turns once, the stripes pass by; places, size,
    colours and light wander."""
    shifted, start = scene.hues + draw.normal(0, SHIFT, 2), draw.uniform(0, 2 * np.pi, 2)
    across, down = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    made = []
    for time, (x, y, size, light, *drift) in enumerate(wander(6, draw).T):
        back, front = (
            colour(hue + DRIFT * by, value) for hue, by, value in zip(shifted, drift, (130, 210), strict=True)
        )
        centre, radius = SIDE / 2 + 4 * np.array([x, y]), SIDE * (0.24 + 0.04 * size)
        turn, phase = start + 2 * np.pi * time / FRAMES
        mask = shape_mask(scene.shape, (SIDE, SIDE), centre, radius, turn)
        share = mask[..., None].astype(np.float32) / 255
        stripes = np.sin(scene.stripes[0] * across + scene.stripes[1] * down + phase)[..., None]
        picture = back * (1 + 0.4 * stripes) * (1 - share) + front * share
        noise = draw.normal(0, 4, picture.shape)
        made.append((picture * (1 + 0.15 * light) + noise).clip(0, 255).astype(np.uint8))
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
