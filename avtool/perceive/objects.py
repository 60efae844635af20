"""People and the 80 kinds of objects of COCO in one picture: NanoDet-m, the longer side at 416 pixels.

NanoDet: RangiLyu, https://github.com/RangiLyu/nanodet. A side of a box is a distribution over eleven
distances (Li et al., Generalized Focal Loss, 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from avtool.perceive.onnx import run

# fmt: off
CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)
# fmt: on
PERSON = CLASSES.index("person")

SIDE = 416  # pixels of the longer side, as the network was trained
STRIDES = (8, 16, 32)
MEAN = np.array((103.53, 116.28, 123.675), np.float32)  # BGR
DEVIATION = np.array((57.375, 57.12, 58.395), np.float32)
SCORE = 0.5  # 0.35 lets false cups and phones in
WEAK = 0.25  # people are often no better than this; a caller must then see a body or a face to believe it
OVERLAP = 0.6  # of two boxes of one class that overlap more, the better stays


@dataclass(frozen=True, slots=True)
class Objects:
    """What was found in one picture, best first. `labels` (n,) index CLASSES; `boxes` (n, 4); `scores` (n,)."""

    labels: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def detect(frame: np.ndarray) -> Objects:
    """Objects in an RGB uint8 picture (height, width, 3): people that score above WEAK, the rest above SCORE."""
    height, width = frame.shape[:2]
    scale = SIDE / max(height, width)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    columns, rows = (-(-side // STRIDES[-1]) * STRIDES[-1] for side in inner)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(frame, inner, interpolation=interpolation)
    canvas = np.zeros((1, 3, rows, columns), np.float32)
    planes = canvas[0, :, : inner[1], : inner[0]]
    for plane, colour, mean in zip(planes, cv2.split(small)[::-1], MEAN, strict=True):
        np.subtract(colour, mean, plane)
    planes /= DEVIATION[:, None, None]

    names = [f"{kind}_{stride}" for kind in ("scores", "boxes") for stride in STRIDES]
    outputs = run("nanodet-m-416", canvas, names)
    scores = np.concatenate([output[0] for output in outputs[: len(STRIDES)]])
    logits = np.concatenate([output[0] for output in outputs[len(STRIDES) :]])

    cells, labels = np.nonzero(scores > _thresholds())
    found = scores[cells, labels]
    boxes = _boxes(logits[cells], _grid(rows, columns)[cells])
    keep = _suppress(labels, boxes, found)
    limits = np.array((*inner, *inner), np.float32)
    return Objects(labels[keep], (boxes[keep] / limits).clip(0, 1), found[keep])


@cache
def _grid(height: int, width: int) -> np.ndarray:
    """Centre x, centre y and stride of every cell, (cells, 3) in pixels of a canvas `height` x `width`."""
    cells = []
    for stride in STRIDES:
        down, across = (
            (np.arange(side // stride, dtype=np.float32) + 0.5) * stride for side in (height, width)
        )
        y, x = np.meshgrid(down, across, indexing="ij")
        cells.append(np.stack((x.ravel(), y.ravel(), np.full(x.size, stride, np.float32)), 1))
    return np.concatenate(cells)


@cache
def _thresholds() -> np.ndarray:
    """The least score of each class, (classes,)."""
    return np.where(np.arange(len(CLASSES)) == PERSON, WEAK, SCORE).astype(np.float32)


def _boxes(logits: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Corners (n, 4) in canvas pixels from the logits (n, 44) of distances to the four sides, and the cells' rows
    (n, 3) of the grid."""
    x, y, stride = cells.T
    logits = logits.reshape(-1, 4, 11)
    weights = np.exp(logits - logits.max(2, keepdims=True))
    distances = weights @ np.arange(11, dtype=np.float32) / weights.sum(2) * stride[:, None]
    left, top, right, bottom = distances.T
    return np.stack((x - left, y - top, x + right, y + bottom), 1)


def _suppress(labels: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Indices of what stays of each class after non-maximum suppression, best first."""
    if not len(labels):
        return np.zeros(0, np.int64)
    corners = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), 1)
    keep = cv2.dnn.NMSBoxesBatched(corners.tolist(), scores.tolist(), labels.tolist(), WEAK, OVERLAP)
    keep = np.asarray(keep, np.int64)
    return keep[np.argsort(-scores[keep], kind="stable")]
