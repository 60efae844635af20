"""Texts find videos and videos find texts: ranks, and what is told of them."""

from __future__ import annotations

import numpy as np

RECALLS = (1, 5, 10, 50)


def video_ranks(similarities: np.ndarray, captions: int = 1) -> np.ndarray:
    """For every text the number of videos more like it than its own: (captions * videos, videos) -> (texts,).

    The texts of video v are rows v * captions to (v + 1) * captions - 1. A tie counts for the right video.
    """
    own = similarities[np.arange(len(similarities)), np.arange(len(similarities)) // captions]
    return (similarities > own[:, None]).sum(1)


def text_ranks(similarities: np.ndarray, captions: int = 1) -> np.ndarray:
    """For every video the rank from 0 of its best caption, a caption's rank being the mean over its ties.

    similarities (captions * videos, videos) -> (videos,) float64.
    """
    videos = similarities.shape[1]
    ranks = np.empty((captions, videos))
    for number in range(captions):
        own = similarities[np.arange(videos) * captions + number, np.arange(videos)]
        better, tied = (similarities > own).sum(0), (similarities == own).sum(0)
        ranks[number] = better + (tied - 1) / 2
    return ranks.min(0)


def recalls(ranks: np.ndarray) -> dict[str, float]:
    """R@1, R@5, R@10 and R@50 in per cent, the median and mean rank from 1, and the geometric mean of the first
    three recalls. A first place shared with others is none."""
    at = {f"R@{k}": 100 * float((ranks < k if k > 1 else ranks == 0).mean()) for k in RECALLS}
    return at | {
        "MdR": float(np.median(ranks)) + 1,
        "MnR": float(np.mean(ranks)) + 1,
        "GM": float(np.prod([at["R@1"], at["R@5"], at["R@10"]]) ** (1 / 3)),
    }


def dual_softmax(similarities: np.ndarray, scale: float = 100.0) -> np.ndarray:
    """Similarities (texts, videos) re-ranked by how much each video prefers each text (arXiv 2109.04290).

    Needs all texts at once; our reading of the published "DSL" rows, for which no code was released.
    """
    logits = scale * similarities
    preferred = np.exp(logits - logits.max(0))
    return logits * preferred / preferred.sum(0)
