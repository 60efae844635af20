"""The published test: frame mAP over the keyframes of AVA's validation set."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

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
from avmodels.evad.average_precision import STRICT_THRESHOLDS, Boxes, average_precisions, sure_scores
from avmodels.evad.config import Detection
from avmodels.evad.data import Annotations
from avmodels.evad.detections import Detections, proposals, select
from avmodels.evad.keyframe import Keyframe
from avmodels.evad.model import pad
from avmodels.metrics import coco

# How often a score must be right to be sure.
SURE = 0.8


class Found(NamedTuple):
    """What was found around a keyframe, by its number: the people, and every proposal with its person score, (P, 5)
    of x1 y1 x2 y2 as shares of the picture and the score."""

    keyframe: int
    people: Detections
    proposals: np.ndarray


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
    """Frame mAP in percent at IoU 0.5 (the published number) and 0.75, and the mean over 0.5 to 0.95; COCO's average
    precision of all proposals as people; and how many keyframes a second were read and looked at.

    Leaves in the folder `results` the detections as AVA's csv, and of every class the precision and the score from
    which on it is SURE. A keyframe that cannot be read counts as one where nobody was found. Raises DataError where
    more than training.max_unreadable of them cannot.
    """
    keyframes, began = annotations.keyframes, time.monotonic()
    found, unreadable = detections(model, keyframes, config, here)
    speed = len(found) / (time.monotonic() - began)
    rows = rows_of(found, sorted(annotations.labels))
    truth = true_boxes(annotations)
    scores = judge(annotations, rows, config)
    if here.is_main_process:
        results.mkdir(parents=True, exist_ok=True)
        names = np.array([keyframe.image for keyframe in keyframes])
        ava.write_boxes(rows._replace(images=names[rows.images]), results / "detections.csv")
        sure = sure_scores(truth, rows, sorted(annotations.labels), SURE)
        header = ["id", "action", "boxes", "ap_50", "sure_from"]
        table(results / "classes.csv", header, by_class(annotations, scores[0], sure))
    means = 100 * np.nanmean(scores, axis=1)
    return {
        "frame_map_50": float(means[0]),
        "frame_map_75": float(means[5]),
        "frame_map": float(means.mean()),
        **people_precision(keyframes, found),
        "keyframes_per_second": speed,
        "keyframes": len(keyframes),
        "unreadable": unreadable,
    }


@torch.inference_mode()
def detections(
    model: nn.Module, keyframes: list[Keyframe], config: Detection, here: Accelerator
) -> tuple[list[Found], int]:
    """What is found around every readable keyframe, from all processes, and how many cannot be read.

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
            found.append(Found(number, *detect(model, clip, config, here)))
    found, unreadable = gather_object(found), gather_object(unreadable)
    if len(unreadable) > config.training.max_unreadable * len(keyframes):
        raise DataError(
            f"{len(unreadable)} of {len(keyframes)} keyframes cannot be read, more than "
            f"training.max_unreadable = {config.training.max_unreadable:g} allows"
        )
    return found, len(unreadable)


def detect(
    model: nn.Module, clip: Sample, config: Detection, here: Accelerator
) -> tuple[Detections, np.ndarray]:
    """The people and proposals (see Found) of one clip, alone in its batch: the padding that others force on a clip
    would change them."""
    how = config.evaluation
    video, sizes = pad([clip["video"].to(here.device)])
    with here.autocast():
        predictions = model(video, sizes)
    originals = clip["original"][None].to(here.device)
    people = select(predictions, sizes, originals, how.person_threshold, how.all_if_none, how.best_actions)
    boxes, scores = proposals(predictions.located, sizes, originals)
    every = torch.cat([boxes / originals.flip(1).repeat(1, 2)[:, None], scores[..., None]], dim=-1)
    return Detections(*(column.cpu() for column in people)), every[0].cpu().numpy()


def rows_of(found: list[Found], classes: list[int]) -> Boxes:
    """A box for each person and judged action, in order of keyframe; images are numbers of keyframes."""
    found = sorted(found, key=lambda one: one.keyframe)
    counts = [len(one.people.boxes) for one in found]
    images = np.repeat([one.keyframe for one in found], counts).astype(int)
    corners = np.concatenate([np.zeros((0, 4)), *(one.people.boxes.numpy() for one in found)])
    columns = np.array(classes) - 1
    scores = [one.people.actions.numpy()[:, columns] for one in found]
    return Boxes(
        np.repeat(images, len(classes)),
        np.repeat(corners, len(classes), axis=0),
        np.tile(classes, len(images)),
        np.concatenate([np.zeros((0, len(classes))), *scores]).ravel(),
    )


def true_boxes(annotations: Annotations) -> Boxes:
    """The annotated boxes; images are numbers of keyframes."""
    names = np.array([keyframe.image for keyframe in annotations.keyframes])
    return annotations.truth._replace(images=np.searchsorted(names, annotations.truth.images))


def judge(annotations: Annotations, rows: Boxes, config: Detection) -> np.ndarray:
    """Average precision (thresholds, judged classes)."""
    classes, protocol = sorted(annotations.labels), config.evaluation.protocol
    return average_precisions(true_boxes(annotations), rows, classes, STRICT_THRESHOLDS, protocol)


def people_precision(keyframes: list[Keyframe], found: list[Found]) -> dict[str, float]:
    """COCO's average precision in percent of every proposal as a person, against the people of the keyframes.

    Boxes are shares of the picture: IoU is the same.
    """
    truth = coco.indexed(
        {
            "images": [{"id": number} for number in range(len(keyframes))],
            "categories": [{"id": 1, "name": "person"}],
            "annotations": [
                {"id": person, "image_id": number, "category_id": 1, "iscrowd": 0, **sides(corners)}
                for person, (number, corners) in enumerate(
                    ((n, corners) for n, keyframe in enumerate(keyframes) for corners in keyframe.boxes), 1
                )
            ],
        }
    )
    rows = [
        {"image_id": one.keyframe, "category_id": 1, "score": float(row[4]), **sides(row[:4])}
        for one in found
        for row in one.proposals
    ]
    measures = coco.average_precision(truth, rows, "bbox")
    return {f"person_{name}": measures[name] for name in coco.MEASURES[:3]}


def sides(corners: np.ndarray) -> dict[str, Any]:
    """x1 y1 x2 y2 as COCO's box and area."""
    x, y, right, bottom = map(float, corners)
    return {"bbox": [x, y, right - x, bottom - y], "area": (right - x) * (bottom - y)}


def by_class(annotations: Annotations, precisions: np.ndarray, sure: np.ndarray) -> Iterator[list[Any]]:
    """For each class its number, name, how many true boxes it has, its average precision in percent, and the score
    from which on it is sure, empty where none is."""
    labels = sorted(annotations.labels.items())
    for (number, name), precision, least in zip(labels, precisions, sure, strict=True):
        count = int((annotations.truth.labels == number).sum())
        told = "" if np.isnan(least) else f"{least:.4f}"
        yield [number, name, count, f"{100 * precision:.2f}" if count else "", told]


def read_sure(results: Path) -> dict[str, float]:
    """The score from which on each action is SURE, by the classes.csv that a test left in `results`; infinite where
    none is. Raises DataError for a file of another form."""
    path = results / "classes.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["action"]: float(row["sure_from"] or "inf") for row in csv.DictReader(file)}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} holds no `action` and `sure_from`: evaluate the weights again") from error


def table(path: Path, header: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """Writes a table as csv."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
