"""Toy images of shapes, in ImageNet's layout of folders."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from avmodels.data.toy_actions import contrast, texture

# What an image shows; the number is the label. The names are in alphabetical order, as readers number them.
SHAPES = ("cross", "disc", "hexagon", "ring", "square", "star", "stripes", "triangle")
SIDE = 64


def make(folder: Path, train: int, held_out: int) -> None:
    """Images of one shape before a soft texture, `train`/SHAPE/*.png and `val`/SHAPE/*.png.

    Colours, places, sizes, turns and textures vary freely: only the shape tells the class.
    """
    for part, (name, count) in enumerate((("train", train), ("val", held_out))):
        for label, shape in enumerate(SHAPES):
            (folder / name / shape).mkdir(parents=True, exist_ok=True)
            for number in range(label, count, len(SHAPES)):
                image = picture(label, np.random.default_rng([part, number]))
                write(folder / name / shape / f"{number:05}.png", image)


def picture(label: int, draw: np.random.Generator) -> np.ndarray:
    """An image (SIDE, SIDE, 3) uint8 of SHAPES[label]."""
    image = texture(draw)
    radius = draw.uniform(0.2, 0.36) * SIDE
    centre = draw.uniform(radius, SIDE - radius, 2)
    colour = contrast(image, draw)
    mask = shape_mask(label, (SIDE, SIDE), centre, radius, draw.uniform(0, 2 * np.pi))
    share = mask[..., None].astype(np.float32) / 255
    image = image * (1 - share) + np.array(colour, np.float32) * share
    return (image + draw.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8)


def shape_mask(
    label: int, size: tuple[int, int], centre: np.ndarray, radius: float, turn: float
) -> np.ndarray:
    """Where SHAPES[label] is in a picture of `size` (height, width): 255 inside, soft at the edge; (H, W) uint8.

    `centre` is x, y in pixels, `turn` in radians.
    """
    mask = np.zeros(size, np.uint8)

    def at(angle: float | np.ndarray, distance: float | np.ndarray) -> np.ndarray:
        """Points at an angle and a share of the radius, with four binary places."""
        way = np.stack([np.cos(angle + turn), np.sin(angle + turn)], axis=-1)
        return ((centre + radius * np.asarray(distance)[..., None] * way) * 16).round().astype(np.int32)

    def polygon(corners: int, inner: float | None = None) -> None:
        """A regular polygon, or a star where every second corner is at `inner`."""
        angles = np.arange(corners) * 2 * np.pi / corners
        distances = np.ones(corners)
        if inner is not None:
            distances[1::2] = inner
        cv2.fillPoly(mask, [at(angles, distances)], (255,), cv2.LINE_AA, shift=4)

    def bar(across: float, half: float) -> None:
        """A bar along the turn, `across` beside the centre and 2 x `half` wide, in shares of the radius."""
        reach = (1 - across**2) ** 0.5
        corners = np.array(
            [(reach, across - half), (reach, across + half), (-reach, across + half), (-reach, across - half)]
        )
        angles, distances = np.arctan2(corners[:, 1], corners[:, 0]), np.hypot(corners[:, 0], corners[:, 1])
        cv2.fillPoly(mask, [at(angles, distances)], (255,), cv2.LINE_AA, shift=4)

    x, y = (int(value) for value in (centre * 16).round())
    match SHAPES[label]:
        case "cross":
            bar(0, 0.28)
            turn += np.pi / 2
            bar(0, 0.28)
        case "disc":
            cv2.circle(mask, (x, y), int(radius * 16), (255,), -1, cv2.LINE_AA, shift=4)
        case "hexagon":
            polygon(6)
        case "ring":
            cv2.circle(mask, (x, y), int(radius * 16), (255,), -1, cv2.LINE_AA, shift=4)
            cv2.circle(mask, (x, y), int(radius * 9), (0,), -1, cv2.LINE_AA, shift=4)
        case "square":
            polygon(4)
        case "star":
            polygon(10, 0.4)
        case "stripes":
            for across in (-0.65, 0.0, 0.65):
                bar(across, 0.17)
        case "triangle":
            polygon(3)
    return mask


def write(path: Path, image: np.ndarray) -> None:
    """An RGB image (H, W, 3) uint8 as a file of the kind its suffix names."""
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
