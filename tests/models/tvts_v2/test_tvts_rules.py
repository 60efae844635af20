"""Sampling, pixels, words and ranks against plain re-statements."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from avmodels.data.clips import UnreadableError
from avmodels.engine.schedule import staircase
from avmodels.metrics import retrieval
from avmodels.tvts_v2 import sampling, transcripts, views
from avmodels.tvts_v2.config import Schedule


@given(st.integers(1, 5000), st.integers(1, 32))
def test_frames_are_increasing_and_inside(length: int, frames: int) -> None:
    for numbers in (sampling.middle(length, frames), sampling.spread(length, frames)):
        assert numbers.min() >= 0 and numbers.max() < length
        assert (np.diff(numbers) >= 0).all()
    assert len(sampling.middle(length, frames)) == min(length, frames)
    if length >= 2 * frames:
        drawn = sampling.drawn(length, frames)
        limits = sampling.bounds(length, frames)
        assert ((limits[:-1] <= drawn) & (drawn < limits[1:] - 1)).all()
    else:
        with pytest.raises(UnreadableError):
            sampling.drawn(length, frames)


@settings(max_examples=30, deadline=None)
@given(st.integers(9, 90), st.integers(9, 90), st.integers(4, 40), st.integers(0, 2**20))
def test_the_crop_is_that_of_pillow(height: int, width: int, side: int, seed: int) -> None:
    frames = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    high, wide = views.resized(frames, views.short_side(side))
    assert min(high, wide) == views.short_side(side)
    top, left = round((high - side) / 2), round((wide - side) / 2)
    pictures = [Image.fromarray(f).resize((wide, high), Image.Resampling.NEAREST) for f in frames]
    cut = np.stack([np.asarray(picture) for picture in pictures])[:, top : top + side, left : left + side]
    want = (cut / 255 - np.array(views.MEAN)) / np.array(views.STD)
    got = views.evaluation(frames, side).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(got, want, atol=1e-5)


def way(cost: np.ndarray) -> list[tuple[int, int]]:
    """The cheapest way, a cell at a time."""
    total = np.full(cost.shape, np.inf)
    came: dict[tuple[int, int], tuple[int, int]] = {}
    for i, j in np.ndindex(cost.shape):
        before = [(a, b) for a, b in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if a >= 0 and b >= 0]
        total[i, j] = cost[i, j]
        if before:
            came[i, j] = min(before, key=lambda cell: total[cell])
            total[i, j] += total[came[i, j]]
    cells = [(cost.shape[0] - 1, cost.shape[1] - 1)]
    while cells[-1] in came:
        cells.append(came[cells[-1]])
    return cells[::-1]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**20))
def test_words_are_laid_the_cheapest_way(rows: int, columns: int, seed: int) -> None:
    cost = np.random.default_rng(seed).integers(0, 4, (rows, columns))
    assert transcripts.path(cost) == way(cost)


def test_every_repaired_word_is_laid_once_and_in_order() -> None:
    raw = ["so", "we", "at", "butter", "to", "the", "pan"]
    repaired = ["So,", "we", "add", "the", "butter", "to", "the", "pan!"]
    laid = transcripts.aligned(raw, repaired)
    assert len(laid) == len(raw)
    assert " ".join(filter(None, laid)).split() == repaired
    assert transcripts.aligned([], repaired) == []


@given(st.floats(5, 2000), st.integers(0, 2**20))
def test_windows_lie_in_the_video(duration: float, seed: int) -> None:
    random.seed(seed)
    window = transcripts.draw_window(duration)
    assert 0 <= window.starts[0] and window.ends[-1] <= int(duration)
    np.testing.assert_allclose(window.starts[1:] - window.ends[:-1], 1)


def test_what_is_said_lies_strictly_within() -> None:
    words = transcripts.Words(["a", "b", "c"], np.array([1.0, 2.0, 3.0]), ["A", "", "C"])
    window = transcripts.Window(np.array([1.0, 5.0]), np.array([4.0, 6.0]))
    assert transcripts.spoken(words, window) == [" C ", ""]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(1, 3), st.integers(0, 2**20))
def test_ranks_are_those_of_sorting(videos: int, captions: int, seed: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 5, (videos * captions, videos)).astype(float)
    for text, row in enumerate(scores):
        rank = sorted(-row).index(-row[text // captions])
        assert retrieval.column_ranks(scores, captions)[text] == rank
    best = []
    for video in range(videos):
        column = -scores[:, video]
        order = np.sort(column)
        own = column[video * captions : (video + 1) * captions]
        best.append(min(np.flatnonzero(order == score).mean() for score in own))
    assert retrieval.row_ranks(scores, captions).tolist() == best


def test_dual_softmax_gives_a_crowded_video_to_who_it_prefers() -> None:
    scores = np.array([[0.50, 0.52], [0.10, 0.60]])
    assert retrieval.column_ranks(scores).tolist() == [1, 0]
    assert retrieval.column_ranks(retrieval.dual_softmax(scores)).tolist() == [0, 0]


def test_the_rate_falls_when_the_published_one_does() -> None:
    schedule = Schedule()
    rates = [staircase(epoch, schedule.steps, schedule.warmup_epochs, 0) for epoch in range(10)]
    assert rates == [1] * 6 + [0.1] * 2 + [0.01] * 2
    with pytest.raises(ValidationError, match="must begin at 0"):
        Schedule(steps=((1, 1.0),))
