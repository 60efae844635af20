"""What a face does, from its measures: speaks, smiles, closes the eyes, looks down, turns.

These are movements that can be seen; what the person feels is not told.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avtool.perceive.postures import runs
from avtool.perceive.tracks import Faces
from avtool.timeline import SECOND, Span

LEGIBLE = 0.2  # quality from which mouth and eyes can be read


def actions(faces: Faces) -> Iterator[tuple[str, Span]]:
    """Every action of one face, a verb and when."""
    for verb, rule in RULES.items():
        for span in rule(faces):
            yield verb, span


def speaks(faces: Faces) -> list[Span]:
    """The mouth opens and closes in the rhythm of syllables: within every second and a half it is seen at
    differing openings, one of them wide."""
    legible = (faces.quality > LEGIBLE) & (np.abs(faces.yaw) < 45)
    return _restless(faces.times, faces.mouth_open, legible)


def _restless(times: np.ndarray, opening: np.ndarray, legible: np.ndarray) -> list[Span]:
    window = int(0.8 * SECOND)
    moves = np.zeros(len(times), bool)
    for row, time in enumerate(times):
        near = legible & (np.abs(times - time) <= window)
        if near.sum() >= 3:
            moves[row] = legible[row] and opening[near].std() > 0.03 and np.ptp(opening[near]) > 0.08
    return runs(times, legible, moves, SECOND // 2)


def smiles(faces: Faces) -> list[Span]:
    """The corners of a wide mouth stay up."""
    wide = (faces.mouth_width > 0.58) & (faces.smile > 0.07)
    legible = (faces.quality > LEGIBLE) & (np.abs(faces.yaw) < 30)
    return runs(faces.times, legible, wide, SECOND // 5)


def closes_eyes(faces: Faces) -> list[Span]:
    """The lids stay shut for longer than a blink."""
    legible = (faces.quality > LEGIBLE) & (np.abs(faces.yaw) < 35) & (faces.pitch > -20)
    return runs(faces.times, legible, faces.eye_open < 0.15, SECOND // 5)


def looks_down(faces: Faces) -> list[Span]:
    """The head is bent down for a while."""
    return runs(faces.times, faces.quality > LEGIBLE, faces.pitch < -22, SECOND // 4)


def turns(faces: Faces) -> list[Span]:
    """The head turns from one side to the other, or away, within a second."""
    spans = []
    legible = np.flatnonzero(faces.quality > LEGIBLE)
    last = -1
    for position, end in enumerate(legible):
        for begin in legible[:position]:
            soon = faces.times[end] - faces.times[begin] <= SECOND
            if begin > last and soon and abs(faces.yaw[end] - faces.yaw[begin]) > 30:
                spans.append(Span(int(faces.times[begin]), int(faces.times[end]) + 1))
                last = end
                break
    return spans


RULES = {
    "speaks": speaks,
    "smiles": smiles,
    "closes the eyes": closes_eyes,
    "looks down": looks_down,
    "turns": turns,
}
