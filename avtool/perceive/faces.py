"""Faces: where they are, what can be seen of mouth, eyes and head, and a descriptor of whose they are.

Found by dlib's frontal detector (histograms of oriented gradients), measured by MediaPipe's Face Mesh of 468
landmarks, described by dlib's ResNet of 128 numbers: two faces of one person lie within about 0.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from avtool.perceive import descriptor
from avtool.perceive.bodies import SEEN, Joint
from avtool.perceive.crops import Square, around, cut
from avtool.perceive.onnx import run
from avtool.weights import trusted

DETECTOR_FACE = 110  # pixels: a face is shown to the detector at about this size; it misses those under 80
DETECTOR_SIDE = 264  # pixels of the square shown to the detector
DETECTOR_WIDTH = 320  # pixels of a whole picture shown to the detector: only close-ups are found
SMALLEST = 16  # pixels: smaller faces are too coarse to be found or read
MESH_SIDE = 192
MESH_MARGIN = 1.5  # side of the square shown to Face Mesh, in longer sides of the landmarks' box
MESH_PER_DETECTION = 1.07  # longer side of the landmarks' box, in sides of the detector's box
FLAG = 0.8  # Face Mesh's own probability that it sees a face
UPRIGHT = 8  # degrees by which the base of the nose stands out before the forehead of a level face
CLEAR = 80  # pixels: a wider face is described no better
CHIP_PADDING = 0.25


@dataclass(frozen=True, slots=True)
class Face:
    """What can be seen of one face. The ratios do not depend on its size.

    `box` of the landmarks, x0 y0 x1 y1 in [0, 1]; `mouth_open` between the inner lips, in mouth widths;
    `mouth_width` in distances between the outer corners of the eyes; `eye_open` between the lids, in eye widths
    (mean of both); `smile` how far the corners of the mouth lie above its middle, in mouth widths; `yaw` > 0
    when the face turns to the picture's right and `pitch` > 0 when it turns up, in degrees; `quality` in [0, 1]
    from size and angles.
    """

    box: np.ndarray
    mouth_open: float
    mouth_width: float
    eye_open: float
    smile: float
    yaw: float
    pitch: float
    quality: float


@dataclass(frozen=True, slots=True)
class Head:
    """Where a face should be: its centre and side in pixels."""

    x: float
    y: float
    side: float


def head(frame: np.ndarray, box: np.ndarray, keypoints: np.ndarray) -> Head | None:
    """Where the face of a person should be, from keypoints (17, 3), else the upper part of the box.

    None where the keypoints tell that the person shows no face, or it is too small to read.
    """
    height, width = frame.shape[:2]
    points = keypoints[:, :2] * (width, height)
    seen = keypoints[:, 2] > SEEN
    front = [Joint.NOSE, Joint.LEFT_EYE, Joint.RIGHT_EYE]
    x0, y0, x1, y1 = box * (width, height, width, height)
    if seen[front].sum() >= 2:
        spans = [
            length * float(np.hypot(*(points[a] - points[b])))
            for a, b, length in (
                (Joint.LEFT_EYE, Joint.RIGHT_EYE, 2.2),
                (Joint.LEFT_EAR, Joint.RIGHT_EAR, 1.0),
                (Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER, 0.4),
            )
            if seen[a] and seen[b]
        ]
        side = max(spans, default=0.2 * (y1 - y0))
        x, y = points[front][seen[front]].mean(0)
    elif seen.sum() >= 5:
        return None
    else:
        side = min(x1 - x0, y1 - y0) / 2
        x, y = (x0 + x1) / 2, y0 + side
    return Head(float(x), float(y), float(side)) if side >= SMALLEST else None


def find(frame: np.ndarray, guess: Head) -> tuple[Face, np.ndarray | None] | None:
    """The face at `guess` and its aligned chip (150, 150, 3), or None where there is none.

    Where the detector misses it (a profile, dark glasses) Face Mesh may still see it: then there is no chip.
    """
    square = around(guess.x, guess.y, guess.side * DETECTOR_SIDE / DETECTOR_FACE)
    crop = cut(frame, square, DETECTOR_SIDE)
    middle = DETECTOR_SIDE / 2

    def off(rectangle: Any) -> float:
        return max(abs(rectangle.center().x - middle), abs(rectangle.center().y - middle))

    nearest = min(_detector()(crop, 0), key=off, default=None)
    if nearest is not None and off(nearest) < DETECTOR_FACE / 2:
        return _read(frame, crop, nearest, square.left, square.top, square.side / DETECTOR_SIDE)
    face = glimpse(frame, guess)
    return (face, None) if face else None


def glimpse(frame: np.ndarray, guess: Head) -> Face | None:
    """The face that Face Mesh sees at `guess`, without looking for it."""
    return measure(frame, around(guess.x, guess.y, guess.side * MESH_PER_DETECTION * MESH_MARGIN))


def again(frame: np.ndarray, box: np.ndarray) -> Face | None:
    """The face that Face Mesh sees where `box` (4,) of a face was a moment ago."""
    x0, y0, x1, y1 = box * (*frame.shape[1::-1], *frame.shape[1::-1])
    return measure(frame, around((x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0) * MESH_MARGIN))


def find_close_up(frame: np.ndarray) -> tuple[Face, np.ndarray | None] | None:
    """The largest face of a picture, where it takes at least a quarter of the width; and its chip."""
    import cv2

    height, width = frame.shape[:2]
    scale = width / DETECTOR_WIDTH
    small = cv2.resize(frame, (DETECTOR_WIDTH, max(1, round(height / scale))), interpolation=cv2.INTER_AREA)
    rectangles = list(_detector()(small, 0))
    if not rectangles:
        return None
    return _read(frame, small, max(rectangles, key=lambda rectangle: rectangle.area()), 0, 0, scale)


def _read(
    frame: np.ndarray, crop: np.ndarray, rectangle: Any, left: float, top: float, scale: float
) -> tuple[Face, np.ndarray] | None:
    """Measures and chip of the face the detector found at `rectangle` of `crop`, which is `frame` from
    (left, top) on, made smaller by `scale`."""
    import dlib

    x = left + (rectangle.left() + rectangle.right()) / 2 * scale
    y = top + (rectangle.top() + rectangle.bottom()) / 2 * scale
    face = measure(frame, around(x, y, rectangle.width() * scale * MESH_PER_DETECTION * MESH_MARGIN))
    if face is None:
        return None
    points = _predictor()(crop, rectangle)
    return face, dlib.get_face_chip(crop, points, descriptor.SIDE, CHIP_PADDING)  # pyright: ignore


def measure(frame: np.ndarray, square: Square) -> Face | None:
    """The face that `square` shows more or less, or None where Face Mesh sees none.

    Its landmarks tell where the face really is: read once more from there, they shake less.
    """
    rough = _mesh(frame, square)
    if rough is None:
        return None
    x, y = (rough.box[:2] + rough.box[2:]) / 2 * (frame.shape[1], frame.shape[0])
    across, down = (rough.box[2:] - rough.box[:2]) * (frame.shape[1], frame.shape[0])
    return _mesh(frame, around(x, y, max(across, down) * MESH_MARGIN))


def _mesh(frame: np.ndarray, square: Square) -> Face | None:
    """What Face Mesh reads off `square`."""
    image = cut(frame, square, MESH_SIDE)[None].astype(np.float32) / 255
    flag, landmarks = run("facemesh-192", image, ["face_flag", "landmarks"])
    flag = float(flag[0, 0])
    if flag < FLAG:
        return None
    points = landmarks.reshape(468, 3)
    height, width = frame.shape[:2]
    corners = np.concatenate((points[:, :2].min(0), points[:, :2].max(0))) * (square.side / MESH_SIDE)
    box = (corners + (square.left, square.top) * 2) / (width, height, width, height)

    across = points[263] - points[33]  # outer corner of the right eye to that of the left
    down = points[2] - points[10]  # forehead to the base of the nose, which the jaw does not move
    yaw = float(np.degrees(np.arctan2(across[2], across[0])))
    pitch = -float(np.degrees(np.arctan2(down[2], down[1]))) - UPRIGHT
    mouth = _distance(points, 61, 291)
    level = across[:2] / np.hypot(*across[:2])
    below = np.array((-level[1], level[0]))  # unit vector down the face
    middle, ends = (points[13] + points[14])[:2] / 2, (points[61] + points[291])[:2] / 2
    turned = max(0.0, float(np.cos(np.radians(yaw)) * np.cos(np.radians(pitch))))
    return Face(
        box=box.astype(np.float32),
        mouth_open=_distance(points, 13, 14) / mouth,
        mouth_width=mouth / float(np.linalg.norm(across)),
        eye_open=(
            _distance(points, 159, 145) / _distance(points, 33, 133)
            + _distance(points, 386, 374) / _distance(points, 362, 263)
        )
        / 2,
        smile=float((middle - ends) @ below) / mouth,
        yaw=yaw,
        pitch=pitch,
        quality=flag * turned * min(1.0, float(corners[2] - corners[0]) / CLEAR),
    )


def _distance(points: np.ndarray, first: int, second: int) -> float:
    return max(float(np.linalg.norm(points[first] - points[second])), 1e-6)


def chips(portrait: np.ndarray) -> list[np.ndarray]:
    """The aligned chip (150, 150, 3) of every face in a portrait; faces under 80 pixels on a second look."""
    import dlib

    found = _detector()(portrait, 0) or _detector()(portrait, 1)
    points = [_predictor()(portrait, rectangle) for rectangle in found]
    return [dlib.get_face_chip(portrait, each, descriptor.SIDE, CHIP_PADDING) for each in points]  # pyright: ignore


@cache
def _detector() -> Any:
    import dlib

    return dlib.get_frontal_face_detector()  # pyright: ignore


@cache
def _predictor() -> Any:
    import dlib

    return dlib.shape_predictor(str(trusted("dlib-face-landmarks-5")))  # pyright: ignore
