"""Voices are found through noise, pauses stay pauses, and noise is no voice."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from avtool import gaps
from avtool.perceive import voice_activity
from avtool.timeline import SECOND, Span, complement
from tests.perceive import sounds

PAUSES = (0.6, 1.5, 3.0, 5.0)


def heard(sound: np.ndarray) -> list[Span]:
    return voice_activity.speech(voice_activity.probabilities(sound[None])[0])


def shared(a: list[Span], b: list[Span]) -> int:
    return sum(x.overlap(y) for x in a for y in b)


def total(spans: list[Span]) -> int:
    return sum(span.duration for span in spans)


@pytest.mark.parametrize("decibels", [20, 10])
@pytest.mark.parametrize("kind", ["white", "wind", "engine", "street", "tone"])
def test_dialogue_is_found_in_noise_and_only_dialogue(kind: str, decibels: float) -> None:
    spoken, truth = sounds.dialogue(PAUSES)
    sound = spoken + sounds.noise(kind, len(spoken)) * sounds.SPEECH * 10 ** (-decibels / 20)
    found, whole = heard(sound), Span(0, len(sound) * SECOND // sounds.RATE)
    assert shared(found, truth) >= 0.95 * total(truth)
    grown = [line.grow(gaps.MARGIN, gaps.MARGIN) for line in truth]
    assert total(found) - shared(found, grown) < 0.05 * total(complement(truth, whole))
    pauses = complement(found, whole)
    assert all(any((a.end + b.start) // 2 in pause for pause in pauses) for a, b in pairwise(truth))


@pytest.mark.parametrize("quieter", [1, 0.1, 0.03])
def test_dialogue_ends_where_it_ends_however_quiet(quieter: float) -> None:
    spoken, truth = sounds.dialogue(PAUSES)
    for line in truth:
        near = [span for span in heard(spoken * np.float32(quieter)) if span.overlap(line)]
        assert abs(near[0].start - line.start) <= 80_000
        assert -80_000 <= near[-1].end - line.end <= 160_000


@pytest.mark.parametrize("kind", ["white", "wind", "engine", "street", "tone", "applause"])
def test_noise_is_no_voice(kind: str) -> None:
    assert heard(sounds.noise(kind, 30 * sounds.RATE) * 0.1) == []


def test_silence_and_no_sound_at_all() -> None:
    assert heard(np.zeros(sounds.RATE, np.float32)) == []
    assert heard(np.zeros(0, np.float32)) == []


def test_sounds_heard_together_are_heard_as_alone() -> None:
    spoken, _ = sounds.dialogue(PAUSES)
    pair = np.stack([spoken, spoken[::-1]])
    together = voice_activity.probabilities(pair)
    alone = [voice_activity.probabilities(sound[None])[0] for sound in pair]
    np.testing.assert_allclose(together, alone, atol=1e-4)


@given(arrays(np.float32, st.integers(0, 200), elements=st.floats(0, 1, width=32)), st.integers(0, SECOND))
def test_speech_is_in_order_apart_and_inside(probability: np.ndarray, start: int) -> None:
    found = voice_activity.speech(probability, start)
    assert all(b.start - a.end > voice_activity.BREATH for a, b in pairwise(found))
    assert all(span.duration > 0 for span in found)
    whole = Span(start, start + len(probability) * voice_activity.FRAME_US)
    assert all(span.overlap(whole) == span.duration for span in found)


@given(st.integers(0, 50), st.integers(3, 50), st.integers(0, 50))
def test_every_run_of_likely_frames_is_speech(before: int, likely: int, after: int) -> None:
    probability = np.repeat([0, 1, 0], [before, likely, after]).astype(np.float32)
    (span,) = voice_activity.speech(probability)
    first, last = (frame * voice_activity.FRAME_US for frame in (before, before + likely))
    assert (span.start, span.end) == (first, last - voice_activity.LATE)
