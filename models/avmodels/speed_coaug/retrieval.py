"""Judging retrieval by class: is one of the same kind among the nearest."""

from __future__ import annotations

import numpy as np

RECALLS = (1, 5, 10, 20, 50)


def unit(vectors: np.ndarray) -> np.ndarray:
    """vectors (..., E) of length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def neighbours(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """The gallery in the order of likeness to each query: (q, E) and (g, E) of length 1 -> (q, g) numbers."""
    return np.argsort(-(query @ gallery.T), axis=1, kind="stable")


def class_ranks(order: np.ndarray, labels: np.ndarray, gallery_labels: np.ndarray) -> np.ndarray:
    """The first place, from 0, at which each query's class comes: order (q, g), labels (q,), (g,) -> (q,).

    A class that the gallery does not have comes after all.
    """
    right = gallery_labels[order] == labels[:, None]
    return np.where(right.any(1), right.argmax(1), order.shape[1])
