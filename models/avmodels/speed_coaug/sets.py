"""Where videos are and what they show: lists, folders, Kinetics, UCF101 and HMDB51."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from avmodels.errors import ConfigError, DataError

VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm")


@dataclass(frozen=True, slots=True)
class Clip:
    """A video file or the part of it from `start` to `end`, in seconds, and what it shows (empty: not told)."""

    path: Path
    label: str = ""
    start: float = 0.0
    end: float = float("inf")


def clips_of(folder: Path, part: str, split: int = 1, classes: str = "") -> list[Clip]:
    """The clips of a `part`, train or val, of the data set in a folder, in any of these forms:

    | form    | files                                                                                     |
    |---------|-------------------------------------------------------------------------------------------|
    | list    | PART.csv with the columns path, label, start, end (all but the first optional)            |
    | Kinetics| PART.csv as published; PART/LABEL/ID_START_END.mp4                                        |
    | UCF101  | trainlist0N.txt, testlist0N.txt here or in a folder below; CLASS/VIDEO here or below      |
    | HMDB51  | CLASS_test_splitN.txt likewise (1: train, 2: test)                                        |
    | folders | PART/CLASS/VIDEO, or videos anywhere here, all of them to train on                        |

    `split` is N. `classes` limits the clips to some, see `wanted`. Raises DataError where there are none.
    """
    table = folder / f"{part}.csv"
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    if table.is_file():
        found = listed(table)
    elif ucf := sorted(folder.rglob(f"{'train' if part == 'train' else 'test'}list0{split}.txt")):
        found = ucf101(folder, ucf[0])
    elif hmdb := sorted(folder.rglob(f"*_test_split{split}.txt")):
        found = hmdb51(folder, hmdb, "1" if part == "train" else "2")
    elif (folder / part).is_dir():
        found = in_folders(folder / part)
    else:
        found = [Clip(path) for path in videos(folder)] if part == "train" else []
    if classes:
        names = wanted(classes)
        found = [clip for clip in found if clip.label in names]
    if not found:
        raise DataError(
            f"{folder} has no videos for {part}{f' of {classes}' if classes else ''}: expected {part}.csv or {part}/"
        )
    return found


def has_held_out(folder: Path) -> bool:
    """Whether a data set has a part to judge on."""
    return any((folder / name).exists() for name in ("val.csv", "val")) or is_action_set(folder)


def is_action_set(folder: Path) -> bool:
    """Whether a folder holds UCF101 or HMDB51, by their split files."""
    return any(next(folder.rglob(name), None) for name in ("testlist0?.txt", "*_test_split?.txt"))


def wanted(classes: str) -> set[str]:
    """The names in a text file, one a line, or of `kinetics-sounds`. Raises ConfigError for a file that is not there."""
    try:
        if classes == "kinetics-sounds":
            text = files("avmodels.speed_coaug").joinpath("kinetics_sounds.txt").read_text(encoding="utf-8")
        else:
            text = Path(classes).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"data.classes = {classes} cannot be read: {error.strerror}") from error
    return {line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")}


def listed(table: Path) -> list[Clip]:
    """The clips of a list with a header, ours or Kinetics'. Raises DataError that names the line at fault."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        columns = set(rows.fieldnames or ())
        if {"label", "youtube_id", "time_start", "time_end"} <= columns:
            return [kinetics(table.with_suffix(""), row) for row in rows]
        strange = columns - {"path", "label", "start", "end"}
        if "path" not in columns or strange:
            raise DataError(
                f"{table}: the header has to be path,label,start,end or that of Kinetics, not {','.join(columns)}"
            )
        clips = []
        for row in rows:
            try:
                span = float(row.get("start") or 0), float(row.get("end") or "inf")
                if not 0 <= span[0] < span[1]:
                    raise ValueError
                clips.append(Clip(table.parent / row["path"], row.get("label") or "", *span))
            except (TypeError, ValueError) as error:
                raise DataError(f"{table}, line {rows.line_num}: start and end have to be seconds") from error
    return clips


def kinetics(folder: Path, row: dict[str, str]) -> Clip:
    """A line of Kinetics' annotation; the file is already cut to its seconds."""
    first, last = (int(float(row[name])) for name in ("time_start", "time_end"))
    return Clip(folder / row["label"] / f"{row['youtube_id']}_{first:06}_{last:06}.mp4", row["label"])


def ucf101(folder: Path, split: Path) -> list[Clip]:
    """The videos of trainlist or testlist: `Class/video.avi` and perhaps a number."""
    names = [line.split()[0] for line in split.read_text(encoding="utf-8").splitlines() if line.strip()]
    root = holder(folder, {name.split("/")[0] for name in names}, split)
    return [Clip(root / name, name.split("/")[0]) for name in names]


def hmdb51(folder: Path, splits: list[Path], use: str) -> list[Clip]:
    """The videos that the files of a split give a use: `video.avi 1` a line."""
    of_class = {path.name.rsplit("_test_split", 1)[0]: path for path in splits}
    root = holder(folder, set(of_class), splits[0])
    return [
        Clip(root / label / line.split()[0], label)
        for label, path in of_class.items()
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.split()[1:] == [use]
    ]


def holder(folder: Path, classes: set[str], split: Path) -> Path:
    """The folder, here or below, that holds the folders of classes. Raises DataError where there is none."""
    for place in (folder, *(below for below in sorted(folder.iterdir()) if below.is_dir())):
        if any((place / name).is_dir() for name in classes):
            return place
    raise DataError(f"{folder} has none of the folders of classes that {split.name} lists")


def in_folders(part: Path) -> list[Clip]:
    """The videos of CLASS/VIDEO, or without a class those that lie in the folder itself."""
    return [Clip(path, path.parent.name if path.parent != part else "") for path in videos(part)]


def videos(folder: Path) -> Iterator[Path]:
    """Every video file in or below a folder, by name."""
    yield from sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEOS)


def class_names(clips: list[Clip]) -> list[str]:
    """What the clips show, in the order of the alphabet: a class's number is its place."""
    return sorted({clip.label for clip in clips})
