"""Mean intersection over union as mmsegmentation counts it: over the pixels of all pictures together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

IGNORED = 255


class Areas(NamedTuple):
    """Pixels of each class, (classes,) int64, over one picture or many."""

    intersection: np.ndarray
    union: np.ndarray
    predicted: np.ndarray
    labelled: np.ndarray


def areas(prediction: np.ndarray, label: np.ndarray, classes: int, ignored: int = IGNORED) -> Areas:
    """The areas of one picture. Pixels whose label is `ignored` do not count; a label of no class counts as
    missed by what was predicted there."""
    counted = label != ignored
    label = np.where((label >= 0) & (label < classes), label, classes)[counted].astype(np.int64)
    pairs = np.bincount(label * classes + prediction[counted], minlength=(classes + 1) * classes)
    table = pairs.reshape(classes + 1, classes)
    intersection, predicted, labelled = table.diagonal(), table.sum(0), table[:classes].sum(1)
    return Areas(intersection.copy(), predicted + labelled - intersection, predicted, labelled)


def without_zero(label: np.ndarray) -> np.ndarray:
    """A label map whose class 0 is ignored and whose other classes count from 0."""
    shifted = label.astype(np.int64) - 1
    return np.where((label == 0) | (label == IGNORED), IGNORED, shifted)


def add(some: Areas, others: Areas) -> Areas:
    """The areas of two sets of pictures together."""
    return Areas(*(one + other for one, other in zip(some, others, strict=True)))


def ious(total: Areas) -> np.ndarray:
    """Intersection over union of each class, (classes,); NaN for a class that is nowhere."""
    return ratio(total.intersection, total.union)


def recalls(total: Areas) -> np.ndarray:
    """The share of each class's pixels that are found, (classes,); NaN for a class without any."""
    return ratio(total.intersection, total.labelled)


def mean_iou(total: Areas) -> float:
    """Percent, rounded to two decimals as published; classes that are nowhere do not count."""
    return round(100 * float(np.nanmean(ious(total))), 2)


def ratio(some: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Counts divided; NaN where there is nothing to divide by."""
    return np.divide(some, of, out=np.full(len(of), np.nan), where=of > 0)
