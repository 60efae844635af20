"""Recall within neighbours (AutoAD II, arXiv 2310.06838): is a sentence nearer to its own reference than to others'?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def recall_windows(similarity: np.ndarray, neighbours: int, best: Sequence[int]) -> np.ndarray:
    """R@k/N of every window of a film, (windows, k): the share of generated sentences whose own reference is
    among the k nearest of the N in the window.

    similarity (n, n): of generated sentence i with reference j, in the order of time. Windows of `neighbours`
    sentences begin half a window apart; what is left over at the end is in none. Of equally near references the
    first counts as nearer. A film of fewer sentences has no window.
    """
    starts = range(0, len(similarity) - neighbours + 1, max(neighbours // 2, 1))
    own = np.arange(neighbours)
    rows = []
    for start in starts:
        window = similarity[start : start + neighbours, start : start + neighbours]
        order = np.argsort(-window, axis=1, kind="stable")
        place = (order == own[:, None]).argmax(1)
        rows.append([(place < k).mean() for k in best])
    return np.array(rows, np.float64).reshape(-1, len(best))


def recall_within_neighbours(
    similarities: Sequence[np.ndarray], neighbours: int, best: Sequence[int]
) -> np.ndarray:
    """R@k/N (k,): the mean over films of the means over their windows; films without a window do not count.

    Not a number where no film has a window.
    """
    films = [recall_windows(similarity, neighbours, best) for similarity in similarities]
    means = [windows.mean(0) for windows in films if len(windows)]
    return np.mean(means, axis=0) if means else np.full(len(best), np.nan)
