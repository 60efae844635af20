"""Gaps never touch speech, and leave out no pause that is long enough."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool import gaps
from avtool.settings import Settings
from avtool.timeline import SECOND, Span, Speech, complement

WHOLE = Span(5 * SECOND, 65 * SECOND)

times = st.integers(0, 70 * SECOND)
spans = st.tuples(times, times).map(lambda pair: Span(*sorted(pair)))
speeches = st.lists(spans.map(lambda span: Speech(span, "dialogue", ("vad",), 1.0)), max_size=12)
seconds = st.floats(0, 3, allow_nan=False)
settings = st.builds(Settings, lead_in=seconds, lead_out=seconds, min_gap=seconds, min_gap_edge=seconds)


def speech(*spans: tuple[float, float]) -> list[Speech]:
    return [
        Speech(Span(int(start * SECOND), int(end * SECOND)), "dialogue", ("vad",), 1.0)
        for start, end in spans
    ]


@given(speeches, settings)
def test_gaps_are_in_order_apart_and_numbered(heard: list[Speech], settings: Settings) -> None:
    found = gaps.find(heard, WHOLE, settings)
    assert [gap.index for gap in found] == list(range(len(found)))
    assert all(a.span.end < b.span.start for a, b in pairwise(found))
    assert all(WHOLE.start <= gap.span.start < gap.span.end <= WHOLE.end for gap in found)


@given(speeches, settings)
def test_usable_part_keeps_its_distance_from_speech(heard: list[Speech], settings: Settings) -> None:
    for gap in gaps.find(heard, WHOLE, settings):
        before = gaps.MARGIN + round(settings.lead_in * SECOND)
        after = gaps.MARGIN + round(settings.lead_out * SECOND)
        kept = gap.usable.grow(before if gap.left == "speech" else 0, after if gap.right == "speech" else 0)
        assert gap.usable.duration > 0
        assert not any(kept.overlap(voice.span) for voice in heard)


@given(speeches, settings)
def test_every_long_enough_pause_is_found(heard: list[Speech], settings: Settings) -> None:
    found = gaps.find(heard, WHOLE, settings)
    leads = settings.lead_in + settings.lead_out
    longest = max(settings.min_gap, settings.min_gap_edge, leads) * SECOND + 1
    for free in complement((voice.span.grow(gaps.MARGIN, gaps.MARGIN) for voice in heard), WHOLE):
        if free.duration > longest:
            assert any(gap.span == free for gap in found)


@given(speeches)
def test_sides_tell_what_the_gap_lies_between(heard: list[Speech]) -> None:
    for gap in gaps.find(heard, WHOLE, Settings()):
        assert (gap.left == "edge") == (gap.span.start == WHOLE.start)
        assert (gap.right == "edge") == (gap.span.end == WHOLE.end)


def test_a_film_without_speech_is_one_gap() -> None:
    (gap,) = gaps.find([], WHOLE, Settings())
    assert (gap.span, gap.usable, gap.left, gap.right) == (WHOLE, WHOLE, "edge", "edge")


def test_nothing_of_an_empty_film_is_a_gap() -> None:
    assert gaps.find([], Span(0, 0), Settings()) == []


@pytest.mark.parametrize(
    ("pause", "found"),
    [(1.2 + 2 * 0.08 - 0.001, 0), (1.2 + 2 * 0.08 + 0.001, 1)],
)
def test_shortest_gap_between_two_speeches(pause: float, found: int) -> None:
    heard = speech((0, 10), (10 + pause, 70))
    assert len(gaps.find(heard, WHOLE, Settings())) == found


@pytest.mark.parametrize(("start", "found"), [(5.9 + 0.08 - 0.001, 0), (5.9 + 0.08 + 0.001, 1)])
def test_shortest_gap_at_the_films_begin(start: float, found: int) -> None:
    assert len(gaps.find(speech((start, 70)), WHOLE, Settings())) == found


def test_leads_longer_than_the_gap_leave_nothing() -> None:
    heard = speech((0, 10), (12, 70))
    assert gaps.find(heard, WHOLE, Settings(lead_in=1.5, lead_out=1.5)) == []


def test_speech_just_outside_the_film_still_counts() -> None:
    (gap,) = gaps.find(speech((4, 5)), WHOLE, Settings())
    assert gap.left == "speech"
    assert gap.usable.start == WHOLE.start + gaps.MARGIN + SECOND // 5
