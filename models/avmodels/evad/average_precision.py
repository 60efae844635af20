"""Frame mAP: how well boxes with actions are found, over keyframes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

# The official AVA script keeps so many rows of an image, over all classes.
MOST_OF_AN_IMAGE = 50
# So few boxes tell nothing of how often a score is right.
FEWEST = 10
STRICT_THRESHOLDS = np.arange(0.5, 1.0, 0.05)

Protocol = Literal["repository", "sorted", "activitynet"]


class Boxes(NamedTuple):
    """n labelled boxes: the image each is in, (n,) of any kind that compares; corners (n, 4), x1 y1 x2 y2;
    labels (n,); scores (n,)."""

    images: np.ndarray
    corners: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def where(self, chosen: np.ndarray) -> Boxes:
        """The boxes that `chosen` picks, by number or truth value."""
        return Boxes(*(column[chosen] for column in self))


def average_precisions(
    truth: Boxes,
    found: Boxes,
    classes: Sequence[int],
    thresholds: Sequence[float] | np.ndarray,
    protocol: Protocol,
) -> np.ndarray:
    """The average precision (thresholds, classes) of what was found; nan for a class that the truth has not.

    A found box takes the true box of its image and class that it overlaps most, where their IoU reaches the
    threshold and no earlier one has taken it. Which is earlier is decided by the protocol: `activitynet`, the
    official script, falling score, of the 50 best boxes of an image over all classes, and without images that
    have no true box of any class; `repository`, the order given, as EVAD's own evaluator reads it; `sorted`,
    falling score.
    Precision is made to fall, and integrated over all points of recall (VOC 2010).
    """
    known = np.unique(truth.images)
    truth, found = (boxes.where(np.isin(boxes.labels, classes)) for boxes in (truth, found))
    if protocol != "repository":
        found = found.where(np.argsort(-found.scores, kind="stable"))
    if protocol == "activitynet":
        found = found.where(np.isin(found.images, known))
        found = found.where(ranks(found.images) < MOST_OF_AN_IMAGE)
    found = found.where(np.all(found.corners[:, :2] < found.corners[:, 2:], axis=1))
    scores = np.full((len(thresholds), len(classes)), np.nan)
    for column, label in enumerate(classes):
        true, ours = (boxes.where(boxes.labels == label) for boxes in (truth, found))
        if len(true.labels) == 0:
            continue
        taken, overlap = best_overlaps(ours, true)
        # Of equal scores the later counts first, as both published evaluators sort.
        order = np.argsort(ours.scores, kind="stable")[::-1]
        for row, threshold in enumerate(thresholds):
            right = first_takers(taken, overlap >= threshold)
            scores[row, column] = area(right[order], len(true.labels))
    return scores


def sure_scores(truth: Boxes, found: Boxes, classes: Sequence[int], share: float) -> np.ndarray:
    """The least score of each class from which on a `share` of what was found is right at IoU 0.5, (classes,).

    nan where there is none, or where fewer than FEWEST boxes reach it.
    """
    scores = np.full(len(classes), np.nan)
    for column, label in enumerate(classes):
        true, ours = (boxes.where(boxes.labels == label) for boxes in (truth, found))
        ours = ours.where(np.argsort(-ours.scores, kind="stable"))
        taken, overlap = best_overlaps(ours, true)
        counts = np.arange(1, len(taken) + 1)
        right = np.cumsum(first_takers(taken, overlap >= 0.5)) >= share * counts
        last = np.append(ours.scores[1:] < ours.scores[:-1], True)[: len(taken)]  # of boxes of equal score
        enough = np.flatnonzero(right & last & (counts >= FEWEST))
        if len(enough):
            scores[column] = ours.scores[enough[-1]]
    return scores


def ranks(images: np.ndarray) -> np.ndarray:
    """The place of each row among those of its image, from 0."""
    order = np.argsort(images, kind="stable")
    _, starts, counts = np.unique(images[order], return_index=True, return_counts=True)
    places = np.empty(len(images), int)
    places[order] = np.arange(len(images)) - np.repeat(starts, counts)
    return places


def best_overlaps(ours: Boxes, true: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """For each of our boxes the number of the true box of its image it overlaps most, and their IoU; -1 and
    -1 where its image has none."""
    by_image = np.argsort(true.images, kind="stable")
    starts, ends = (np.searchsorted(true.images[by_image], ours.images, side) for side in ("left", "right"))
    counts = ends - starts
    taken, best = np.full(len(counts), -1), np.full(len(counts), -1.0)
    some = np.flatnonzero(counts)
    if len(some) == 0:
        return taken, best
    # All pairs of one image, our boxes one after the other.
    counts = counts[some]
    firsts = np.cumsum(counts) - counts
    left = np.repeat(some, counts)
    right = by_image[np.arange(counts.sum()) - np.repeat(firsts - starts[some], counts)]
    overlap = iou(ours.corners[left], true.corners[right])
    best[some] = np.maximum.reduceat(overlap, firsts)
    hits = np.flatnonzero(overlap == best[left])
    owners, first = np.unique(left[hits], return_index=True)
    taken[owners] = right[hits[first]]
    return taken, best


def iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (n, 4) row by row; 0 where both are empty."""
    inside = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
    common = inside.clip(0).prod(1)
    union = sum((boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (one, other)) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def first_takers(taken: np.ndarray, enough: np.ndarray) -> np.ndarray:
    """True for the first box, among those that overlap enough, that takes each true one."""
    candidates = np.flatnonzero(enough)
    _, first = np.unique(taken[candidates], return_index=True)
    right = np.zeros(len(taken), bool)
    right[candidates[first]] = True
    return right


def area(right: np.ndarray, total: int) -> float:
    """The area under precision over recall, precision made to fall: right (n,) by falling score."""
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(falling[right].sum() / total)
