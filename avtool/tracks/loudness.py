"""Loudness by ITU-R BS.1770-4 and EBU R128: of files as ffmpeg measures them, of clips, and what is asked for."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10
from typing import Any, NamedTuple

import ffmpeg
import numpy as np

from avtool.timeline import SECOND, Span
from avtool.tracks.sound import Report, running

REFERENCE = -23.0  # LUFS of every clip of the voice
NOTHING = -70.0  # LUFS: quieter is silence to BS.1770's absolute gate
HOP, WINDOW = SECOND // 10, 4 * SECOND // 10  # of the momentary loudness, in microseconds


class Target(NamedTuple):
    """A delivery specification. `dialogue`: measured on the dialogue alone, without gates."""

    loudness: float  # LUFS
    tolerance: float  # LU
    peak: float  # dBTP, at most
    source: str
    dialogue: bool = False


TARGETS = {
    "ebu": Target(-23, 0.5, -1, "EBU R128"),
    "atsc": Target(-24, 2, -2, "ATSC A/85"),
    "netflix": Target(-27, 2, -2, "Netflix, dialogue-gated", dialogue=True),
    "web": Target(-16, 1, -1, "streaming"),
}
K_WEIGHTING = np.array(
    [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ]
)
SAID = re.compile(rb"lavfi\.r128\.(M|I|true_peak)=(\S+)")


@dataclass(frozen=True, slots=True)
class Loudness:
    """`momentary[n]` is the loudness (LUFS) of the 0.4 s that end 0.1 s x (n + 1) after zero."""

    integrated: float  # LUFS
    peak: float  # dBTP
    momentary: np.ndarray

    def during(self, spans: Iterable[Span]) -> float:
        """Mean loudness inside `spans`, ungated; `NOTHING` where they hold no whole window."""
        inside = np.zeros(len(self.momentary), bool)
        for span in spans:
            first = -(-(span.start + WINDOW) // HOP) - 1
            last = max(span.end // HOP, first + 1)  # a shorter span has the window that begins with it
            inside[max(0, first) : last] = True
        return mean(self.momentary[inside])


@dataclass(frozen=True, slots=True)
class Levels:
    """What a mix is made by: the programme, its dialogue's spans in order, the narration's LUFS, the target."""

    programme: Loudness
    dialogue: Sequence[Span]
    narration: float
    target: Target

    def value(self, measured: Loudness) -> float:
        """What the target is held against."""
        gated = self.target.dialogue and self.dialogue
        return measured.during(self.dialogue) if gated else measured.integrated


def levels(programme: Loudness, dialogue: Sequence[Span], target: str) -> Levels:
    """The narration is as loud as the dialogue, else as the programme, else `REFERENCE`.

    `target` is one of `TARGETS`, or "programme": the film's own loudness.
    """
    heard = (programme.during(dialogue), programme.integrated, REFERENCE)
    narration = next(level for level in heard if level > NOTHING)
    if target != "programme":
        wanted = TARGETS[target]
    elif programme.integrated > NOTHING:
        wanted = Target(programme.integrated, 1.0, -1.0, "the programme's own loudness")
    else:
        wanted = TARGETS["ebu"]
    return Levels(programme, dialogue, narration, wanted)


def mean(loudness: np.ndarray) -> float:
    """The loudness (LUFS) of sound that is `loudness` by turns: the mean of its energy."""
    if not len(loudness):
        return NOTHING
    return max(NOTHING, float(10 * np.log10(np.mean(10 ** (loudness / 10)))))


def measure(sound: Any, failing: str, report: Report | None = None) -> Loudness:
    """The loudness of an ffmpeg stream. Raises MediaError that begins with `failing` where it cannot be decoded."""
    told = sound.filter("ebur128", peak="true", metadata=1, framelog="quiet").filter(
        "ametadata", mode="print", file="pipe:1"
    )
    momentary, last = array("f"), {b"I": NOTHING, b"true_peak": 0.0}
    with running(ffmpeg.output(told, "-", format="null"), failing) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if found := SAID.match(line):
                last[found[1]] = float(found[2])
                if found[1] == b"M":
                    momentary.append(last[b"M"])
                    if report:
                        report(len(momentary) * HOP)
    return Loudness(last[b"I"], 20 * log10(max(last[b"true_peak"], 1e-6)), np.array(momentary))


def integrated(momentary: np.ndarray) -> float:
    """Integrated loudness of momentary values, with BS.1770's gates: -70 LUFS, and 10 LU below what that leaves."""
    loud = momentary[momentary > NOTHING]
    return mean(loud[loud > mean(loud) - 10]) if len(loud) else NOTHING


def level(sound: np.ndarray) -> float:
    """Loudness (LUFS) of a mono clip at `RATE`, as BS.1770 without gates: those need 0.4 s.

    The filter is that of BS.1770-4, annex 1: a shelf for the head, then a high pass, given for 48 kHz.
    """
    from scipy.signal import sosfilt

    weighted = sosfilt(K_WEIGHTING, sound.astype(np.float64))
    return float(-0.691 + 10 * np.log10(np.mean(np.square(weighted)) + 1e-12))
