"""Toy pictures with captions: figures of a shape and a colour, and where each colour and shape is."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from avmodels.data.toy_images import SHAPES, shape_mask
from avmodels.tag_align import miou
from avmodels.tag_align.parsing import parse

SIDE = 96
FIGURES = ("disc", "ring", "square", "star", "triangle")
COLOURS = {
    "red": (225, 35, 30),
    "green": (30, 190, 50),
    "blue": (40, 70, 230),
    "yellow": (240, 220, 40),
    "white": (250, 250, 250),
}
# What is said of three figures.
SENTENCES = (
    "a {}, a {} and a {}",
    "a {} and a {} with a {}",
    "there is a {} between a {} and a {}",
    "a {} next to a {} and a {}",
)
# The label of pixels that are of no figure.
NOWHERE = miou.IGNORED


def make(folder: Path, train: int, held_out: int) -> None:
    """Pictures of three figures, and captions that name them.

    `train/` with captions.csv and the tags that are parsed out of it (tags.csv, tags.json). `val/` has figures in
    colours that they never have in training, and two data sets to measure on: colours.json and shapes.json.
    """
    rows = []
    for part, (name, count) in enumerate((("train", train), ("val", held_out))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for kind in ("colours", "shapes"):
            (folder / "labels" / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            draw = np.random.default_rng([part, number])
            figures = some(draw, held_out=part == 1)
            picture, colours, shapes = paint(figures, draw)
            path = f"{name}/{number:05}.png"
            Image.fromarray(picture).save(folder / path)
            if part == 0:
                named = [f"{list(COLOURS)[colour]} {FIGURES[shape]}" for shape, colour in figures]
                rows.append((path, SENTENCES[draw.integers(len(SENTENCES))].format(*named)))
            else:
                Image.fromarray(colours).save(folder / f"labels/colours/{number:05}.png")
                Image.fromarray(shapes).save(folder / f"labels/shapes/{number:05}.png")
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "caption"), *rows])
    parse(folder, objects=len(FIGURES), attributes=len(COLOURS), least=2)
    for kind, words in (("colours", tuple(COLOURS)), ("shapes", FIGURES)):
        described = {
            "folder": ".",
            "image": "val/{id}.png",
            "label": f"labels/{kind}/{{id}}.png",
            "classes": list(words),
            "background": False,
            "bounds": [SIDE, SIDE],
        }
        (folder / f"{kind}.json").write_text(json.dumps(described))


def some(draw: np.random.Generator, held_out: bool) -> list[tuple[int, int]]:
    """Three figures, (shape, colour) each, of different shapes and colours; every fifth combination is seen in
    what is held out alone, and there always."""
    while True:
        shapes, colours = draw.permutation(len(FIGURES))[:3], draw.permutation(len(COLOURS))[:3]
        figures = [(int(shape), int(colour)) for shape, colour in zip(shapes, colours, strict=True)]
        if all((shape == colour) == held_out for shape, colour in figures):
            return figures


def paint(
    figures: list[tuple[int, int]], draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The picture (SIDE, SIDE, 3), each figure in a quarter of its own, and which colour and which shape each of its
    pixels is of, (SIDE, SIDE) each: NOWHERE outside the figures."""
    grey = draw.uniform(90, 170) + draw.uniform(-25, 25, (2, 2, 1)).repeat(3, axis=2)
    picture = cv2.resize(grey.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    colours, shapes = np.full((2, SIDE, SIDE), NOWHERE, np.uint8)
    for (shape, colour), quarter in zip(figures, draw.permutation(4), strict=False):
        radius = draw.uniform(0.15, 0.19) * SIDE
        down, right = divmod(int(quarter), 2)
        centre = SIDE * (np.array([0.25 + 0.5 * right, 0.25 + 0.5 * down]) + draw.uniform(-0.05, 0.05, 2))
        turn = draw.uniform(0, 2 * np.pi)
        mask = shape_mask(SHAPES.index(FIGURES[shape]), (SIDE, SIDE), centre, radius, turn)
        share = mask[..., None].astype(np.float32) / 255
        tint = np.array(list(COLOURS.values())[colour]) + draw.uniform(-12, 12, 3)
        picture = picture * (1 - share) + tint * share
        colours[mask > 127], shapes[mask > 127] = colour, shape
    return (picture + draw.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8), colours, shapes
