"""The keyframes of a data set, and the clips around them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from avmodels.data.clips import Pictures
from avmodels.data.samples import Sample
from avmodels.errors import DataError
from avmodels.evad import ava, tubes, views
from avmodels.evad.average_precision import Boxes
from avmodels.evad.config import Detection
from avmodels.evad.keyframe import Keyframe
from avmodels.evad.model import SIZES, pad

# Videos are cut at 15 minutes, and their frames taken 30 times a second.
FIRST_SECOND = 900
FRAME_RATE = 30


class Annotations(NamedTuple):
    """What a split of AVA says: every box, the actions that are judged (name by number), and the keyframes."""

    truth: Boxes
    labels: dict[int, str]
    keyframes: list[Keyframe]


def training_keyframes(folder: Path, config: Detection) -> list[Keyframe]:
    """The keyframes to train on: those with a box. Raises DataError as `read` and `tubes_of`."""
    name = config.data.annotations
    if name in tubes.FILES:
        _, clips = tubes_of(folder, "train", config)
        return tubes.keyframes(clips, folder, name, config.model.classes, annotated=True)
    return read(folder, "train", config).keyframes


def tubes_of(
    folder: Path, part: Literal["train", "val"], config: Detection
) -> tuple[list[str], list[tubes.Clip]]:
    """The actions and videos of a part of UCF101-24 or JHMDB.

    Raises DataError as tubes.read, and where the network has another number of classes.
    """
    labels, clips = tubes.read(folder, config.data.annotations, part, config.data.split)
    if len(labels) != config.model.classes:
        raise DataError(f"{folder} has {len(labels)} actions, model.classes is {config.model.classes}")
    return labels, clips


def read(folder: Path, split: Literal["train", "val"], config: Detection) -> Annotations:
    """A split of AVA: its keyframes are the seconds with a box, those excluded from validation left out.

    Raises DataError for files that are missing or wrong, and for an action beyond the network's classes.
    """
    version, annotations = config.data.annotations, folder / "annotations"
    path = annotations / f"ava_{split}_{version}.csv"
    truth = ava.read_boxes(path, scored=False)
    if split == "val":
        # Version 2.1 is judged with the exclusions of version 2.2 too.
        truth = ava.without(truth, ava.read_excluded(annotations / "ava_val_excluded_timestamps_v2.2.csv"))
    strange = truth.labels[(truth.labels < 1) | (truth.labels > config.model.classes)]
    if len(strange):
        raise DataError(f"{path}: action {strange[0]} is not among {config.model.classes} classes")
    maps = sorted(annotations.glob(f"ava_action_list_{version}*.pbtxt"))
    if len(maps) != 1:
        raise DataError(
            f"{annotations} holds {len(maps)} label maps ava_action_list_{version}*.pbtxt, not one"
        )
    lengths = read_lengths(folder / "frame_lists" / f"{split}.csv")
    return Annotations(
        truth, ava.read_labels(maps[0]), keyframes(truth, lengths, folder, config.model.classes)
    )


def read_lengths(path: Path) -> Counter[str]:
    """How many frames each video of a frame list has. Raises DataError that names a wrong line."""
    lengths: Counter[str] = Counter()
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                columns = line.split()
                if len(columns) < 4:
                    raise DataError(f"{path}, line {number}: expected 5 columns, got {line.strip()!r}")
                if number > 1:
                    lengths[columns[0]] += 1
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return lengths


def keyframes(truth: Boxes, lengths: Counter[str], folder: Path, classes: int) -> list[Keyframe]:
    """The seconds that have a box, by name; equal boxes of a second are one person.

    Raises DataError for a video that the frame list does not name.
    """
    truth = truth.where(np.argsort(truth.images, kind="stable"))
    images, starts = np.unique(truth.images, return_index=True)
    found = []
    for image, rows in zip(images.tolist(), np.split(np.arange(len(truth.images)), starts[1:]), strict=True):
        here = truth.where(rows)
        video = image.rpartition(",")[0]
        if video not in lengths:
            raise DataError(f"the frame list does not name {video}, which has annotations")
        boxes, person = np.unique(here.corners, axis=0, return_inverse=True)
        actions = np.zeros((len(boxes), classes), bool)
        actions[person.ravel(), here.labels - 1] = True
        centre = (int(image.rpartition(",")[2]) - FIRST_SECOND) * FRAME_RATE
        pictures, pattern = folder / "frames" / video, f"{video}_{{:06}}.jpg"
        found.append(Keyframe(image, pictures, pattern, lengths[video], centre, boxes, actions))
    return found


def reader(config: Detection, flip: float = 0.0) -> Callable[[Keyframe], Sample]:
    """Reads the clip around a keyframe: `video` (3, T, h, w), `original` (2,), the height and width of the pictures,
    and the people: `boxes` (n, 4), x1 y1 x2 y2 in pixels of the clip, and `actions` (n, classes).

    Clips are mirrored at the chance `flip`.
    """
    how, frames = config.data, SIZES[config.model.size].encoder.frames

    def clip(keyframe: Keyframe) -> dict[str, Any]:
        pictures = Pictures(keyframe.folder, keyframe.frames, keyframe.pattern, first=1)
        numbers = views.clip_frames(keyframe.centre, keyframe.frames, frames, how.stride)
        if how.shuffle:
            numbers = shuffled(numbers)
        pixels = pictures.frames(numbers)
        mirrored = bool(np.random.uniform() < flip)
        video, boxes = views.view(pixels, keyframe.boxes, how.short_side, how.long_side, mirrored)
        return {
            "video": video,
            "original": torch.tensor(pixels.shape[1:3], dtype=torch.float32),
            "boxes": torch.from_numpy(boxes).float(),
            "actions": torch.from_numpy(keyframe.actions),
        }

    return clip


def shuffled(numbers: np.ndarray) -> np.ndarray:
    """A clip's frames in random order, all but the keyframe, which stays where it is."""
    key = len(numbers) // 2
    others = np.random.permutation(np.delete(numbers, key))
    return np.insert(others, key, numbers[key])


def training_reader(config: Detection) -> Callable[[Keyframe], list[Sample]]:
    """The same for training: a list of one."""
    clip = reader(config, config.data.flip)
    return lambda keyframe: [clip(keyframe)]


def stack(samples: list[Sample]) -> Sample:
    """A batch: `video`, padded, and `sizes` (see model.pad); lists of `boxes` and `actions`, clip by clip."""
    video, sizes = pad([sample["video"] for sample in samples])
    people = {name: [sample[name] for sample in samples] for name in ("boxes", "actions")}
    return {"video": video, "sizes": sizes, **people}
