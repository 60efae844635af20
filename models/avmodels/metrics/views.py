"""The views of a test video, and how their scores make one prediction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from avmodels.errors import DataError
from avmodels.metrics.accuracy import hits


def crop_starts(room: int, crops: int) -> list[int]:
    """The first pixels of `crops` crops spread over `room` spare pixels; a single crop is the middle one."""
    if crops == 1:
        return [round(room / 2)]
    return [int(crop * (room / (crops - 1))) for crop in range(crops)]


def square(frames: np.ndarray, start: int) -> np.ndarray:
    """The square of frames (T, H, W, 3) that begins at `start` along the longer axis."""
    height, width = frames.shape[1:3]
    side = min(height, width)
    return frames[:, start : start + side] if height >= width else frames[:, :, start : start + side]


@dataclass(frozen=True)
class Merged:
    """One prediction a video: ids, scores (videos, classes), labels (videos,), views merged (videos,)."""

    ids: list[str]
    scores: np.ndarray
    labels: np.ndarray
    views: np.ndarray

    def accuracy(self) -> dict[str, float]:
        """top1 and top5 in percent, and how many videos."""
        top = {f"top{k}": 100 * float(hits(self.scores, self.labels, k).mean()) for k in (1, 5)}
        return {**top, "videos": len(self.ids)}


def line(video: str, logits: Iterable[float], label: int, segment: int, crop: int) -> str:
    """One view's line of a result file."""
    return f"{video} [{', '.join(f'{logit:.8g}' for logit in logits)}] {label} {segment} {crop}\n"


def merge(files: Iterable[Iterable[str]], method: str = "prob") -> Merged:
    """The published merge of result files, one a process, each a header and then one line a view.

    A view's softmax (`prob`) or raw logits (`score`) are averaged over a video's views. The first line met of
    each (segment, crop) counts, since processes pad their shares with repeats; a video's label is that of its
    last line that counts.

    Raises DataError with file and line number for a line that is not `id [logits] label segment crop`.
    """
    views: dict[str, dict[tuple[int, int], np.ndarray]] = {}
    labels: dict[str, int] = {}
    for number, file in enumerate(files):
        for count, text in enumerate(file):
            if count == 0 or not text.strip():
                continue
            try:
                video, rest = text.rsplit(" [", 1)
                logits, place = rest.split("]")
                scores = np.array(logits.split(","), np.float64)
                label, segment, crop = map(int, place.split())
            except ValueError as error:
                raise DataError(
                    f"result file {number}, line {count + 1}: expected `id [logits] label segment crop`"
                ) from error
            seen = views.setdefault(video, {})
            if (segment, crop) not in seen:
                seen[segment, crop] = softmax(scores) if method == "prob" else scores
                labels[video] = label
    if not views:
        raise DataError("the result files hold no view")
    return Merged(
        list(views),
        np.stack([np.mean(list(seen.values()), axis=0) for seen in views.values()]),
        np.array([labels[video] for video in views]),
        np.array([len(seen) for seen in views.values()]),
    )
