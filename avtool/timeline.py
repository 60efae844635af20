"""The nouns of the house: spans, shots, speech, gaps, tracks, sightings, actions, facts, descriptions.

Times are integer microseconds on the film's presentation clock, zero at the container's start. A span is
half-open. Boxes are ``(x0, y0, x1, y1)`` in [0, 1] of the displayed picture. Confidences are in [0, 1].
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Literal

SECOND = 1_000_000  # microseconds

Box = tuple[float, float, float, float]


@dataclass(frozen=True, order=True, slots=True)
class Span:
    """A half-open interval ``[start, end)`` in microseconds."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"span ends at {self.end} before it starts at {self.start}")

    @property
    def duration(self) -> int:
        return self.end - self.start

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / SECOND

    @property
    def middle(self) -> int:
        return (self.start + self.end) // 2

    def __contains__(self, time: int) -> bool:
        return self.start <= time < self.end

    def overlap(self, other: Span) -> int:
        """Microseconds shared with `other`; 0 where they do not meet."""
        return max(0, min(self.end, other.end) - max(self.start, other.start))

    def clip(self, other: Span) -> Span | None:
        """The part of this span inside `other`, or None where nothing is left."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Span(start, end) if start < end else None

    def grow(self, before: int, after: int) -> Span:
        return Span(self.start - before, self.end + after)

    def split(self, count: int) -> list[Span]:
        """`count` parts of it, equal but for rounding."""
        limits = [self.start + self.duration * number // count for number in range(count + 1)]
        return [Span(*pair) for pair in pairwise(limits)]


def merge(spans: Iterable[Span], distance: int = 0) -> list[Span]:
    """Sorted union of `spans`; neighbours at most `distance` microseconds apart become one."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end + distance:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def complement(spans: Iterable[Span], whole: Span) -> list[Span]:
    """What `spans` leave free of `whole`, in order."""
    free, at = [], whole.start
    for span in merge(spans):
        if span.start > at:
            free.append(Span(at, min(span.start, whole.end)))
        at = max(at, span.end)
        if at >= whole.end:
            break
    if at < whole.end:
        free.append(Span(at, whole.end))
    return [span for span in free if span.duration > 0]


def clock(time: int) -> str:
    """Microseconds as ``h:mm:ss.mmm``, for people."""
    seconds, milliseconds = divmod(round(time / 1000), 1000)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{milliseconds:03}"


def from_clock(text: str) -> int:
    """``hh:mm:ss.mmm``, ``mm:ss`` or seconds, as microseconds. Raises ValueError for anything else."""
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text) or re.search(r":[6-9]\d|:\d{3}", text):
        raise ValueError(f"{text!r} is no time; write hh:mm:ss or seconds")
    seconds = Fraction(0)
    for part in text.split(":"):
        seconds = seconds * 60 + Fraction(part)
    return round(seconds * SECOND)


Transition = Literal["start", "cut", "dissolve", "fade"]
Scale = Literal["extreme close-up", "close-up", "medium", "full", "long", "extreme long"]


@dataclass(frozen=True, slots=True)
class Shot:
    """One run of the camera. `transition` tells how it begins."""

    index: int
    span: Span
    transition: Transition
    confidence: float


@dataclass(frozen=True, slots=True)
class Look:
    """How one shot is filmed: size of the people in it, what the camera does, how bright it is."""

    shot: int
    scale: Scale | None  # None: nobody in the picture
    camera: Literal["still", "pan left", "pan right", "tilt up", "tilt down", "push in", "pull out", "shaky"]
    motion: float  # mean displacement, picture widths per second
    brightness: float  # mean luma in [0, 1]


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    span: Span
    confidence: float


@dataclass(frozen=True, slots=True)
class Speech:
    """A stretch of sound that a description must not cover."""

    span: Span
    kind: Literal["dialogue", "song", "crowd"]
    sources: tuple[Literal["vad", "asr", "subtitle"], ...]
    confidence: float
    text: str = ""
    words: tuple[Word, ...] = ()
    speaker: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A pause of the dialogue. `usable` is `span` less lead-in and lead-out; sides are "speech" or "edge"."""

    index: int
    span: Span
    usable: Span
    left: Literal["speech", "edge"]
    right: Literal["speech", "edge"]


@dataclass(frozen=True, slots=True)
class Track:
    """One person (or thing) followed through one shot."""

    id: int
    shot: int
    label: str  # "person" or a COCO class
    times: tuple[int, ...]
    boxes: tuple[Box, ...]
    scores: tuple[float, ...]

    @property
    def span(self) -> Span:
        return Span(self.times[0], self.times[-1] + 1)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known of who a person track is, or (track -1) who is in a shot. `name` is None for a stranger."""

    track: int
    shot: int
    span: Span
    name: str | None
    confidence: float  # calibrated probability that `name` is right; 0 for a stranger
    second: str | None = None  # the runner-up of the cast, and its confidence
    second_confidence: float = 0.0
    faces: int = 0  # frames whose face was read


@dataclass(frozen=True, slots=True)
class Action:
    """A visible action of one person track; `verb` is third person present ("raises a hand")."""

    track: int
    shot: int
    verb: str
    span: Span
    confidence: float
    object: str | None = None  # a COCO class ("bottle")
    other: int | None = None  # another person track ("comes close to")


@dataclass(frozen=True, slots=True)
class Thing:
    """A kind of object in one shot, and the most of it seen at once."""

    label: str
    shot: int
    span: Span
    count: int
    confidence: float
    boxes: tuple[Box, ...] = ()  # at the frame where `count` were seen


@dataclass(frozen=True, slots=True)
class Attribute:
    """What the one thing of its kind in a shot is like ("red"), and the frame that shows it."""

    label: str
    shot: int
    word: str
    time: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Tag:
    """A scene or object class of the whole picture in one shot."""

    label: str
    shot: int
    span: Span
    confidence: float


TextRole = Literal["title", "caption", "sign", "credit", "subtitle", "logo"]


@dataclass(frozen=True, slots=True)
class Text:
    """Words in the picture, stable over `span`."""

    text: str
    span: Span
    box: Box
    confidence: float
    role: TextRole
    shot: int


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound in one shot, and whether what makes it is in the picture.

    `like` is, of a sound that is not seen, a moment that sounds alike and shows what makes it.
    """

    shot: int
    span: Span
    seen: bool
    confidence: float
    like: Span | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """One perceived claim that a sentence rests on.

    `kind` is one of who, action, count, place, thing, attribute, text, sound, and narrator: what a network says of
    the frames, its whole sentence. `times` are frames where it was seen; `tracks` the person tracks it is about.
    """

    kind: Literal["who", "action", "count", "place", "thing", "attribute", "text", "sound", "narrator"]
    claim: str
    confidence: float
    times: tuple[int, ...]
    tracks: tuple[int, ...] = ()


Represents = Literal[
    "visual.nonText", "visual.text", "visual.text.title", "visual.text.credit", "visual.text.location"
]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that could be spoken about `event`, the span in which what it tells can be seen.

    Candidates of one `group` tell the same thing at different lengths: at most one of them is spoken.
    """

    text: str
    event: Span
    shot: int
    worth: float
    group: int
    facts: tuple[Fact, ...]
    represents: Represents = "visual.nonText"

    @property
    def confidence(self) -> float:
        return min((fact.confidence for fact in self.facts), default=0.0)


@dataclass(frozen=True, slots=True)
class Description:
    """A cue of the AD track: what is said, when, and what it rests on."""

    id: str  # "ad-0001"
    span: Span
    text: str
    represents: Represents = "visual.nonText"
    confidence: float = 1.0
    facts: tuple[Fact, ...] = ()
    event: Span | None = None
    gap: int | None = None
    language: str = "en"


@dataclass(slots=True)
class Film:
    """Everything perceived in one film. What a sense did not look for stays empty."""

    path: Path
    span: Span  # the part looked at
    shots: list[Shot] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    speech: list[Speech] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)
    attributes: list[Attribute] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
