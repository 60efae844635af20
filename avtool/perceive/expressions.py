"""What a face does, from its measures: speaks, smiles, closes the eyes, looks down, turns.

These are movements that can be seen; what the person feels is not told.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avtool.perceive.postures import runs, windows
from avtool.perceive.tracks import Faces
from avtool.timeline import SECOND, Span

LEGIBLE = 0.2  # quality from which mouth and eyes can be read


def actions(faces: Faces) -> Iterator[tuple[str, Span]]:
    """Every action of one face, a verb and when."""
    for verb, rule in RULES.items():
        for span in rule(faces):
            yield verb, span


def speaks(faces: Faces) -> list[Span]:
    """The mouth opens and closes: within every second and a half it is seen at differing openings. Four samples
    a second are too few to count syllables, enough to tell a moving mouth from a still one."""
    legible = (faces.quality > LEGIBLE) & (np.abs(faces.yaw) < 45)
    moves = np.zeros(len(faces.times), bool)
    for row, window in enumerate(windows(faces.times, int(0.8 * SECOND))):
        opening = faces.mouth_open[window][legible[window]]
        moves[row] = len(opening) >= 3 and opening.std() > 0.03 and np.ptp(opening) > 0.08
    return runs(faces.times, legible, moves, SECOND // 2)


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
    legible = faces.quality > LEGIBLE
    times, yaw = faces.times[legible], faces.yaw[legible]
    spans = []
    free = 0  # first sample that no turn has used
    for end in range(len(times)):
        begin = max(free, int(np.searchsorted(times, times[end] - SECOND)))
        far = np.flatnonzero(np.abs(yaw[end] - yaw[begin:end]) > 30)
        if len(far):
            spans.append(Span(int(times[begin + far[0]]), int(times[end]) + 1))
            free = end
    return spans


RULES = {
    "speaks": speaks,
    "smiles": smiles,
    "closes the eyes": closes_eyes,
    "looks down": looks_down,
    "turns": turns,
}
