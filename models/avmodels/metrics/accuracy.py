"""Is the right class among the best ones."""

from __future__ import annotations

import numpy as np


def hits(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Whether each label is among the k best classes: scores (n, classes), labels (n,) -> (n,) bool."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return (best == labels[:, None]).any(1)
