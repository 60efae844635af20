"""Visible actions: what the people of a film do, by rules over tracks, bodies, faces, objects and sound.

A wrong description is worse than silence: the rules are strict, and each verb carries the precision it had on
sightings labelled by eye (tests/truth/actions.json).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields, replace
from typing import TypeVar

from avtool.perceive import encounters, expressions, postures
from avtool.perceive.tracks import Bodies, Crowd, Faces
from avtool.timeline import SECOND, Action, Shot, Span, Speech, merge

# Share of right sightings of each verb among those labelled by eye, as (right + 1) / (all + 2).
CONFIDENCE = {
    "walks": 0.98,
    "speaks": 0.92,
    "sings": 0.92,
    "smiles": 0.86,
    "turns": 0.8,
    "stands": 0.75,
    "raises a hand": 0.67,
}
UNTRIED = 0.5  # of a verb that was not sighted there
EDGE = 80_000  # microseconds: so near to a cut a picture may still hold some of the other shot
HEARD = 0.5  # share of a speaker's span that must be heard as speech


def act(crowd: Crowd, shots: list[Shot], speech: list[Speech] | None) -> list[Action]:
    """Every visible action of every person of `crowd`, gathered over `shots`, in order of time.

    `speech` is what was heard: only then does a moving mouth speak, or sing where a song is heard. None where
    the film has no sound: the picture alone decides.
    """
    shot_of = {track.id: track.shot for track in crowd.people}
    within = {shot.index: shot.span for shot in shots}
    found: dict[tuple[int, str], list[Span]] = defaultdict(list)
    for track, body in crowd.bodies.items():
        for verb, span in postures.actions(_clear(body, within[shot_of[track]]), crowd.aspect):
            found[track, verb].append(span)
    for track, face in crowd.faces.items():
        for verb, span in expressions.actions(_clear(face, within[shot_of[track]])):
            spoken = verb if verb != "speaks" or speech is None else _heard(span, speech)
            if spoken:
                found[track, spoken].append(span)
    actions = [
        Action(track, shot_of[track], verb, span, 1.0)
        for (track, verb), spans in found.items()
        for span in merge(spans, SECOND // 2)
    ]
    actions += encounters.actions(crowd)
    actions = [replace(it, confidence=CONFIDENCE.get(it.verb, UNTRIED)) for it in actions]
    return sorted(actions, key=lambda action: (action.span, action.track, action.verb))


Seen = TypeVar("Seen", Bodies, Faces)


def _clear(seen: Seen, shot: Span) -> Seen:
    """What of `seen` is not at the edge of its shot."""
    rows = (seen.times >= shot.start + EDGE) & (seen.times < shot.end - EDGE)
    return replace(seen, **{field.name: getattr(seen, field.name)[rows] for field in fields(seen)})


def _heard(span: Span, speech: list[Speech]) -> str | None:
    """The verb for a mouth that moves during `span`; None where little is heard."""
    shared = {kind: 0 for kind in ("dialogue", "song", "crowd")}
    for part in speech:
        shared[part.kind] += span.overlap(part.span)
    if shared["dialogue"] + shared["song"] < HEARD * span.duration:
        return None
    return "sings" if shared["song"] > shared["dialogue"] else "speaks"
