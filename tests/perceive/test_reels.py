"""Reels cover all sound once, are short, and are cut where nobody speaks."""

from itertools import pairwise

import numpy as np
import pytest

from avtool.perceive import reels
from avtool.timeline import SECOND, Span
from tests.perceive import sounds

START = 3 * SECOND


def blocks(sound: np.ndarray, seconds: int = 30) -> list[tuple[int, np.ndarray]]:
    size = seconds * sounds.RATE
    return [(START + at * SECOND // sounds.RATE, sound[at : at + size]) for at in range(0, len(sound), size)]


@pytest.fixture(scope="module")
def talk() -> tuple[np.ndarray, list[Span]]:
    """Four minutes of dialogue."""
    spoken, truth = sounds.dialogue((0.6, 1.5, 3.0))
    length = len(spoken) * SECOND // sounds.RATE
    starts = [START + n * length for n in range(9)]
    lines = [Span(start + line.start, start + line.end) for start in starts for line in truth]
    return np.tile(spoken, 9), lines


def test_every_sample_is_in_one_reel(talk: tuple[np.ndarray, list[Span]]) -> None:
    sound, _ = talk
    found = list(reels.reels(blocks(sound)))
    assert len(found) == 2
    np.testing.assert_array_equal(np.concatenate([reel.samples for reel in found]), sound)
    assert found[0].span.start == START
    assert all(a.span.end == b.span.start for a, b in pairwise(found))
    assert all(len(reel.samples) <= reels.LONGEST + 30 * sounds.RATE for reel in found)


def test_no_line_is_cut(talk: tuple[np.ndarray, list[Span]]) -> None:
    sound, truth = talk
    seams = [reel.span.end for reel in reels.reels(blocks(sound))][:-1]
    assert not any(seam in line for seam in seams for line in truth)


def test_sound_without_a_pause_is_cut_as_well() -> None:
    line = np.concatenate(sounds.lines())
    found = list(reels.reels(blocks(np.resize(line, 200 * sounds.RATE))))
    assert sum(len(reel.samples) for reel in found) == 200 * sounds.RATE
    assert all(
        span.overlap(reel.span) == span.duration for reel in found for span in (*reel.spoken, *reel.sung)
    )


@pytest.mark.parametrize("length", [1, 100, 512, 513, 40_000])
def test_short_sound_is_one_reel(length: int) -> None:
    (reel,) = reels.reels(blocks(np.zeros(length, np.float32)))
    assert len(reel.samples) == length
    assert len(reel.level) == len(reel.probability) == -(-length // 512)
    assert (reel.spoken, reel.sung) == ([], [])


def test_no_sound_is_no_reel() -> None:
    assert list(reels.reels([])) == []


def test_loudness_is_power_in_decibels() -> None:
    sound = np.concatenate([np.full(16_384, 0.1), np.full(16_384, 0.01), np.zeros(16_384)]).astype(np.float32)
    (reel,) = reels.reels(blocks(sound))
    seconds = [Span(START + n * 1_024_000, START + (n + 1) * 1_024_000) for n in range(3)]
    assert [round(reel.loudness(span)) for span in seconds] == [-20, -40, -100]
    assert reel.loudness(*seconds[:2]) == pytest.approx(10 * np.log10((0.01 + 0.0001) / 2), abs=0.01)
    assert reel.loud(Span(START, START + 3_072_000), -30) == seconds[0]
