"""Subtitles that come with a film: trusted for what is said, timed by what is heard."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from avtool.timeline import SECOND, Span, Speech

log = logging.getLogger(__name__)

STEP = SECOND // 20  # of the comparison of cues with voices
REACH = 60 * SECOND  # by which subtitles may be shifted
SHIFTED = SECOND // 2  # smaller shifts are the subtitler's habit
# Correlation of two on-off signals (Pearson): below LIKE the cues belong to another film or cut; a shift must
# bring CLEAR more than none to be believed.
LIKE, CLEAR = 0.2, 0.1
FEWEST = 5  # cues: fewer may fit anywhere

# Subtitles for the deaf tell sounds in brackets and who speaks in capitals.
SOUND = re.compile(r"\[[^\]]*\]|\([^)]*\)")
SPEAKER = re.compile(r"(^|- ?)[A-Z][A-Z .'\d]+: ?")
NOTES = re.compile("[♪♫#]")


def read(path: Path, whole: Span) -> list[Speech]:
    """The spoken and sung cues of the subtitle file at `path` that lie in `whole`, in order.

    Raises UsageError where the file is missing or does not parse.
    """
    from avtool.tracks import subtitles

    cues = []
    for cue in sorted(subtitles.read(path), key=lambda cue: cue.span):
        span = cue.span.clip(whole)
        text = " ".join(NOTES.sub("", SPEAKER.sub(r"\1", SOUND.sub("", cue.text).strip())).split())
        if span and any(letter.isalnum() for letter in text):
            kind = "song" if NOTES.search(cue.text) else "dialogue"
            cues.append(Speech(span, kind, ("subtitle",), 1.0, text, language=cue.language))
    return cues


def believe(cues: Sequence[Speech], heard: Sequence[Speech]) -> list[Speech]:
    """`heard` with the words of `cues`, and the cues for which no voice was heard.

    Cues shifted against the voices are moved; cues that fit nowhere are left out. Both are warned of.
    """
    voices = [speech for speech in heard if speech.kind != "crowd"]
    cues = _timed(cues, [voice.span for voice in voices])
    said: list[list[Speech]] = [[] for _ in voices]
    unheard: list[Speech] = []
    starts, ends = np.array([(voice.span.start, voice.span.end) for voice in voices]).reshape(-1, 2).T
    for cue in cues:
        shared = np.minimum(ends, cue.span.end) - np.maximum(starts, cue.span.start)
        if max(shared, default=0) > 0:
            said[int(np.argmax(shared))].append(cue)
        else:
            unheard.append(cue)
    crowd = [speech for speech in heard if speech.kind == "crowd"]
    return [*map(_confirmed, voices, said), *unheard, *crowd]


def _confirmed(voice: Speech, cues: Sequence[Speech]) -> Speech:
    """`voice` with the text of `cues` instead of its own."""
    if not cues:
        return voice
    return replace(
        voice,
        kind="song" if any(cue.kind == "song" for cue in cues) else voice.kind,
        sources=(*voice.sources, "subtitle"),
        confidence=1.0,
        text=" ".join(cue.text for cue in cues),
        words=(),
        language=cues[0].language,
    )


def _timed(cues: Sequence[Speech], voices: Sequence[Span]) -> list[Speech]:
    """`cues` on the clock of `voices`."""
    if len(cues) < FEWEST or not voices:
        return list(cues)
    shift, fit, fit_unmoved = _shift([cue.span for cue in cues], voices)
    if fit < LIKE:
        log.warning("the subtitles do not fit the voices heard (another cut?); they are left out")
        return []
    if abs(shift) <= SHIFTED or fit - fit_unmoved < CLEAR:
        return list(cues)
    half = len(cues) // 2
    early, late = (_shift([cue.span for cue in part], voices)[0] for part in (cues[:half], cues[half:]))
    if abs(early - late) > SHIFTED:
        log.warning("the subtitles drift against the voices heard (another frame rate?); they are left out")
        return []
    log.warning(
        "the subtitles are %.1f s %s; they are moved", abs(shift) / SECOND, "early" if shift > 0 else "late"
    )
    return [
        replace(cue, span=Span(max(0, cue.span.start + shift), cue.span.end + shift))
        for cue in cues
        if cue.span.end + shift > 0
    ]


def _shift(cues: Sequence[Span], voices: Sequence[Span]) -> tuple[int, float, float]:
    """The shift of `cues` (microseconds) that fits `voices` best, its correlation, and that of no shift."""
    from scipy.signal import correlate

    steps = (max(cues[-1].end, voices[-1].end) + REACH) // STEP + 1
    shown, spoken = _on(cues, steps), _on(voices, steps)
    correlation = correlate(spoken, shown, method="fft") / (steps * shown.std() * spoken.std())
    middle, reach = steps - 1, REACH // STEP
    near = correlation[max(0, middle - reach) : middle + reach + 1]
    best = int(np.argmax(near))
    lag = best - min(reach, middle)
    return lag * STEP, float(near[best]), float(correlation[middle])


def _on(spans: Iterable[Span], steps: int) -> np.ndarray:
    """1 at each step inside `spans`, 0 outside, less the mean: float32 (steps,)."""
    on = np.zeros(steps, np.float32)
    for span in spans:
        on[span.start // STEP : max(span.start // STEP + 1, span.end // STEP)] = 1
    return on - on.mean()
