"""Detections as files: a table, AVA's csv, and JSON as COCO's video sets have it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, TextIO

from avtool.detect import Detections
from avtool.errors import UsageError
from avtool.timeline import SECOND, clock
from avtool.workspace import replacing

COLUMNS = ("time", "shot", "track", "x0", "y0", "x1", "y1", "person", "actions")


def write_table(found: Detections, least: float, file: TextIO) -> None:
    """One row a person and keyframe, as csv with a header; the actions are those that reach `least`."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for one in found.people:
        sides = (f"{side:.4f}" for side in one.box)
        writer.writerow(
            (clock(one.time), one.shot, one.track, *sides, f"{one.score:.2f}", told(found.doing(one, least)))
        )


def told(doing: dict[str, float]) -> str:
    """Actions and their scores on one line."""
    return "; ".join(f"{label} {score:.2f}" for label, score in doing.items())


def by_keyframe(found: Detections, least: float) -> list[dict[str, Any]]:
    """Every keyframe with its people, as plain data: times in microseconds, actions that reach `least`."""
    people: dict[int, list[dict[str, Any]]] = {time: [] for time in found.keyframes}
    for one in found.people:
        people[one.time].append(
            {
                "track": one.track,
                "shot": one.shot,
                "box": one.box,
                "score": one.score,
                "actions": found.doing(one, least),
            }
        )
    return [{"time": time, "people": here} for time, here in people.items()]


def write_ava(found: Detections, path: Path) -> None:
    """AVA's csv of detections: video, second, x1, y1, x2, y2, action, score; a row for every person and action.

    Raises UsageError where no actions were scored.
    """
    if not found.labels:
        raise UsageError(f"AVA's csv is of actions, and the people are those of {found.by}")
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        for one in found.people:
            sides = ",".join(f"{side:.3f}" for side in one.box)
            for number, score in zip(found.labels, one.actions, strict=True):
                second = one.time // SECOND
                print(f"{found.film.path.stem},{second:04},{sides},{number},{score:.4f}", file=file)


def write_coco(found: Detections, path: Path) -> None:
    """JSON as COCO's video sets have it: an image for each keyframe, boxes as x, y, width, height in pixels, and
    the track as `instance_id`. `actions` of an annotation are scores by name."""
    size = {"width": found.film.picture.width, "height": found.film.picture.height}
    image_of = {time: number for number, time in enumerate(found.keyframes, start=1)}
    document = {
        "info": {"description": found.by},
        "videos": [{"id": 1, "name": found.film.path.name, **size}],
        "categories": [{"id": 1, "name": "person"}],
        "images": [
            {"id": number, "video_id": 1, "frame_id": number - 1, "time": time / SECOND, **size}
            for time, number in image_of.items()
        ],
        "annotations": [
            {
                "id": number,
                "video_id": 1,
                "image_id": image_of[one.time],
                "category_id": 1,
                "instance_id": one.track,
                "iscrowd": 0,
                "score": one.score,
                "actions": dict(zip(found.labels.values(), one.actions, strict=True)),
                **_box(one.box, **size),
            }
            for number, one in enumerate(found.people, start=1)
        ],
    }
    with replacing(path) as beside:
        beside.write_text(json.dumps(document), encoding="utf-8")


def _box(box: tuple[float, float, float, float], width: int, height: int) -> dict[str, Any]:
    x0, y0, x1, y1 = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    sides = [round(side, 2) for side in (x0, y0, x1 - x0, y1 - y0)]
    return {"bbox": sides, "area": round(sides[2] * sides[3], 2)}
