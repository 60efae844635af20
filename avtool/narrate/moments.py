"""What somebody does in a moment by TVTSv2, which ranks actions by their names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avtool.find import Part
from avtool.timeline import Action, Track

# What the encoders compare a moment with, and how it is told; None is not told, and is there because without it a
# moment of somebody who only stands or talks would have to be something else.
DOINGS: dict[str, str | None] = {
    "a person standing still": None,
    "a person talking": None,
    "a person listening": None,
    "a person walking": None,
    "a close-up of a face": None,
    "a place without people": None,
    "a person dancing": "dances",
    "a person running": "runs",
    "a person jumping": "jumps",
    "a person swimming": "swims",
    "a person climbing": "climbs",
    "a person lying in bed": "lies in bed",
    "a person eating": "eats",
    "a person drinking": "drinks",
    "a person smoking": "smokes",
    "a person cooking": "cooks",
    "a person reading": "reads",
    "a person writing": "writes",
    "a person typing on a computer": "works at a computer",
    "a person talking on the phone": "talks on the phone",
    "a person driving a car": "drives a car",
    "a person riding a horse": "rides a horse",
    "a person riding a bicycle": "rides a bicycle",
    "a person playing the guitar": "plays the guitar",
    "a person playing the piano": "plays the piano",
    "a person throwing a ball": "throws a ball",
    "a person opening a door": "opens a door",
    "a person taking a photo": "takes a photo",
    "a person brushing hair": "brushes the hair",
    "a person clapping": "claps",
    "a person waving a hand": "waves",
}
# Cosines times this are logits, as published (arXiv 2305.14173, zero-shot recognition).
SCALE = 100.0
# Least probability among DOINGS that is told. It was not measured on films: the published weights were not at hand.
LEAST = 0.9
# Least share of a moment in which the one person of it is seen.
SEEN = 0.5


def actions(
    parts: Sequence[Part], vectors: np.ndarray, names: np.ndarray, people: Sequence[Track]
) -> list[Action]:
    """The surest of DOINGS in each moment that has one person alone in it, who then does it.

    vectors (parts, E) and names (DOINGS, E) have length 1.
    """
    logits = SCALE * vectors @ names.T
    likely = np.exp(logits - logits.max(1, keepdims=True))
    likely /= likely.sum(1, keepdims=True)
    found = []
    for part, shares in zip(parts, likely, strict=True):
        verb, share = list(DOINGS.values())[int(shares.argmax())], float(shares.max())
        there = [track for track in people if track.span.overlap(part.span)]
        if verb is None or share < LEAST or len(there) != 1:
            continue
        span = there[0].span.clip(part.span)
        if span is not None and span.duration >= SEEN * part.span.duration:
            found.append(Action(there[0].id, part.shot, verb, span, share))
    return found
