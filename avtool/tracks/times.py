"""Times as track files write them, to and from the house's microseconds; rounding is half up."""

from __future__ import annotations

import re

from avtool.errors import UsageError
from avtool.timeline import SECOND, Span


def rounded(time: int, unit: int) -> int:
    """`time` in whole `unit`s (both microseconds), half up. Order is kept: no cue comes to end in the next."""
    return (2 * time + unit) // (2 * unit)


def clock(time: int, mark: str) -> str:
    """00:00:12.480, with `mark` before the milliseconds."""
    seconds, thousandths = divmod(rounded(time, 1_000), 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{thousandths:03}"


def from_clock(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> int:
    """Microseconds of the fields of a clock time; digits of `fraction` beyond the sixth are cut off."""
    whole = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
    return whole * SECOND + int((fraction or "0")[:6].ljust(6, "0"))


def cue_times(pattern: re.Pattern[str], line: str, place: str) -> Span:
    """The span of a cue whose time line matches `pattern`: twice hours, minutes, seconds, fraction.

    Raises UsageError that begins with `place` where the line does not match, or the span runs backwards.
    """
    found = pattern.fullmatch(line)
    if found is None:
        raise UsageError(f"{place}: expected times like 00:00:12.480 --> 00:00:15.120, found {line[:60]!r}")
    start, end = from_clock(*found.groups()[:4]), from_clock(*found.groups()[4:])
    if end < start:
        raise UsageError(f"{place}: the cue ends before it starts: {line[:60]!r}")
    return Span(start, end)
