"""Two kinds of things find each other, texts and videos or sights and sounds: ranks, and what is told of them."""

from __future__ import annotations

import numpy as np

RECALLS = (1, 5, 10, 50)


def column_ranks(similarities: np.ndarray, rows_each: int = 1) -> np.ndarray:
    """For every row how many columns are more like it than its own: (rows, columns) -> (rows,), from 0.

    Rows c * rows_each to (c + 1) * rows_each - 1 belong to column c: the captions of a video. A tie counts for
    the right column.
    """
    rows = np.arange(len(similarities))
    return (similarities > similarities[rows, rows // rows_each, None]).sum(1)


def row_ranks(similarities: np.ndarray, rows_each: int = 1) -> np.ndarray:
    """For every column the rank from 0 of the best of its rows, that of a row being the mean over its ties.

    similarities (columns * rows_each, columns) -> (columns,) float64.
    """
    columns = similarities.shape[1]
    ranks = np.empty((rows_each, columns))
    for number in range(rows_each):
        own = similarities[np.arange(columns) * rows_each + number, np.arange(columns)]
        better, tied = (similarities > own).sum(0), (similarities == own).sum(0)
        ranks[number] = better + (tied - 1) / 2
    return ranks.min(0)


def recall_at(ranks: np.ndarray, k: int) -> float:
    """How many ranks, from 0, are below k, in per cent. A first place shared with others is none."""
    return 100 * float((ranks < k if k > 1 else ranks == 0).mean())


def median_rank(ranks: np.ndarray) -> float:
    """The median rank, from 1."""
    return float(np.median(ranks)) + 1


def recalls(ranks: np.ndarray) -> dict[str, float]:
    """R@1, R@5, R@10 and R@50 in per cent, the median and mean rank from 1, and the geometric mean of the first
    three recalls."""
    at = {f"R@{k}": recall_at(ranks, k) for k in RECALLS}
    return at | {
        "MdR": median_rank(ranks),
        "MnR": float(np.mean(ranks)) + 1,
        "GM": float(np.prod([at["R@1"], at["R@5"], at["R@10"]]) ** (1 / 3)),
    }


def dual_softmax(similarities: np.ndarray, scale: float = 100.0) -> np.ndarray:
    """Similarities (texts, videos) re-ranked by how much each video prefers each text (arXiv 2109.04290).

    Needs all texts at once; our reading of the "DSL" rows that TVTSv2 publishes, for which no code was released.
    """
    logits = scale * similarities
    preferred = np.exp(logits - logits.max(0))
    return logits * preferred / preferred.sum(0)
