"""Spans: half-open, merged and complemented without losing or making time."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool.timeline import Span, clock, complement, from_clock, merge

spans = st.builds(lambda a, b: Span(min(a, b), max(a, b)), st.integers(0, 1000), st.integers(0, 1000))


@given(st.lists(spans))
def test_merge_keeps_every_microsecond_once(given_spans):
    merged = merge(given_spans)
    assert {t for s in merged for t in range(s.start, s.end)} == {
        t for s in given_spans for t in range(s.start, s.end)
    }
    assert all(a.end < b.start for a, b in pairwise(merged))


@given(st.lists(spans), spans)
def test_complement_is_what_is_left(given_spans, whole):
    free = complement(given_spans, whole)
    covered = {t for s in given_spans for t in range(s.start, s.end)}
    assert [t for s in free for t in range(s.start, s.end)] == [
        t for t in range(whole.start, whole.end) if t not in covered
    ]


@given(spans, spans)
def test_clip_and_overlap_agree(one, other):
    part = one.clip(other)
    assert one.overlap(other) == (part.duration if part else 0)


def test_a_span_may_not_run_backwards():
    with pytest.raises(ValueError, match="before"):
        Span(2, 1)


def test_clock():
    assert clock(3_723_004_499) == "1:02:03.004"
    assert clock(59_999_600) == "0:01:00.000"


@given(st.integers(0, 10**9))
def test_clock_and_back(milliseconds):
    assert from_clock(clock(milliseconds * 1000)) == milliseconds * 1000


@pytest.mark.parametrize("text", ["", "x", "1:", ":1", "1:2:3:4", "-1", "1e3", "1.2.3"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match="no time"):
        from_clock(text)
