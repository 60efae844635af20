"""The body of one person: 17 keypoints by MoveNet SinglePose Thunder (Google), in the order of COCO."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from avtool.perceive.crops import around, cut
from avtool.perceive.onnx import run

SIDE = 256
MARGIN = 1.25  # side of the square shown, in longer sides of the person's box
SEEN = 0.3  # keypoints that score above it lie where they say

SAME = 0.15  # two bodies nearer than this, in extents of what is seen of them, are one


class Joint(IntEnum):
    """Row of each keypoint; left and right are the person's own."""

    NOSE = 0
    LEFT_EYE = 1
    RIGHT_EYE = 2
    LEFT_EAR = 3
    RIGHT_EAR = 4
    LEFT_SHOULDER = 5
    RIGHT_SHOULDER = 6
    LEFT_ELBOW = 7
    RIGHT_ELBOW = 8
    LEFT_WRIST = 9
    RIGHT_WRIST = 10
    LEFT_HIP = 11
    RIGHT_HIP = 12
    LEFT_KNEE = 13
    RIGHT_KNEE = 14
    LEFT_ANKLE = 15
    RIGHT_ANKLE = 16


def same(first: np.ndarray, second: np.ndarray, aspect: float) -> bool:
    """Whether two sets of keypoints (17, 3) are of one body: what both show lies at one place.

    `aspect` is the picture's width over its height.
    """
    both = (first[:, 2] > SEEN) & (second[:, 2] > SEEN)
    if both.sum() < 3:
        return False
    points = np.stack((first[both], second[both]))[..., :2] * (aspect, 1)
    extent = (points.max(1) - points.min(1)).max()
    return bool(np.median(np.linalg.norm(points[0] - points[1], axis=1)) < SAME * extent)


def pose(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Keypoints (17, 3) of the person in `box`: x and y in [0, 1] of the picture, and a score.

    `frame` RGB uint8 (height, width, 3); `box` x0 y0 x1 y1 in [0, 1] of it.
    """
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = box * (width, height, width, height)
    square = around((x0 + x1) / 2, (y0 + y1) / 2, MARGIN * max(x1 - x0, y1 - y0))
    image = cut(frame, square, SIDE)[None].astype(np.int64)
    y, x, score = run("movenet-thunder-256", image, ["keypoints"])[0].reshape(17, 3).T
    x = (square.left + x * square.side) / width
    y = (square.top + y * square.side) / height
    return np.stack((x, y, score), 1)
