"""The script of audio description as W3C DAPT sees it: events with texts, notes, voices and mixing.

What these classes hold is what is kept when a script of others is read and written again; their styles,
layout and embedded sound are not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import cast, get_args

from pydantic import TypeAdapter, ValidationError

from avtool.errors import UsageError
from avtool.timeline import Description, Fact, Represents, Span
from avtool.tracks import files
from avtool.tracks.script import Script

CONFIDENCE, EVIDENCE = "x-avtool-confidence", "x-avtool-evidence"  # types of notes
DESCRIBER = "describer"
PICTURE: Represents = "visual.nonText"
UNSPOKEN, UNDETERMINED = "zxx", "und"  # BCP 47: no language, as pictures have; text in an unknown one


@dataclass(frozen=True, slots=True)
class Agent:
    """A voice (person), or who it speaks as (character, with `actor` the id of its person)."""

    id: str
    type: str
    name: str
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Gain:
    """Mixing of the programme's sound: linear factors over `span`; `freeze` holds the last one."""

    span: Span
    factors: tuple[float, ...]
    freeze: bool = False


@dataclass(frozen=True, slots=True)
class Recording:
    """The voice on file; `clip` is the part of the file that is played, None for all."""

    source: str
    type: str
    clip: Span | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """What is said in an event, in one language; `span` where it is not all of the event."""

    text: str
    language: str
    language_source: str
    represents: str
    span: Span | None = None
    speak: str | None = None
    pitch: str | None = None
    mixing: tuple[Gain, ...] = ()
    recordings: tuple[Recording, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """A script event: a cue, or without texts a pause that is marked. `notes` are (descType, words)."""

    id: str
    span: Span | None
    represents: str
    texts: tuple[Text, ...] = ()
    notes: tuple[tuple[str | None, str], ...] = ()
    agents: tuple[str, ...] = ()
    on_screen: str = "ON"


@dataclass(frozen=True, slots=True)
class DaptScript:
    """A DAPT document. `notes` tell of the whole, `origin` is the programme's timecode at zero."""

    language: str
    represents: tuple[str, ...]
    events: tuple[Event, ...]
    language_source: str = ""
    type: str = "preRecording"
    agents: tuple[Agent, ...] = ()
    notes: tuple[str, ...] = ()
    origin: str | None = None

    @property
    def descriptions(self) -> list[Description]:
        """What is said in the script's own language (else in the first given), in order of time."""
        said = []
        for event in self.events:
            text = next((text for text in event.texts if text.language == self.language), None)
            text = text or next(iter(event.texts), None)
            span = (text.span if text else None) or event.span
            if text and span:
                said.append(_description(event, text, span))
        return sorted(said, key=lambda description: description.span)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a description rests on, as a note of its event holds it in JSON."""

    facts: tuple[Fact, ...] = ()
    event: Span | None = None
    gap: int | None = None


@cache
def _evidence() -> TypeAdapter[Evidence]:
    return TypeAdapter(Evidence)


def _description(event: Event, text: Text, span: Span) -> Description:
    notes = dict(event.notes)
    try:
        rests = _evidence().validate_json(notes.get(EVIDENCE, "{}"))
        confidence = float(notes.get(CONFIDENCE, "1"))
    except (ValidationError, ValueError):
        raise UsageError(f"event {event.id}: its note {EVIDENCE} or {CONFIDENCE} does not parse") from None
    return Description(
        id=event.id,
        span=span,
        text=text.text,
        represents=cast(Represents, text.represents if text.represents in get_args(Represents) else PICTURE),
        confidence=confidence,
        facts=rests.facts,
        event=rests.event,
        gap=rests.gap,
        language=text.language,
    )


def compose(script: Script) -> DaptScript:
    """`script` as a DAPT script to be voiced: an event a description, and one a pause that is still free."""
    language = script.settings.language
    events = [Event(f"pause-{at + 1:04}", span, PICTURE) for at, span in enumerate(script.unused)]
    for cue in script.descriptions:
        source = UNDETERMINED if cue.represents.startswith("visual.text") else UNSPOKEN
        evidence = _evidence().dump_python(Evidence(cue.facts, cue.event, cue.gap), mode="json")
        notes = (
            (CONFIDENCE, repr(cue.confidence)),
            (EVIDENCE, json.dumps(evidence, separators=(",", ":"))),
        )
        text = Text(files.one_line(cue.text), cue.language, source, cue.represents, speak="normal")
        events.append(Event(cue.id, cue.span, cue.represents, (text,), notes, (DESCRIBER,)))
    return DaptScript(
        language=language,
        represents=(PICTURE, "visual.text"),
        events=tuple(sorted(events, key=lambda event: event.span or Span(0, 0))),
        language_source=UNSPOKEN,
        agents=(
            Agent("voice", "person", f"Synthetic voice ({language})"),
            Agent(DESCRIBER, "character", "Describer", "voice"),
        ),
        notes=(files.notice(language),),
    )
