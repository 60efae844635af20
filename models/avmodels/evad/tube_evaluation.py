"""The test on UCF101-24 and JHMDB: every frame of the test videos is a keyframe."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from torch import nn

from avmodels.evad import tubes
from avmodels.evad.average_precision import Boxes
from avmodels.evad.config import Detection
from avmodels.evad.evaluation import detections, rows_of, table
from avmodels.evad.tube_precision import (
    STRICT_THRESHOLDS,
    VIDEO_THRESHOLDS,
    FoundTube,
    frame_precision,
    link,
    video_precision,
)
from avmodels.evad.tubes import Clip

# Shorter tubes of the untrimmed videos are dropped; those of JHMDB are trimmed to their action.
SHORTEST = {"ucf101-24": 15, "jhmdb": 1}


def test(
    model: nn.Module, labels: list[str], clips: list[Clip], folder: Path, results: Path, config: Detection,
    here: Accelerator,
) -> dict[str, float]:  # fmt: skip
    """Frame mAP at IoU 0.5 and video mAP at 0.2, 0.5, 0.75 and over 0.5 to 0.95, in percent.

    Leaves the precisions of every class in the folder `results`. Raises DataError where too many frames cannot be
    read (see evaluation.detections).
    """
    name, classes = config.data.annotations, range(len(labels))
    keyframes = tubes.keyframes(clips, folder, name, len(labels), annotated=False)
    found, unreadable = detections(model, keyframes, config, here)
    rows = rows_of(found, [label + 1 for label in classes])
    images = np.array([keyframe.image for keyframe in keyframes])[rows.images]
    boxes = in_pixels(Boxes(images, rows.corners, rows.labels - 1, rows.scores), clips)
    truth = true_boxes(clips)
    linked = linked_tubes(boxes, SHORTEST[name])
    scores = {"frame_map_50": [frame_precision(truth, boxes, label, 0.5) for label in classes]}
    for threshold in VIDEO_THRESHOLDS:
        by_class = [video_precision(clips, linked, label, threshold) for label in classes]
        scores[f"video_map_{threshold * 100:.0f}"] = by_class
    strict = [[video_precision(clips, linked, label, t) for label in classes] for t in STRICT_THRESHOLDS]
    scores["video_map"] = np.mean(strict, axis=0).tolist()
    if here.is_main_process:
        results.mkdir(parents=True, exist_ok=True)
        table(results / "classes.csv", ["action", *scores], zip(labels, *scores.values(), strict=True))
    means = {metric: 100 * float(np.nanmean(values)) for metric, values in scores.items()}
    return means | {"keyframes": len(keyframes), "unreadable": unreadable}


def in_pixels(boxes: Boxes, clips: list[Clip]) -> Boxes:
    """The boxes with corners in pixels instead of shares of the picture."""
    sizes = {clip.name: clip.size[::-1] * 2 for clip in clips}
    scale = [sizes[image.rpartition(",")[0]] for image in boxes.images.tolist()]
    return boxes._replace(corners=boxes.corners * np.array(scale).reshape(-1, 4))


def true_boxes(clips: list[Clip]) -> Boxes:
    """Every annotated box, corners in pixels."""
    rows = [
        (tubes.image_key(clip, number), corners, tube.label)
        for clip in clips
        for tube in clip.tubes
        for number, corners in zip(tube.frames.tolist(), tube.corners, strict=True)
    ]
    images, corners, labels = zip(*rows, strict=True) if rows else ((), (), ())
    return Boxes(
        np.array(images, str), np.array(corners).reshape(-1, 4), np.array(labels), np.ones(len(rows))
    )


def linked_tubes(boxes: Boxes, shortest: int) -> dict[str, list[FoundTube]]:
    """The tubes of every video and class."""
    frames: dict[tuple[str, int], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, (image, label) in enumerate(zip(boxes.images.tolist(), boxes.labels.tolist(), strict=True)):
        video, _, number = image.rpartition(",")
        frames[video, label][int(number)].append(row)
    found: dict[str, list[FoundTube]] = defaultdict(list)
    for (video, label), by_frame in frames.items():
        seen = {number: (boxes.corners[rows], boxes.scores[rows]) for number, rows in by_frame.items()}
        found[video] += link(seen, label, shortest)
    return found
