"""Time in TTML2: its expressions, and intervals nested in intervals (TTML2, chapter 12)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] (no stubs)

from avtool.timeline import SECOND

PARAMETER = "{http://www.w3.org/ns/ttml#parameter}"

CLOCK_TIME = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d|60)(?:(\.\d+)|:(\d{2,})(?:\.(\d+))?)?")
OFFSET_TIME = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|f|t)")
SECONDS = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}


@dataclass(frozen=True, slots=True)
class Interval:
    """When an element is active, in microseconds; `end` is None where nothing ends it."""

    begin: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """What frames, subframes and ticks count: per second; `frames` is None where the document gives no rate."""

    frames: Fraction | None
    subframes: int
    ticks: Fraction

    @classmethod
    def of(cls, root: etree._Element) -> Rates:
        """The rates of a document. Raises ValueError where one is no positive number."""
        frames = None
        if rate := root.get(PARAMETER + "frameRate"):
            above, _, below = (root.get(PARAMETER + "frameRateMultiplier") or "1 1").partition(" ")
            frames = _positive(rate) * _positive(above) / _positive(below.strip())
        subframes = _positive(root.get(PARAMETER + "subFrameRate") or "1")
        ticks = root.get(PARAMETER + "tickRate")
        return cls(frames, int(subframes), _positive(ticks) if ticks else (frames or Fraction(1)) * subframes)

    def time(self, expression: str) -> int:
        """Microseconds of a time expression, rounded half up. Raises ValueError with what is wrong."""
        if found := CLOCK_TIME.fullmatch(expression):
            hours, minutes, seconds, fraction, frames, subframes = found.groups()
            time = Fraction(int(hours) * 3600 + int(minutes) * 60 + int(seconds)) + Fraction(fraction or 0)
            if frames:
                time += (int(frames) + Fraction(int(subframes or 0), self.subframes)) / self._frames(
                    expression
                )
        elif found := OFFSET_TIME.fullmatch(expression):
            amount, metric = Fraction(found[1]), found[2]
            if metric == "f":
                time = amount / self._frames(expression)
            else:
                time = amount / self.ticks if metric == "t" else amount * SECONDS[metric]
        else:
            raise ValueError(f"time {expression!r} is neither like 00:00:12.480 nor like 12.48s")
        return int(time * SECOND + Fraction(1, 2))

    def _frames(self, expression: str) -> Fraction:
        if self.frames is None:
            raise ValueError(f"time {expression!r} counts frames, but ttp:frameRate is missing")
        return self.frames

    def interval(self, element: etree._Element, parent: Interval) -> Interval:
        """When `element`, in `parent`, is active. Raises ValueError where its times do not parse or run back."""
        try:
            begin = parent.begin + self.time(element.get("begin") or "0s")
            ends = [] if parent.end is None else [parent.end]
            if end := element.get("end"):
                ends.append(parent.begin + self.time(end))
            if duration := element.get("dur"):
                ends.append(begin + self.time(duration))
        except ValueError as error:
            raise ValueError(f"line {element.sourceline}: {error}") from None
        last = min(ends, default=None)
        if last is not None and last < begin:
            raise ValueError(f"line {element.sourceline}: the element ends before it begins")
        return Interval(begin, last)


def _positive(text: str) -> Fraction:
    if not re.fullmatch(r"\d+", text) or int(text) == 0:
        raise ValueError(f"rate {text!r} is not a positive whole number")
    return Fraction(int(text))


def expression(time: int) -> str:
    """Microseconds as an offset time with at most milliseconds: 12.48s, rounded half up."""
    seconds, thousandths = divmod((time + 500) // 1000, 1000)
    return f"{seconds}.{thousandths:03}".rstrip("0").rstrip(".") + "s"
