"""Speech that goes with pictures: words with times, a repaired text laid over them, and clips of both.

Annotations are those of YT-Temporal: `subtitles` [{word, time}], `denoised` [{cleanasr}], `info.duration`.
"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

# Seconds a transcript lasts are drawn from these, and this many seconds lie between two.
SECONDS = (3, 5)
INTERVAL = 1
# A repaired word lies at most this share of the words, or so many words, from the raw one it is laid over.
REACH = 0.1
LEAST_REACH = 32
# The cost of laying a word farther away.
FAR = 9999


class Words(NamedTuple):
    """Recognised words, when they were spoken (seconds), and the repaired text laid over each, often one word,
    sometimes none or several."""

    raw: list[str]
    times: np.ndarray
    repaired: list[str]


class Window(NamedTuple):
    """Where each transcript begins and ends, in seconds, (transcripts,) each."""

    starts: np.ndarray
    ends: np.ndarray


def words_of(annotation: dict[str, Any]) -> Words:
    """The words of an annotation. Costs the square of their number: do it once for a video."""
    from ftfy import fix_text

    raw, times = [], []
    for entry in annotation["subtitles"]:
        word = entry["word"]
        if word.startswith("&") or word.endswith(";"):
            continue
        word = fix_text(word)
        if word:
            raw.append(word)
            times.append(entry["time"])
    repaired = " ".join(fix_text(part["cleanasr"]) for part in annotation["denoised"]).split(" ")
    return Words(raw, np.array(times, np.float64), aligned(raw, repaired))


def aligned(raw: Sequence[str], repaired: Sequence[str]) -> list[str]:
    """The repaired words laid over the raw ones in order, joined by spaces where several fall on one."""
    laid: list[list[str]] = [[] for _ in raw]
    if not raw:
        return []
    reach = int(max(REACH * len(raw), LEAST_REACH))
    repaired = repaired[: len(raw) + reach]
    last = -1
    for i, j in path(costs(raw, repaired, reach)):
        if j > last:
            laid[i].append(repaired[j])
            last = j
    return [" ".join(words) for words in laid]


def costs(raw: Sequence[str], repaired: Sequence[str], reach: int) -> np.ndarray:
    """Edit distances of the words without case and punctuation, (raw, repaired) int64; FAR beyond the reach."""
    bare = str.maketrans("", "", string.punctuation)
    first, second = ([word.lower().translate(bare) for word in words] for words in (raw, repaired))
    (one, rows), (other, columns) = (np.unique(words, return_inverse=True) for words in (first, second))
    distances = cdist(one.tolist(), other.tolist(), scorer=Levenshtein.distance, dtype=np.int64)
    offset = np.arange(len(second)) - np.arange(len(first))[:, None]
    near = (offset >= -reach) & (offset < reach)
    return np.where(near, distances[rows[:, None], columns], FAR)


def path(cost: np.ndarray) -> list[tuple[int, int]]:
    """The cheapest way through a cost matrix (n, m) from corner to corner by steps down, right or both.

    Among equally cheap ways, back from the end, both goes before down, and down before right (dynamic time
    warping, Sakoe and Chiba 1978). The sums are made a diagonal at a time.
    """
    rows, columns = cost.shape
    flat, between = cost.ravel(), max(columns - 1, 1)
    nowhere = np.iinfo(np.int64).max // 2
    # The sums of the last two diagonals; row i at i + 1, after a border that only the first cell steps from.
    last, before_last = np.full((2, rows + 1), nowhere)
    before_last[0] = 0
    steps = []
    for diagonal in range(rows + columns - 1):
        low, high = max(0, diagonal - columns + 1), min(rows, diagonal + 1)
        both, down, right = before_last[low:high], last[low:high], last[low + 1 : high + 1]
        single = np.minimum(down, right)
        steps.append((both > single) * (1 + (down > right)))
        now = np.full(rows + 1, nowhere)
        cells = flat[diagonal + low * (columns - 1) :: between][: high - low]
        now[low + 1 : high + 1] = cells + np.minimum(both, single)
        last, before_last = now, last
    i, j = rows - 1, columns - 1
    way = [(i, j)]
    while i or j:
        step = steps[i + j][i - max(0, i + j - columns + 1)]
        i, j = i - (step != 2), j - (step != 1)
        way.append((i, j))
    return way[::-1]


def draw_window(duration: float, transcripts: int = 4, interval: int = INTERVAL) -> Window:
    """A random stretch of a video of `duration` seconds, cut into transcripts with gaps between them.

    A video too short for the length drawn is taken whole but for its last second.
    """
    whole = int(duration)
    length = random.randint(*SECONDS) * transcripts + interval * (transcripts - 1)
    room = whole - length - 1
    start = random.randint(0, room) + random.random() if room >= 0 else 0
    end = min(whole - 1, start + length) if room >= 0 else whole - 1
    each = (end - start - interval * (transcripts - 1)) / transcripts
    starts = start + np.arange(transcripts) * (each + interval)
    return Window(starts, starts + each)


def spoken(words: Words, window: Window) -> list[str]:
    """What is said strictly within each transcript of a window, a space after every word; empty where nothing."""
    return [
        "".join(words.repaired[k] + " " for k in np.flatnonzero((start < words.times) & (words.times < end)))
        for start, end in zip(*window, strict=True)
    ]
