"""What is said is written down at its time; what is not speech is called what it is."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool.perceive import transcript
from avtool.timeline import SECOND, Span
from tests.perceive import sounds

WHOLE = Span(0, 600 * SECOND)


@st.composite
def voices(draw: st.DrawFn) -> list[Span]:
    times = draw(st.lists(st.integers(0, WHOLE.end), max_size=20, unique=True))
    cuts = sorted(times)[: len(times) // 2 * 2]
    return [Span(start, end) for start, end in zip(cuts[::2], cuts[1::2], strict=True)]


@given(voices())
def test_chunks_hold_all_voices_once_and_are_short(voices: list[Span]) -> None:
    chunks = transcript.chunks(voices, WHOLE)
    pieces = [piece for chunk in chunks for piece in chunk]
    assert all(sum(piece.duration for piece in chunk) <= transcript.LONGEST for chunk in chunks)
    assert all(a.end <= b.start for a, b in pairwise(pieces))
    assert all(piece.overlap(WHOLE) == piece.duration > 0 for piece in pieces)
    assert all(sum(voice.overlap(piece) for piece in pieces) == voice.duration for voice in voices)


@given(st.integers(0, SECOND), st.integers(1, 100 * SECOND), st.integers(SECOND, 30 * SECOND))
def test_parts_of_a_span_are_equal_and_miss_nothing(start: int, duration: int, longest: int) -> None:
    span = Span(start, start + duration)
    parts = transcript.split(span, longest)
    assert (parts[0].start, parts[-1].end) == (span.start, span.end)
    assert all(a.end == b.start for a, b in pairwise(parts))
    durations = [part.duration for part in parts]
    assert max(durations) <= longest
    assert max(durations) - min(durations) <= 1


def test_words_are_heard_when_they_are_said() -> None:
    start = 7 * SECOND
    spoken, truth = sounds.dialogue((1.0,))
    truth = [Span(line.start + start, line.end + start) for line in truth]
    whole = Span(start, start + len(spoken) * SECOND // sounds.RATE)
    lines = transcript.transcribe(spoken, start, transcript.chunks(truth, whole))
    words = [word for line in lines for word in line.words]
    said = [word for text in sounds.TEXTS for word in text.split()]
    right = {word.lower().strip(".,?!") for word in said} & {
        word.text.lower().strip(".,?!") for word in words
    }
    assert len(right) >= 0.9 * len({word.lower().strip(".,?!") for word in said})
    assert all(line.sound == "speech" for line in lines)
    near = [any(line.grow(SECOND // 2, SECOND // 2).overlap(word.span) for line in truth) for word in words]
    assert all(near)


@pytest.mark.parametrize("kind", ["white", "wind", "engine", "street", "tone"])
def test_nothing_is_made_up_where_nobody_speaks(kind: str) -> None:
    sound = sounds.noise(kind, 24 * sounds.RATE) * 0.05
    whole = Span(0, 24 * SECOND)
    for chunks in ([[whole]], [[part] for part in transcript.split(whole, 4 * SECOND)]):
        assert not [line.text for line in transcript.transcribe(sound, 0, chunks) if line.text]


def test_silence_says_nothing() -> None:
    silence = np.zeros(10 * sounds.RATE, np.float32)
    assert not [
        line.text for line in transcript.transcribe(silence, 0, [[Span(0, 10 * SECOND)]]) if line.text
    ]


def test_applause_is_a_crowd() -> None:
    sound = sounds.noise("applause", 8 * sounds.RATE) * 0.05
    lines = transcript.transcribe(sound, 0, [[Span(0, 4 * SECOND)], [Span(4 * SECOND, 8 * SECOND)]])
    assert {line.sound for line in lines} == {"crowd"}


def test_nothing_to_listen_to() -> None:
    assert transcript.transcribe(np.zeros(0, np.float32), 0, []) == []
    assert transcript.chunks([], WHOLE) == []
