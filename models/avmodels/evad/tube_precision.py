"""Frame mAP and video mAP as the field computes them on UCF101-24 and JHMDB (Kalogeiton et al., arXiv 1705.01861).

Sides count whole pixels (x2 - x1 + 1); precision is not made to fall, and is integrated by trapezoids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from avmodels.evad.average_precision import Boxes
from avmodels.evad.tubes import Clip, Tube

# Of a frame and class only so many boxes are linked, after those that overlap a better one more than this are gone.
BEST_OF_A_FRAME, TWICE = 10, 0.3
# A tube goes on with a box that overlaps its last by this; it ends after so many frames without.
LINK, PATIENCE = 0.5, 5
VIDEO_THRESHOLDS = (0.2, 0.5, 0.75)
STRICT_THRESHOLDS = tuple(np.arange(0.5, 1.0, 0.05).tolist())

Region = TypeVar("Region")


@dataclass(frozen=True, eq=False)
class FoundTube:
    """A tube that was found, and its score."""

    tube: Tube
    score: float


def frame_precision(truth: Boxes, found: Boxes, label: int, threshold: float) -> float:
    """The average precision of one class over frames, corners in pixels; nan where the truth has none."""
    truth, found = (boxes.where(boxes.labels == label) for boxes in (truth, found))
    of_image: dict[object, list[np.ndarray]] = defaultdict(list)
    for image, corners in zip(truth.images.tolist(), truth.corners, strict=True):
        of_image[image].append(corners)
    candidates = list(zip(found.images.tolist(), found.corners, found.scores.tolist(), strict=True))
    return _average_precision(of_image, candidates, lambda one, others: iou(one, np.array(others)), threshold)


def video_precision(
    truth: Sequence[Clip], found: dict[str, list[FoundTube]], label: int, threshold: float
) -> float:
    """The average precision of one class over videos, by the overlap of tubes in space and time."""
    of_video = {clip.name: [tube for tube in clip.tubes if tube.label == label] for clip in truth}
    candidates = [
        (video, one.tube, one.score)
        for video, tubes in found.items()
        for one in tubes
        if one.tube.label == label
    ]

    def overlaps(one: Tube, others: list[Tube]) -> np.ndarray:
        return np.array([tube_iou(one, other) for other in others])

    return _average_precision(of_video, candidates, overlaps, threshold)


def _average_precision(
    truth: dict[object, list[Region]] | dict[str, list[Region]],
    found: list[tuple[object, Region, float]] | list[tuple[str, Region, float]],
    overlaps: Callable[[Region, list[Region]], np.ndarray],
    threshold: float,
) -> float:
    """By falling score, each takes of what is left of the truth what it overlaps most, where that is enough."""
    left = {place: list(regions) for place, regions in truth.items()}
    total = sum(len(regions) for regions in left.values())
    if total == 0:
        return float("nan")
    right = []
    for place, region, _ in sorted(found, key=lambda one: -one[2]):
        shares = overlaps(region, left[place]) if left.get(place) else np.zeros(1)
        hit = float(shares.max()) >= threshold
        if hit:
            del left[place][int(shares.argmax())]
        right.append(hit)
    return trapezoid(np.array(right, bool), total)


def trapezoid(right: np.ndarray, total: int) -> float:
    """The area under precision over recall, from (0, 1) on: right (n,) by falling score."""
    hits = np.cumsum(right)
    precision = np.append(1.0, hits / np.arange(1, len(right) + 1))
    recall = np.append(0.0, hits / total)
    return float((np.diff(recall) * (precision[1:] + precision[:-1]) / 2).sum())


def iou(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box (4,) or boxes (n, 4) and others (n, 4), in whole pixels."""
    low, high = np.maximum(one[..., :2], others[..., :2]), np.minimum(one[..., 2:], others[..., 2:])
    common = (high - low + 1).clip(0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2] + 1).prod(-1) for boxes in (one, others)]
    return common / (areas[0] + areas[1] - common)


def tube_iou(one: Tube, other: Tube) -> float:
    """Overlap in time, times the mean overlap in the frames of both."""
    common, ours, theirs = np.intersect1d(one.frames, other.frames, return_indices=True)
    if not len(common):
        return 0.0
    together = max(one.frames[-1], other.frames[-1]) - min(one.frames[0], other.frames[0]) + 1
    return float(len(common) / together * iou(one.corners[ours], other.corners[theirs]).mean())


def link(frames: dict[int, tuple[np.ndarray, np.ndarray]], label: int, shortest: int) -> list[FoundTube]:
    """Tubes of one class in one video, from the corners (n, 4) and scores (n,) of every frame by number.

    A tube takes of each frame the best box that overlaps its last enough, the best tubes first; gaps are filled
    on straight lines. Its score is the mean of its boxes'. Tubes of less than `shortest` frames are dropped.
    """
    ended: list[list[tuple[int, np.ndarray, float]]] = []
    live: list[list[tuple[int, np.ndarray, float]]] = []
    for number in sorted(frames):
        corners, scores = distinct(*frames[number])
        free = list(range(len(corners)))
        live.sort(key=lambda chain: -_mean_score(chain))
        for chain in live:
            near = [row for row in free if iou(chain[-1][1], corners[row]) >= LINK]
            if near:
                free.remove(near[0])
                chain.append((number, corners[near[0]], float(scores[near[0]])))
        ended += [chain for chain in live if number - chain[-1][0] >= PATIENCE]
        live = [chain for chain in live if number - chain[-1][0] < PATIENCE]
        live += [[(number, corners[row], float(scores[row]))] for row in free]
    chains = [chain for chain in ended + live if chain[-1][0] - chain[0][0] + 1 >= shortest]
    return [FoundTube(_filled(chain, label), _mean_score(chain)) for chain in chains]


def distinct(corners: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best boxes of a frame by falling score, those left out that overlap a better one."""
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        if len(kept) < BEST_OF_A_FRAME and all(iou(corners[row], corners[k]) <= TWICE for k in kept):
            kept.append(row)
    return corners[kept], scores[kept]


def _mean_score(chain: list[tuple[int, np.ndarray, float]]) -> float:
    return sum(score for _, _, score in chain) / len(chain)


def _filled(chain: list[tuple[int, np.ndarray, float]], label: int) -> Tube:
    seen = np.array([number for number, _, _ in chain])
    corners = np.array([box for _, box, _ in chain])
    frames = np.arange(seen[0], seen[-1] + 1)
    return Tube(label, frames, np.stack([np.interp(frames, seen, side) for side in corners.T], axis=1))
