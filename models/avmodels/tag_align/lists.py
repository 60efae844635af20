"""The published training lists: captions by picture in CSV, tags by picture in JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, from_numpy

from avmodels.errors import DataError


@dataclass(frozen=True)
class Pairs:
    """Pictures with their captions and tags, of one or more sources.

    `paths` and `captions` are by picture; the tags of picture i are `tags[starts[i]:starts[i + 1]]`, in the
    file's order, doubles and all.
    """

    paths: list[Path]
    captions: list[str]
    tags: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def present(self, number: int) -> np.ndarray:
        """The tags of one picture in increasing order, none twice."""
        return np.unique(self.tags[self.starts[number] : self.starts[number + 1]])

    def frequencies(self, tags: int) -> np.ndarray:
        """How often each of `tags` tags is listed (doubles counted) for each picture, (tags,) float32."""
        return (np.bincount(self.tags, minlength=tags) / max(len(self), 1)).astype(np.float32)


def read_pairs(sources: Iterable[tuple[Path, Path, Path]], tags: int) -> Pairs:
    """The pictures of (folder, caption CSV, tag JSON) sources that have both a caption row and a tag list.

    The CSV's first line is a heading; its first column is the path below the folder, its second the caption. The
    JSON is {path: [tag number, ...]}. Raises DataError for a file that is missing or of another form, or a tag
    number outside 0 .. tags - 1.
    """
    paths: list[Path] = []
    captions: list[str] = []
    lists: list[list[int]] = []
    for folder, table, index in sources:
        tagged = read_tags(index, tags)
        for path, caption in read_captions(table):
            if path in tagged:
                paths.append(folder / path)
                captions.append(caption)
                lists.append(tagged[path])
    starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    flat = np.fromiter((tag for some in lists for tag in some), np.int32, count=int(starts[-1]))
    return Pairs(paths, captions, flat, starts)


def read_captions(path: Path) -> list[tuple[str, str]]:
    """(picture path, caption) of every row of a CSV but the first. Raises DataError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the captions {path}: {error}") from error
    for number, row in enumerate(rows[1:], start=2):
        if len(row) == 1:
            raise DataError(f"{path}: row {number} has no caption; write path,caption")
    return [(row[0], row[1]) for row in rows[1:] if row]


def read_tags(path: Path, tags: int) -> dict[str, list[int]]:
    """The tag numbers of every picture. Raises DataError."""
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"cannot read the tags {path}: {error}") from error
    if not isinstance(index, dict):
        raise DataError(f"{path} holds a {type(index).__name__}, not the tags of each picture")
    for name, numbers in index.items():
        if not isinstance(numbers, list) or not all(type(n) is int and 0 <= n < tags for n in numbers):
            raise DataError(f"{path}: the tags of {name} are not numbers from 0 to {tags - 1}")
    return index


def padded(present: np.ndarray, length: int) -> Tensor:
    """Tag numbers filled up with -1 to (length,) int64, as the multi-tag loss takes them."""
    return from_numpy(np.pad(present.astype(np.int64), (0, length - len(present)), constant_values=-1))
