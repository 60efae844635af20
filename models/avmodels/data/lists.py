"""The published list files: one clip a line, single spaces between the fields, no header.

| recipe     | video files   | folders of pictures                |
|------------|---------------|------------------------------------|
| pre-train  | `path 0 -1`   | `folder first_frame total_frames`  |
| fine-tune  | `path label`  | `folder total_frames label`        |
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avmodels.errors import DataError


@dataclass(frozen=True, slots=True)
class Clip:
    """One line: a video file or a folder of pictures, with its label (-1: none).

    `first` is the first frame's number and `frames` how many there are; 0 where the file itself tells.
    """

    path: Path
    label: int = -1
    first: int = 0
    frames: int = 0


def pretraining_list(path: Path) -> list[Clip]:
    """The clips of a pre-training list, paths relative to its folder. Raises DataError (see `_rows`)."""
    return [
        Clip(path.parent / name, first=max(numbers[0], 0), frames=max(numbers[1], 0))
        for _, name, numbers in _rows(path, numbers=2, form="path first_frame total_frames")
    ]


def labelled_list(path: Path, classes: int, frames: bool) -> list[Clip]:
    """The clips of a fine-tuning list, paths relative to its folder; `frames`: it lists folders of pictures.

    Raises DataError for a label that is not below `classes`, with the line's number, and as `_rows` does.
    """
    form = "folder total_frames label" if frames else "path label"
    clips = []
    for line, name, numbers in _rows(path, numbers=2 if frames else 1, form=form):
        label = numbers[-1]
        if not 0 <= label < classes:
            raise DataError(
                f"{path}, line {line}: label {label} is not among {classes} classes (0..{classes - 1})"
            )
        clips.append(Clip(path.parent / name, label, frames=numbers[0] if frames else 0))
    return clips


def _rows(path: Path, numbers: int, form: str) -> list[tuple[int, str, list[int]]]:
    """The lines of a list as (line number, path, numbers).

    Raises DataError for a list that is missing or empty, and for a line of another form, with its number.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot read the list {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"the list {path} is not a text in UTF-8") from error
    rows = []
    for count, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, *fields = line.rstrip().split(" ")
        try:
            if len(fields) != numbers:
                raise ValueError
            rows.append((count, name, [int(field) for field in fields]))
        except ValueError as error:
            raise DataError(f"{path}, line {count}: expected `{form}`, got {line.strip()!r}") from error
    if not rows:
        raise DataError(f"the list {path} is empty")
    return rows
