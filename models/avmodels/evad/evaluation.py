"""The published test: frame mAP over the keyframes of AVA's validation set."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn
from torch.utils.data import DataLoader, Dataset

from avmodels.data.clips import UnreadableError
from avmodels.data.samples import Sample
from avmodels.errors import DataError
from avmodels.evad import ava, data
from avmodels.evad.average_precision import STRICT_THRESHOLDS, Boxes, average_precisions
from avmodels.evad.config import Detection
from avmodels.evad.data import Annotations
from avmodels.evad.detections import Detections, select
from avmodels.evad.keyframe import Keyframe
from avmodels.evad.model import pad


class TestClips(Dataset[Sample]):
    """The clips around keyframes, or why one cannot be read."""

    def __init__(self, keyframes: list[Keyframe], config: Detection):
        self._keyframes = keyframes
        self._read = data.reader(config)

    def __len__(self) -> int:
        return len(self._keyframes)

    def __getitem__(self, number: int) -> dict[str, Any]:
        try:
            return self._read(self._keyframes[number])
        except UnreadableError as error:
            return {"unreadable": str(error)}


def test(
    model: nn.Module, annotations: Annotations, results: Path, config: Detection, here: Accelerator
) -> dict[str, float]:
    """Frame mAP in percent at IoU 0.5 (the published number) and 0.75, and the mean over 0.5 to 0.95.

    Leaves in the folder `results` the detections as AVA's csv, and the precision of every class. A keyframe
    that cannot be read counts as one where nobody was found. Raises DataError where more than
    training.max_unreadable of them cannot.
    """
    keyframes = annotations.keyframes
    found, unreadable = detections(model, keyframes, config, here)
    rows = rows_of(found, sorted(annotations.labels))
    scores = judge(annotations, rows, config)
    if here.is_main_process:
        results.mkdir(parents=True, exist_ok=True)
        names = np.array([keyframe.image for keyframe in keyframes])
        ava.write_boxes(rows._replace(images=names[rows.images]), results / "detections.csv")
        table(results / "classes.csv", ["id", "action", "boxes", "ap_50"], by_class(annotations, scores[0]))
    means = 100 * np.nanmean(scores, axis=1)
    return {
        "frame_map_50": float(means[0]),
        "frame_map_75": float(means[5]),
        "frame_map": float(means.mean()),
        "keyframes": len(keyframes),
        "unreadable": unreadable,
    }


@torch.inference_mode()
def detections(
    model: nn.Module, keyframes: list[Keyframe], config: Detection, here: Accelerator
) -> tuple[list[tuple[int, Detections]], int]:
    """The people of every readable keyframe, beside its number, from all processes; and how many cannot be read.

    Raises DataError where more than training.max_unreadable of them cannot.
    """
    mine = list(range(here.process_index, len(keyframes), here.num_processes))
    clips = TestClips([keyframes[number] for number in mine], config)
    found, unreadable = [], []
    for number, clip in zip(mine, DataLoader(clips, None, num_workers=config.training.workers), strict=True):
        if "unreadable" in clip:
            unreadable.append(clip["unreadable"])
            print(f"skipped: {clip['unreadable']}", file=sys.stderr)
        else:
            found.append((number, detect(model, clip, config, here)))
    found, unreadable = gather_object(found), gather_object(unreadable)
    if len(unreadable) > config.training.max_unreadable * len(keyframes):
        raise DataError(
            f"{len(unreadable)} of {len(keyframes)} keyframes cannot be read, more than "
            f"training.max_unreadable = {config.training.max_unreadable:g} allows"
        )
    return found, len(unreadable)


def detect(model: nn.Module, clip: Sample, config: Detection, here: Accelerator) -> Detections:
    """The people of one clip, alone in its batch: the padding that others force on a clip would change them."""
    how = config.evaluation
    video, sizes = pad([clip["video"].to(here.device)])
    with here.autocast():
        predictions = model(video, sizes)
    originals = clip["original"][None].to(here.device)
    people = select(predictions, sizes, originals, how.person_threshold, how.all_if_none, how.best_actions)
    return Detections(*(column.cpu() for column in people))


def rows_of(found: list[tuple[int, Detections]], classes: list[int]) -> Boxes:
    """A box for each person and judged action, in order of keyframe; images are numbers of keyframes."""
    found = sorted(found, key=lambda one: one[0])
    counts = [len(people.boxes) for _, people in found]
    images = np.repeat([number for number, _ in found], counts).astype(int)
    corners = np.concatenate([np.zeros((0, 4)), *(people.boxes.numpy() for _, people in found)])
    columns = np.array(classes) - 1
    scores = [people.actions.numpy()[:, columns] for _, people in found]
    return Boxes(
        np.repeat(images, len(classes)),
        np.repeat(corners, len(classes), axis=0),
        np.tile(classes, len(images)),
        np.concatenate([np.zeros((0, len(classes))), *scores]).ravel(),
    )


def judge(annotations: Annotations, rows: Boxes, config: Detection) -> np.ndarray:
    """Average precision (thresholds, judged classes)."""
    names = np.array([keyframe.image for keyframe in annotations.keyframes])
    truth = annotations.truth._replace(images=np.searchsorted(names, annotations.truth.images))
    classes = sorted(annotations.labels)
    return average_precisions(truth, rows, classes, STRICT_THRESHOLDS, config.evaluation.protocol)


def by_class(annotations: Annotations, scores: np.ndarray) -> Iterator[list[Any]]:
    """For each class its number, name, how many true boxes it has, and its average precision in percent."""
    for (number, name), score in zip(sorted(annotations.labels.items()), scores, strict=True):
        count = int((annotations.truth.labels == number).sum())
        yield [number, name, count, f"{100 * score:.2f}" if count else ""]


def table(path: Path, header: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """Writes a table as csv."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
