"""The files of AVA: boxes with actions as csv, excluded seconds, and the label map."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from avmodels.errors import DataError, SpaceError
from avmodels.evad.average_precision import Boxes

Parsed = TypeVar("Parsed")
# What begins an entry of the label map, and what its lines say.
NAME = re.compile(r'^\s*name:\s*"(.*)"\s*$')
NUMBER = re.compile(r"^\s*(?:label_)?id:\s*(\d+)\s*$")


def image_key(video: str, second: str) -> str:
    """How an image is called: the video, a comma, and the second in four digits."""
    return f"{video},{int(second):04d}"


def read_boxes(path: Path, scored: bool) -> Boxes:
    """The boxes of an annotation or detection file: video, second, x1, y1, x2, y2 (shares of the picture),
    action, and person or, where `scored`, the score. True boxes score 1; rows of only two are left out.

    Raises DataError that names the line of a wrong one.
    """

    def parse(row: list[str]) -> tuple[str, list[float], int, float] | None:
        if len(row) == 2:
            return None
        corners = [_finite(value) for value in row[2:6]]
        if len(row) != 8:
            raise ValueError(f"{len(row)} columns")
        return image_key(*row[:2]), corners, int(row[6]), _finite(row[7]) if scored else 1.0

    form = "video, second, x1, y1, x2, y2, action, " + ("score" if scored else "person")
    rows = [row for row in _rows(path, parse, form) if row is not None]
    images, corners, labels, scores = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Boxes(
        np.array(images, dtype=str),
        np.array(corners, dtype=float).reshape(-1, 4),
        np.array(labels, dtype=int),
        np.array(scores, dtype=float),
    )


def read_excluded(path: Path) -> set[str]:
    """The images that count for nothing: rows of video and second. Raises DataError."""

    def parse(row: list[str]) -> str:
        video, second = row
        return image_key(video, second)

    return set(_rows(path, parse, "video, second"))


def read_labels(path: Path) -> dict[int, str]:
    """The actions that are judged, name by number, from a label map in text form. Raises DataError."""
    labels: dict[int, str] = {}
    name = None
    for line in _lines(path):
        if found := NAME.match(line):
            name = found[1]
        elif found := NUMBER.match(line):
            if name is None:
                raise DataError(f"{path}: id {found[1]} has no name before it")
            labels[int(found[1])], name = name, None
    if not labels:
        raise DataError(f'{path} is no label map: it has no lines `name: "..."` and `id: N`')
    return labels


def without(boxes: Boxes, excluded: set[str]) -> Boxes:
    """The boxes of images that are not excluded."""
    return boxes.where(~np.isin(boxes.images, sorted(excluded)))


def write_boxes(boxes: Boxes, path: Path) -> None:
    """Detections as csv, boxes in three digits and scores in four, written beside and then renamed.

    Raises SpaceError where the disk is full.
    """
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            for image, corners, label, score in zip(*boxes, strict=True):
                sides = ",".join(f"{side:.3f}" for side in corners)
                file.write(f"{image},{sides},{label},{score:.4f}\n")
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise SpaceError(f"cannot save {path}: {error}") from error


def _rows(path: Path, parse: Callable[[list[str]], Parsed], form: str) -> Iterator[Parsed]:
    """The rows of a csv file, parsed. Raises DataError that names the line and what was expected there."""
    for number, row in enumerate(csv.reader(_lines(path)), start=1):
        if not row:
            continue
        try:
            yield parse(row)
        except (ValueError, IndexError, TypeError) as error:
            raise DataError(f"{path}, line {number}: expected `{form}`, got {','.join(row)!r}") from error


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number")
    return value
