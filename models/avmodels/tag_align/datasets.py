"""The published segmentation data sets, in the folders their publishers give them, and any other of that form."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from avmodels.data.clips import UnreadableError
from avmodels.errors import ConfigError, DataError
from avmodels.tag_align import miou
from avmodels.tag_align.config import Inference
from avmodels.tag_align.segment import PUBLISHED, Protocol

# ImageNet-S: larger pictures than this are first brought to this long a side.
LARGEST_AREA, LONGEST_SIDE = 1_000_000, 1000


@dataclass(frozen=True)
class DataSet:
    """Pictures, label maps and class names.

    `image` and `label` are paths below `folder` with `{id}` and other names in braces; `split` is a file of ids,
    without it all pictures count. With `background` class 0 is no word. Label numbers begin at `first`, lower
    ones and `ignored` do not count. `colour` maps hold red + 256 * green; `relabel` gives raw numbers their
    class, all others being 0. The `later` numbers are those of the later protocol.
    """

    folder: str
    image: str
    label: str
    classes: tuple[str, ...]
    background: bool
    split: str | None = None
    first: int = 0
    ignored: int = miou.IGNORED
    colour: bool = False
    relabel: dict[int, int] | None = None
    bounds: tuple[int, int] = (2048, 448)
    later_background: float = 0.0
    later_stride: int = 56

    @property
    def words(self) -> tuple[str, ...]:
        """The classes that are words."""
        return self.classes[self.background :]


@cache
def published() -> dict[str, DataSet]:
    """The published data sets by name."""
    text = files("avmodels.tag_align").joinpath("datasets.json").read_text(encoding="utf-8")
    return {name: from_json(entry) for name, entry in json.loads(text).items()}


def from_json(entry: dict[str, Any]) -> DataSet:
    """A data set as JSON describes it. Raises TypeError for keys that are missing or unknown."""
    data = DataSet(**entry)
    relabel = data.relabel and {int(raw): label for raw, label in data.relabel.items()}
    return replace(data, classes=tuple(data.classes), bounds=tuple(data.bounds), relabel=relabel)


def find(name: str, root: Path) -> DataSet:
    """The published data set of that name, else what `root`/`name`.json describes.

    Raises ConfigError where there is neither, DataError for a description that is wrong.
    """
    if name in published():
        return published()[name]
    path = root / f"{name}.json"
    if not path.is_file():
        raise ConfigError(f"no data set is called {name!r} ({', '.join(published())}), nor is there {path}")
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} does not describe a data set: {error}") from error


def protocol(how: Inference, data: DataSet) -> Protocol:
    """The numbers to segment a data set with."""
    chosen = replace(PUBLISHED[how.protocol], bounds=data.bounds, refine=how.refine)
    if how.protocol == "v3":
        stride = (data.later_stride, data.later_stride)
        chosen = replace(chosen, background=data.later_background, stride=stride)
    given = {"clip": how.clip, "background": how.background}
    return replace(chosen, **{name: value for name, value in given.items() if value is not None})


def listing(data: DataSet, root: Path) -> list[tuple[Path, Path]]:
    """(picture, label map) of every item, in order of name. Raises DataError where there are none."""
    folder = root / data.folder
    if data.split is not None:
        path = folder / data.split
        if not path.is_file():
            raise DataError(f"there is no list of pictures at {path}")
        found = [{"id": name} for name in path.read_text(encoding="utf-8").split()]
    else:
        form = re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(data.image)))
        paths = folder.glob(re.sub(r"\{\w+\}", "*", data.image))
        matches = (form.fullmatch(path.relative_to(folder).as_posix()) for path in sorted(paths))
        found = [match.groupdict() for match in matches if match]
    if not found:
        raise DataError(f"there are no pictures {folder / data.image}")
    return [(folder / data.image.format(**part), folder / data.label.format(**part)) for part in found]


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) RGB uint8. Raises UnreadableError."""
    try:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB)
    except (OSError, cv2.error) as error:
        raise UnreadableError(f"cannot read the picture {path}: {error}") from error
    if picture is None:
        raise UnreadableError(f"{path} is not a picture")
    return picture


def reduced(picture: np.ndarray) -> np.ndarray:
    """A picture of more than a million pixels with its longer side brought to 1000."""
    height, width = picture.shape[:2]
    if height * width <= LARGEST_AREA:
        return picture
    factor = LONGEST_SIDE / max(height, width)
    size = (int(width * factor), int(height * factor))
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)


def read_label(path: Path, data: DataSet) -> np.ndarray:
    """The classes of a label map, (H, W) int64, `data.ignored` where none counts. Raises UnreadableError."""
    try:
        with Image.open(path) as image:
            raw = np.asarray(image).astype(np.int64)
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableError(f"cannot read the label map {path}: {error}") from error
    if data.colour:
        if raw.ndim != 3:
            raise UnreadableError(f"{path} is no colour picture, as the label maps of this data set are")
        raw = raw[..., 0] + 256 * raw[..., 1]
    if raw.ndim != 2:
        raise UnreadableError(f"{path} is a colour picture, not a map of class numbers")
    if data.relabel is not None:
        table = np.zeros(1 + max(int(raw.max()), *data.relabel), np.int64)
        table[list(data.relabel)] = list(data.relabel.values())
        raw = table[raw]
    return miou.without_zero(raw) if data.first else raw
