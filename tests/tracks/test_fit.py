"""Scripts of any kind against the time there is: nothing overlaps, nothing covers dialogue, nothing is lost untold."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avtool.errors import UsageError
from avtool.settings import Settings
from avtool.timeline import SECOND, Description, Span, Speech
from avtool.tracks.fit import Spoken, Unspoken, fit, free
from tests.tracks.voices import toned

WHOLE = Span(0, 60 * SECOND)
RULES = Settings()
VOICE = toned(Path(mkdtemp()))


def cue(start: float, words: int, number: int = 1, length: float = 2) -> Description:
    span = Span(round(start * SECOND), round((start + length) * SECOND))
    return Description(f"ad-{number:04}", span, " ".join(["word"] * words))


def speech(*times: tuple[float, float]) -> list[Speech]:
    return [Speech(Span(round(a * SECOND), round(b * SECOND)), "dialogue", ("vad",), 1.0) for a, b in times]


def fitted(cues: list[Description], said: list[Speech]) -> tuple[list[Spoken], list[Unspoken]]:
    return fit(cues, VOICE, said, WHOLE, RULES)


def test_what_fits_stays_where_it_was_written_and_lasts_as_long_as_its_voice():
    ((one,), left) = fitted([cue(10, 4)], speech((0, 9)))
    assert not left
    assert one.cue.span.start == 10 * SECOND
    assert one.cue.span.duration == one.clip.duration
    assert one.rate == RULES.rate


def test_what_runs_into_dialogue_begins_earlier_then_is_said_faster_then_left_out():
    ((earlier,), _) = fitted([cue(10, 4)], speech((0, 5), (11, 20)))
    assert earlier.cue.span.start < 10 * SECOND and earlier.rate == RULES.rate
    ((faster,), _) = fitted([cue(6, 13)], speech((0, 5), (9.8, 20)))
    assert faster.rate == RULES.rate_max
    (_, (left,)) = fitted([cue(6, 20)], speech((0, 5), (9.8, 20)))
    assert "no room near 0:00:06.000: takes 8.2 s, has 4.1 s" in left.reason


def test_unordered_overlapping_empty_and_endless_cues():
    endless = Description("ad-0001", Span(30 * SECOND, 10**12), "word word")
    empty = Description("ad-0002", Span(0, SECOND), " ")
    late = Description("ad-0003", Span(99 * SECOND, 100 * SECOND), "word")
    first, second = cue(5, 6, 4), cue(5.5, 6, 5)
    spoken, left = fitted([endless, second, late, empty, first], [])
    assert [one.cue.id for one in spoken] == ["ad-0004", "ad-0005", "ad-0001"]
    assert spoken[1].cue.span.start >= spoken[0].cue.span.end + 0.25 * SECOND
    assert {one.cue.id: one.reason for one in left} == {
        "ad-0002": "it has no text",
        "ad-0003": "it begins at 0:01:39.000, after the film's end at 0:01:00.000",
    }


def test_what_the_voice_cannot_say_is_refused_with_its_cue():
    strange = Description("ad-0007", Span(0, SECOND), "你好")
    with pytest.raises(
        UsageError, match=r"cannot say ad-0007 at 0:00:00.000 \(the voice \(en\) does not read '你'"
    ):
        fitted([strange], [])


cues = st.lists(
    st.tuples(st.floats(0, 70), st.integers(0, 12), st.floats(0, 1000)).map(
        lambda one: (one[0], one[1], one[2])
    ),
    max_size=12,
)
talk = st.lists(st.tuples(st.floats(0, 60), st.floats(0.2, 8)), max_size=6)


@given(cues, talk)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_overlaps_covers_dialogue_or_is_lost(wanted: list, talking: list):
    script = [cue(start, words, number, length) for number, (start, words, length) in enumerate(wanted)]
    said = speech(*((start, min(60, start + length)) for start, length in talking if start < 60))
    spoken, left = fitted(script, said)
    assert sorted(one.cue.id for one in [*spoken, *left]) == sorted(one.id for one in script)
    for one, following in pairwise(spoken):
        assert one.cue.span.end + RULES.spacing * SECOND <= following.cue.span.start
    written = {one.id: one.span.start for one in script}
    for one in spoken:
        assert sum(one.cue.span.overlap(room) for room in free(said, WHOLE, RULES)) == one.clip.duration
        assert -RULES.early <= (one.cue.span.start - written[one.cue.id]) / SECOND <= RULES.late
