"""Looks: how a shot is filmed. Size of the people in it, what the camera does, motion and brightness.

Corners are followed from one small luma picture to the next (Lucas and Kanade) and explained by one similarity
(shift and zoom) with RANSAC; where most of them obey it, the camera moved. "still" is also what is said when
nothing else is sure.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from avtool.timeline import SECOND, Look, Scale, Shot, Track

if TYPE_CHECKING:
    from avtool.perceive.tracks import Faces

HEIGHT, WIDTH = 90, 160
CORNERS = 120
FEWEST = 12  # corners that must be followed, or the pair of pictures says nothing of the camera
OBEY = 0.6  # share of the corners that the camera's motion must explain
PAIRS = 0.7  # share of a shot's pairs that must tell
STEADY = 0.75  # net way over whole way: a pan goes one way
PAN = 0.12  # picture widths that a pan or tilt covers at least
SHAKE = 0.15  # picture widths a second, to and fro
CUT = 0.96  # a person whose box reaches further down is not seen whole

# Least height of a face, from forehead to chin, in picture heights.
FACES: tuple[tuple[float, Scale], ...] = (
    (0.75, "extreme close-up"),
    (0.32, "close-up"),
    (0.12, "medium"),
    (0.06, "full"),
    (0.025, "long"),
)

Camera = Literal["still", "pan left", "pan right", "tilt up", "tilt down", "push in", "pull out", "shaky"]

UNKNOWN = (0.0, 0.0, 0.0, 0.0), float("nan")


class Looks:
    """The perceiver of looks. It keeps a few numbers of each pair of pictures, five a second."""

    fps: float | None = 5.0
    size: tuple[int, int] | None = (HEIGHT, WIDTH)
    gray: bool = True

    def __init__(self) -> None:
        self._last_time = 0
        self._last: np.ndarray | None = None
        self._times = array("q")  # of the later picture of each pair
        self._seconds = array("f")  # between the two
        self._camera = array("f")  # four a pair: right, down (in widths), zoom, share of corners that obey
        self._motion = array("f")  # mean way of the corners, in widths
        self._light_times = array("q")
        self._light = array("f")

    def see(self, times: np.ndarray, frames: np.ndarray) -> None:
        for time, frame in zip(times.tolist(), frames, strict=True):
            self._light_times.append(time)
            self._light.append(float(frame.mean()) / 255)
            if self._last is not None:
                camera, motion = _pair(self._last, frame)
                self._times.append(time)
                self._seconds.append((time - self._last_time) / SECOND)
                self._camera.extend(camera)
                self._motion.append(motion)
            self._last_time, self._last = time, frame

    def finish(self) -> None:
        pass

    def looks(self, shots: list[Shot], tracks: Sequence[Track], faces: Mapping[int, Faces]) -> list[Look]:
        """One look a shot. `faces` are those of person tracks, by track id."""
        times, seconds = np.array(self._times, np.int64), np.array(self._seconds, np.float32)
        camera = np.array(self._camera, np.float32).reshape(-1, 4)
        motion = np.array(self._motion, np.float32)
        light_times, light = np.array(self._light_times, np.int64), np.array(self._light, np.float32)
        people: dict[int, list[Track]] = {}
        for track in tracks:
            if track.label == "person":
                people.setdefault(track.shot, []).append(track)

        looks = []
        for shot in shots:
            # A pair belongs to the shot when both its pictures do.
            inside = (times - seconds * SECOND >= shot.span.start) & (times < shot.span.end)
            lit = light[(light_times >= shot.span.start) & (light_times < shot.span.end)]
            known = inside & ~np.isnan(motion)
            looks.append(
                Look(
                    shot.index,
                    _scale(people.get(shot.index, []), faces),
                    _movement(camera[inside], seconds[inside]),
                    float(motion[known].sum() / seconds[known].sum()) if known.any() else 0.0,
                    float(lit.mean()) if lit.size else 0.0,
                )
            )
        return looks


def _pair(before: np.ndarray, after: np.ndarray) -> tuple[tuple[float, float, float, float], float]:
    """What the camera did from one luma picture to the next, and the mean way of the corners in widths.

    The camera: its shift right and down in picture widths, the logarithm of the growth of what it shows, and
    the share of the corners that this explains. UNKNOWN where too few corners could be followed.
    """
    corners = cv2.goodFeaturesToTrack(before, CORNERS, 0.01, 6)
    if corners is None or len(corners) < FEWEST:
        return UNKNOWN
    there, found = _follow(before, after, corners)
    back, found_back = _follow(after, before, there)
    good = (found & found_back).ravel().astype(bool) & (np.abs(corners - back).max(axis=(1, 2)) < 0.5)
    if np.count_nonzero(good) < max(FEWEST, len(corners) / 3):
        return UNKNOWN
    here, there = corners[good, 0], there[good, 0]
    way = float(np.linalg.norm(there - here, axis=1).mean()) / WIDTH
    matrix, obey = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=0.7)
    if matrix is None:
        return UNKNOWN[0], way
    middle = np.array([WIDTH / 2, HEIGHT / 2])
    shift = matrix[:, :2] @ middle + matrix[:, 2] - middle
    zoom = float(np.log(np.hypot(matrix[0, 0], matrix[1, 0])))
    # The camera goes against what it shows.
    return (-shift[0] / WIDTH, -shift[1] / WIDTH, zoom, float(obey.mean())), way


def _follow(before: np.ndarray, after: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where `corners` (n, 1, 2) of one picture lie in the other, and which of them were found (n, 1)."""
    start = np.zeros_like(corners)
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, start, winSize=(15, 15), maxLevel=3)
    return there, found


def _movement(camera: np.ndarray, seconds: np.ndarray) -> Camera:
    """What the camera does over a shot, from its pairs `camera` (n, 4) as `_pair` gives them."""
    told = camera[:, 3] >= OBEY
    if not told.any() or told.mean() < PAIRS:
        return "still"
    # A zoom moves the picture's sides by half of its logarithm: so the three are of one unit, widths.
    ways = camera[told, :3] * (1, 1, 0.5)
    net, whole = ways.sum(axis=0), np.abs(ways).sum(axis=0)
    main = int(np.argmax(np.abs(net)))
    least = PAN if main < 2 else PAN / 2
    if abs(net[main]) >= least and abs(net[main]) >= STEADY * whole[main]:
        names: tuple[tuple[Camera, Camera], ...] = (
            ("pan left", "pan right"),
            ("tilt up", "tilt down"),
            ("pull out", "push in"),
        )
        return names[main][int(net[main] > 0)]
    way = np.hypot(ways[:, 0], ways[:, 1]).sum() / seconds[told].sum()
    return "shaky" if way >= SHAKE else "still"


def _scale(people: list[Track], faces: Mapping[int, Faces]) -> Scale | None:
    """The size of the largest person: by the face where it was measured, else by the box."""
    if not people:
        return None
    boxes = {track.id: np.array(track.boxes) for track in people}
    sizes = {
        id: float(np.median((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]))) for id, box in boxes.items()
    }
    largest = max(sorted(sizes), key=lambda id: sizes[id])
    if largest in faces and len(faces[largest].boxes):
        face = faces[largest].boxes
        return _by_face(float(np.median(face[:, 3] - face[:, 1])))
    x0, y0, x1, y1 = np.median(boxes[largest], axis=0)
    return _by_box(float(x1 - x0), float(y1 - y0), seen_whole=y1 < CUT)


def _by_face(height: float) -> Scale:
    """`height` of the face, in picture heights."""
    for least, scale in FACES:
        if height >= least:
            return scale
    return "extreme long"


def _by_box(width: float, height: float, seen_whole: bool) -> Scale:
    """`width` and `height` of the person's box, in shares of the picture."""
    if seen_whole:
        return "full" if height >= 0.6 else "long" if height >= 0.2 else "extreme long"
    if height < 0.5:
        return "long"
    return "close-up" if width >= 0.45 and height >= 0.8 else "medium"
