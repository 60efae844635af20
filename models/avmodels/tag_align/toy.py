"""Toy pictures with captions: figures of a shape and a colour, and where each colour and shape is."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from avmodels.data.toy_actions import texture
from avmodels.data.toy_images import SHAPES, SIDE, shape_mask
from avmodels.tag_align.parsing import parse

FIGURES = ("disc", "ring", "square", "star", "triangle")
COLOURS = {
    "red": (225, 35, 30),
    "green": (30, 190, 50),
    "blue": (40, 70, 230),
    "yellow": (240, 220, 40),
    "white": (250, 250, 250),
}
# What is said of two figures.
PAIRS = (
    "a {} and a {}",
    "a {} beside a {}",
    "a {} next to a {}",
    "there is a {} with a {}",
)


def make(folder: Path, train: int, held_out: int) -> None:
    """Pictures of two figures, and captions that name both.

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
            figures = pair(draw, held_out=part == 1)
            picture, colours, shapes = paint(figures, draw)
            path = f"{name}/{number:05}.png"
            Image.fromarray(picture).save(folder / path)
            if part == 0:
                named = [f"{list(COLOURS)[colour]} {FIGURES[shape]}" for shape, colour in figures]
                rows.append((path, PAIRS[draw.integers(len(PAIRS))].format(*named)))
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
            "classes": ["background", *words],
            "background": True,
            "bounds": [SIDE, SIDE],
        }
        (folder / f"{kind}.json").write_text(json.dumps(described))


def pair(draw: np.random.Generator, held_out: bool) -> list[tuple[int, int]]:
    """Two figures, (shape, colour) each, of different shapes and colours; every fifth combination is seen in
    what is held out alone, and there always."""
    while True:
        shapes, colours = draw.permutation(len(FIGURES))[:2], draw.permutation(len(COLOURS))[:2]
        figures = [(int(shape), int(colour)) for shape, colour in zip(shapes, colours, strict=True)]
        if all((shape == colour) == held_out for shape, colour in figures):
            return figures


def paint(
    figures: list[tuple[int, int]], draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The picture (SIDE, SIDE, 3), and where each colour and each shape is, (SIDE, SIDE) each: 0 is nowhere."""
    picture = texture(draw).astype(np.float32) * 0.6
    colours, shapes = np.zeros((2, SIDE, SIDE), np.uint8)
    left = draw.permutation(2)
    for (shape, colour), side in zip(figures, left, strict=True):
        radius = draw.uniform(0.17, 0.22) * SIDE
        centre = np.array([(0.25 + 0.5 * side) * SIDE, draw.uniform(radius, SIDE - radius)])
        mask = shape_mask(
            SHAPES.index(FIGURES[shape]), (SIDE, SIDE), centre, radius, draw.uniform(0, 2 * np.pi)
        )
        share = mask[..., None].astype(np.float32) / 255
        paint = np.array(list(COLOURS.values())[colour], np.float32)
        picture = picture * (1 - share) + paint * share
        colours[mask > 127], shapes[mask > 127] = colour + 1, shape + 1
    return (picture + draw.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8), colours, shapes
