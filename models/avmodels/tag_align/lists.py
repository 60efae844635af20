"""The published training lists: captions by picture, tags by picture, and the tags' words."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, from_numpy

from avmodels.errors import DataError
from avmodels.nn.clip_tokens import CONTEXT, encode
from avmodels.tag_align.tars import Place, Row, tar_rows


@dataclass(frozen=True)
class Pairs:
    """Pictures with their captions and tags, of one or more sources.

    `places` and `captions` are by picture; the tags of picture i are `tags[starts[i]:starts[i + 1]]`, in the
    file's order, doubles and all.
    """

    places: list[Place]
    captions: list[str]
    tags: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    def present(self, number: int) -> np.ndarray:
        """The tags of one picture in increasing order, none twice."""
        return np.unique(self.tags[self.starts[number] : self.starts[number + 1]])

    def longest(self) -> int:
        """The length of the longest list of tags, 1 at least."""
        return max(1, int(np.diff(self.starts).max(initial=0)))

    def frequencies(self, tags: int) -> np.ndarray:
        """How often each of `tags` tags is listed (doubles counted) for each picture, (tags,) float32."""
        return (np.bincount(self.tags, minlength=tags) / max(len(self), 1)).astype(np.float32)


def read_pairs(folders: Iterable[Path], tags: int) -> Pairs:
    """The pictures of folders that have both a caption and a list of tags.

    Each folder holds tags.json, {name: [tag number, ...]}, and captions.csv, where a picture's name is its path below
    the folder, or tar files (see tars). Raises DataError for a file that is missing or of another form, or a tag
    number outside 0 .. tags - 1.
    """
    places: list[Place] = []
    captions: list[str] = []
    lists: list[list[int]] = []
    for folder in folders:
        tagged = read_tags(folder / "tags.json", tags)
        table = folder / "captions.csv"
        for row in read_captions(table) if table.is_file() else tar_rows(folder):
            if row.name in tagged:
                places.append(row.place)
                captions.append(row.caption)
                lists.append(tagged[row.name])
    starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    flat = np.fromiter((tag for some in lists for tag in some), np.int32, count=int(starts[-1]))
    return Pairs(places, captions, flat, starts)


def tell(pairs: Pairs) -> None:
    """Tells on standard error how many captions are empty, and how many are cut because the text tower reads no
    more: both are used, as published."""
    empty = sum(not caption.strip() for caption in pairs.captions)
    most = CONTEXT - 2  # beside a start and an end; a token takes a byte at least
    long = sum(len(it.encode()) > most and len(encode(it)) > most for it in pairs.captions)
    for count, what in ((empty, "empty"), (long, f"cut after {CONTEXT} tokens")):
        if count:
            print(f"{count} of {len(pairs)} captions are {what}", file=sys.stderr)


def read_captions(path: Path) -> list[Row]:
    """Every row of a CSV but the first, which is a heading: the picture's path, its caption, and what is left over.

    Raises DataError.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the captions {path}: {error}") from error
    for number, row in enumerate(rows[1:], start=2):
        if len(row) == 1:
            raise DataError(f"{path}: row {number} has no caption; write path,caption")
    return [Row(row[0], Place(path.parent / row[0]), row[1]) for row in rows[1:] if row]


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


def tag_words(path: Path, tags: int) -> list[str]:
    """The words of tags 0 .. tags - 1 from a CSV with or without a heading: a word in each row, with its number or
    with a count beside it (a column that counts through 0 .. tags - 1 is the number).

    Raises DataError for another form or number of rows, or a word that stands there twice.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the tags' words {path}: {error}") from error
    if len(rows) == tags + 1:
        rows = rows[1:]
    if len(rows) != tags:
        raise DataError(f"{path} has {len(rows)} words, the model {tags} tags; set model.tags")
    columns = list(zip(*rows, strict=False))
    if any(len(row) != len(rows[0]) for row in rows) or len(columns) > 2:
        raise DataError(f"{path} must have one or two columns in every row: a word, and its number or count")
    numbers = [column for column in columns if sorted(column) == sorted(map(str, range(tags)))]
    words = [column for column in columns if column not in numbers and not all(map(str.isdigit, column))]
    if not words:
        raise DataError(f"{path} has no column of words")
    ordered = list(words[0])
    if numbers:
        ordered = [word for _, word in sorted(zip(map(int, numbers[0]), words[0], strict=True))]
    if len(set(ordered)) < tags:
        double = next(word for word in ordered if ordered.count(word) > 1)
        raise DataError(
            f"{path}: {double!r} stands there {ordered.count(double)} times; a tag needs one number"
        )
    return ordered


def padded(present: np.ndarray, length: int) -> Tensor:
    """Tag numbers filled up with -1 to (length,) int64, as the multi-tag loss takes them."""
    return from_numpy(np.pad(present.astype(np.int64), (0, length - len(present)), constant_values=-1))
