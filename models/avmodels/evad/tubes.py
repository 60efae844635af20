"""The annotations of UCF101-24 and JHMDB: people followed frame by frame, in the pickles the field shares."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from avmodels.errors import DataError
from avmodels.evad.keyframe import Keyframe

# By set: the file of its annotations, the folder of its frames, and how a frame is called.
FILES = {
    "ucf101-24": ("UCF101v2-GT.pkl", "rgb-images", "{:05}.jpg"),
    "jhmdb": ("JHMDB-GT.pkl", "Frames", "{:05}.png"),
}
# All that arrays and plain data need of a pickle.
ARRAYS = {
    ("_codecs", "encode"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
}


@dataclass(frozen=True, eq=False)
class Tube:
    """One person doing one thing: the action's number from 0, frame numbers from 1 (n,), rising, and corners
    (n, 4), x1 y1 x2 y2 in pixels."""

    label: int
    frames: np.ndarray
    corners: np.ndarray


@dataclass(frozen=True, eq=False)
class Clip:
    """A video: its name, how many frames it has, height and width, and who does what."""

    name: str
    frames: int
    size: tuple[int, int]
    tubes: list[Tube]


class Arrays(pickle.Unpickler):
    """Reads arrays and plain data. Raises UnpicklingError for anything else: it could run code."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in ARRAYS:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")
        return super().find_class(module_name, global_name)


def read(folder: Path, name: str, part: Literal["train", "val"], split: int) -> tuple[list[str], list[Clip]]:
    """The names of the actions of the set `name` (see FILES), and the videos of one part of a split (from 1).

    Raises DataError for a file that is missing, would run code, or is of another form.
    """
    path = folder / FILES[name][0]
    try:
        with path.open("rb") as file:
            document = Arrays(file, encoding="latin-1").load()
        parts = document["train_videos" if part == "train" else "test_videos"]
        videos = parts[split - 1] if 0 < split <= len(parts) else None
        if videos is None:
            raise DataError(f"{path} has {len(parts)} splits, not one number {split}")
        return list(document["labels"]), [_clip(document, video) for video in videos]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (pickle.UnpicklingError, EOFError) as error:
        raise DataError(f"{path} is not a pickle of arrays and plain data: {error}") from error
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise DataError(
            f"{path} is no annotation file: labels, train_videos, test_videos, nframes, resolution and "
            f"gttubes of rows (frame, x1, y1, x2, y2) are expected, and {error!r} is wrong"
        ) from error


def _clip(document: dict[str, Any], video: str) -> Clip:
    high, wide = (int(side) for side in document["resolution"][video])
    tubes = []
    for label, tracks in document["gttubes"][video].items():
        if not 0 <= label < len(document["labels"]):
            raise ValueError(f"label {label} of {video}")
        for rows in tracks:
            if rows.ndim != 2 or rows.shape[1] != 5 or not np.isfinite(rows).all():
                raise ValueError(f"a tube of {video}")
            tubes.append(Tube(int(label), rows[:, 0].astype(int), rows[:, 1:].astype(float)))
    return Clip(video, int(document["nframes"][video]), (high, wide), tubes)


def keyframes(clips: list[Clip], folder: Path, name: str, classes: int, annotated: bool) -> list[Keyframe]:
    """Every frame of the videos, or with `annotated` every one with a box, as a keyframe; equal boxes are one
    person."""
    _, frames, pattern = FILES[name]
    found = []
    for clip in clips:
        high, wide = clip.size
        of_frame: dict[int, list[tuple[int, np.ndarray]]] = {}
        for tube in clip.tubes:
            for frame, corners in zip(tube.frames.tolist(), tube.corners, strict=True):
                of_frame.setdefault(frame, []).append((tube.label, corners / (wide, high, wide, high)))
        numbers = sorted(of_frame) if annotated else range(1, clip.frames + 1)
        for number in numbers:
            here = of_frame.get(number, [])
            corners = np.array([box for _, box in here]).reshape(-1, 4)
            boxes, person = np.unique(corners, axis=0, return_inverse=True)
            actions = np.zeros((len(boxes), classes), bool)
            actions[person.ravel(), [label for label, _ in here]] = True
            pictures = folder / frames / clip.name
            found.append(
                Keyframe(image_key(clip, number), pictures, pattern, clip.frames, number - 1, boxes, actions)
            )
    return found


def image_key(clip: Clip, number: int) -> str:
    """How a frame is called: the video, a comma, and its number."""
    return f"{clip.name},{number:05}"
