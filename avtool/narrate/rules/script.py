"""What a rule reads and what it reports: the script under test, hits, findings."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

from avtool.settings import Settings
from avtool.timeline import SECOND, Description, Film, Span, merge

if TYPE_CHECKING:
    from avtool.cast import Cast

Severity = Literal["E", "W", "I"]  # the cue must be rewritten or dropped; a warning; information


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule broken: where, why, and what to write instead.

    `cue` is the id of the cue, None where it is about a stretch without one; `fix` is the cue's new text, or its
    new times as "0:00:12.480 --> 0:00:15.120", where one follows mechanically; `source` tags the guidelines.
    """

    rule: str
    severity: Severity
    cue: str | None
    span: Span
    message: str
    fix: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Hit:
    """What a rule found at a cue, or in a stretch without one; `severity` where it is not the rule's own."""

    message: str
    at: Description | Span
    fix: str | None = None
    severity: Severity | None = None


@dataclass(frozen=True)
class Script:
    """The cues to check, in time order, and all that is known of their film."""

    cues: Sequence[Description]
    film: Film | None
    cast: Cast | None
    settings: Settings

    @cached_property
    def dialogue(self) -> list[Span]:
        """Where people speak: merged, sorted; empty without a film."""
        speech = self.film.speech if self.film else ()
        return merge(one.span for one in speech if one.kind == "dialogue")

    def heard(self, span: Span) -> list[Span]:
        """The stretches of dialogue that meet `span`."""
        return meeting(self.dialogue, span)

    def between(self, time: int) -> tuple[Span | None, Span | None]:
        """The dialogue before and after `time`, None at the ends of the film."""
        after = bisect_right(self.dialogue, time, key=lambda one: one.start)
        before = self.dialogue[after - 1] if after else None
        return before, self.dialogue[after] if after < len(self.dialogue) else None

    def near(self, window: Span) -> Sequence[Description]:
        """The cues that may meet `window`."""
        first = bisect_left(self.cues, window.start - self._longest, key=lambda cue: cue.span.start)
        return self.cues[first : bisect_left(self.cues, window.end, key=lambda cue: cue.span.start)]

    @cached_property
    def _longest(self) -> int:
        return max((cue.span.duration for cue in self.cues), default=0)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its id, severity and sources in the specification, and the function that finds where it is broken.

    `film`: needs the film's dialogue, shots or people. `english`: reads English wording.
    """

    id: str
    severity: Severity
    source: str
    find: Callable[[Script], Iterable[Hit]]
    film: bool = False
    english: bool = False


def meeting(spans: list[Span], window: Span) -> list[Span]:
    """Those of `spans` (sorted, apart) that meet `window`."""
    first = bisect_right(spans, window.start, key=lambda one: one.end)
    return spans[first : bisect_left(spans, window.end, key=lambda one: one.start)]


def microseconds(seconds: float) -> int:
    return round(seconds * SECOND)


READ_OUT = re.compile(r"""“[^”]*”?|"[^"]*"?|‘[^’]*’(?!\w)|(?<!\w)'[^']+'(?!\w)|(?<=\w):\s.*$""", re.DOTALL)


@lru_cache(maxsize=10_000)
def prose(text: str) -> str:
    """`text` without what is quoted or read out after a colon: the describer's own words."""
    return READ_OUT.sub(lambda match: " “” " if match[0][0] != ":" else ":", text)


@lru_cache(maxsize=10_000)
def sentences(text: str) -> tuple[str, ...]:
    """The sentences of `text`; titles and initials end none."""
    parts = re.split(
        r"(?<=[.!?…])(?<!\bMr\.)(?<!\bMrs\.)(?<!\bDr\.)(?<!\bMs\.)(?<!\b[A-Z]\.)[\"”’)]*\s+", text
    )
    return tuple(part for part in parts if part.strip())
