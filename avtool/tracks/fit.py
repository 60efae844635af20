"""What was written against the time there is: each description at its place, as long as the voice takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from avtool.errors import UsageError
from avtool.gaps import MARGIN
from avtool.settings import Settings
from avtool.timeline import SECOND, Description, Span, Speech, clock, complement
from avtool.tracks.engines import unsayable
from avtool.tracks.files import one_line
from avtool.tracks.voice import Clip, Voice


@dataclass(frozen=True, slots=True)
class Spoken:
    """A description and the clip that says it; `cue.span` is as long as the clip."""

    cue: Description
    clip: Clip
    rate: float  # words a minute


@dataclass(frozen=True, slots=True)
class Unspoken:
    """A description that is left out, and why. `clip` is there where only time is missing."""

    cue: Description
    reason: str
    clip: Clip | None = None


def fit(
    cues: Sequence[Description], voice: Voice, speech: Sequence[Speech], whole: Span, settings: Settings
) -> tuple[list[Spoken], list[Unspoken]]:
    """Every one of `cues` said where it was written, or as near as the rules let it, or left out.

    Cues may come in any order, overlap, or have ends that mean nothing: what counts is the start and how long the
    voice takes. One that would run into dialogue, the next cue or the film's end begins earlier or later (by
    `early`, `late` at most), else is said faster (`rate_max`), else is left out.

    Raises UsageError for a text that the voice cannot say.
    """
    cues = sorted(cues, key=lambda cue: cue.span)
    written = [cue for cue in cues if one_line(cue.text)]
    _refuse_unsayable(written, voice)
    unspoken = [Unspoken(cue, "it has no text") for cue in cues if not one_line(cue.text)]
    rates = list(dict.fromkeys((min(settings.rate, settings.rate_max), settings.rate_max)))
    clips = voice.say([cue.text for cue in written], rates[0])
    room = free(speech, whole, settings)
    spacing, early, late = (
        round(seconds * SECOND) for seconds in (settings.spacing, settings.early, settings.late)
    )

    def reach(cue: Description) -> Span:
        return Span(cue.span.start - early, cue.span.start + late)

    # Those that cannot fit at the usual rate are hurried in one go: starting a voice takes longer than a sentence.
    tight = [
        cue.text
        for cue in written
        if _nearest(cue.span.start, clips[cue.text].duration, reach(cue), room) is None
    ]
    hurried = voice.say(tight, rates[-1])
    spoken: list[Spoken] = []
    ready = whole.start
    for number, cue in enumerate(written):
        following = written[number + 1].span.start - spacing if number + 1 < len(written) else whole.end
        for end, rate in [(following, rates[0]), (following, rates[-1]), (whole.end, rates[-1])]:
            if rate == rates[0]:
                clip = clips[cue.text]
            else:
                clip = hurried.get(cue.text) or voice.say([cue.text], rate)[cue.text]
            start = _nearest(cue.span.start, clip.duration, reach(cue), _after(room, ready, end))
            if start is not None:
                span = Span(start, start + clip.duration)
                spoken.append(Spoken(replace(cue, span=span), clip, rate))
                ready = span.end + spacing
                break
        else:
            near = [part for part in _after(room, ready, whole.end) if reach(cue).overlap(part)]
            clip = clips[cue.text]
            unspoken.append(Unspoken(cue, _why(cue, clip, near, whole), clip))
    return spoken, unspoken


def free(speech: Sequence[Speech], whole: Span, settings: Settings) -> list[Span]:
    """What dialogue leaves of `whole`, less lead-in and lead-out. What songs and crowds cover, the writer decides."""
    before, after = (MARGIN + round(lead * SECOND) for lead in (settings.lead_out, settings.lead_in))
    return complement((one.span.grow(before, after) for one in speech if one.kind == "dialogue"), whole)


def _refuse_unsayable(cues: Sequence[Description], voice: Voice) -> None:
    faults = [
        f"{cue.id} at {clock(cue.span.start)} ({reason})"
        for cue in cues
        if (reason := unsayable(voice.spelled(cue.text), voice.engine.language))
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise UsageError(f"the voice cannot say {', '.join(faults[:3])}{more}; reword, or take another voice")


def _after(room: Sequence[Span], start: int, end: int) -> list[Span]:
    parts = (part.clip(Span(start, max(start, end))) for part in room)
    return [part for part in parts if part]


def _nearest(wanted: int, duration: int, reach: Span, room: Sequence[Span]) -> int | None:
    """The start nearest to `wanted`, within `reach`, from which `duration` lies whole in a part of `room`."""
    starts = [min(max(wanted, part.start), part.end - duration) for part in room if part.duration >= duration]
    return min(
        (start for start in starts if reach.start <= start <= reach.end),
        key=lambda start: abs(start - wanted),
        default=None,
    )


def _why(cue: Description, clip: Clip, room: Sequence[Span], whole: Span) -> str:
    """`room` is what dialogue and the descriptions before leave near the cue."""
    at = clock(cue.span.start)
    if cue.span.start >= whole.end:
        return f"it begins at {at}, after the film's end at {clock(whole.end)}"
    has = max((part.duration for part in room), default=0)
    return f"no room near {at}: takes {clip.duration / SECOND:.1f} s, has {has / SECOND:.1f} s"
