"""A film's sound in reels of a few minutes, each with where somebody speaks and sings, so that memory is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from avtool.perceive import singing, voice_activity
from avtool.perceive.voice_activity import FRAME, FRAME_US, RATE
from avtool.timeline import SECOND, Span

LONGEST = 150 * RATE  # samples held at a time


@dataclass(frozen=True, slots=True)
class Reel:
    """Sound that ends where a pause begins.

    `samples` (n,) 16 kHz mono; `probability` of a voice and `level` in dB of each 32 ms frame (frames,);
    `spoken` and `sung` are the spans of voices, in order.
    """

    span: Span
    samples: np.ndarray
    probability: np.ndarray
    level: np.ndarray
    spoken: list[Span]
    sung: list[Span]

    def likelihood(self, span: Span) -> float:
        """Mean probability of a voice in `span`."""
        return float(self.probability[self._frames(span)].mean())

    def loudness(self, *spans: Span) -> float:
        """Mean power in `spans`, in dB of full scale."""
        levels = np.concatenate([self.level[self._frames(span)] for span in spans])
        return float(10 * np.log10(np.mean(10 ** (levels / 10))))

    def loud(self, span: Span, level: float) -> Span:
        """`span` from its first to its last frame of at least `level` dB; all of it where there is none."""
        frames = self._frames(span)
        above = frames.start + np.flatnonzero(self.level[frames] >= level)
        if not len(above):
            return span
        first, last = (self.span.start + int(frame) * FRAME_US for frame in (above[0], above[-1] + 1))
        return Span(max(span.start, first), min(span.end, last))

    def _frames(self, span: Span) -> slice:
        """The frames of `span`, at least one."""
        first = (span.start - self.span.start) // FRAME_US
        return slice(first, max(first + 1, (span.end - self.span.start) // FRAME_US))


def reels(blocks: Iterable[tuple[int, np.ndarray]]) -> Iterator[Reel]:
    """`blocks` of 16 kHz mono sound without a break, each with the time of its first sample, as reels."""
    held = np.zeros(0, np.float32)
    start = 0
    for time, samples in blocks:
        if not len(held):
            start = time
        held = np.concatenate([held, samples])
        if len(held) >= LONGEST:
            reel = _reel(start, held, last=False)
            yield reel
            start, held = reel.span.end, held[len(reel.samples) :]
    if len(held):
        yield _reel(start, held, last=True)


def _reel(start: int, samples: np.ndarray, last: bool) -> Reel:
    voice = singing.separate(samples)
    spoken, sung = voice_activity.probabilities(np.stack([samples, voice]))
    sung = singing.probabilities(voice, sung)
    probability = np.maximum(spoken, sung)
    if not last:
        frames = _cut(probability)
        samples, spoken, sung = samples[: frames * FRAME], spoken[:frames], sung[:frames]
    span = Span(start, start + len(samples) * SECOND // RATE)
    inside = [
        [part for found in spans if (part := found.clip(span))]
        for spans in (voice_activity.speech(spoken, start), singing.spans(sung, start))
    ]
    return Reel(span, samples, probability[: len(spoken)], _levels(samples), *inside)


def _cut(probability: np.ndarray) -> int:
    """The frame in the last quarter where the longest pause begins, or where a voice is least likely."""
    first = len(probability) * 3 // 4
    pauses = voice_activity.runs(probability[first:] <= voice_activity.OFFSET)
    if not pauses:
        return first + max(1, int(np.argmin(probability[first:])))
    begin, _ = max(pauses, key=lambda pause: pause[1] - pause[0])
    return first + max(1, begin)


def _levels(samples: np.ndarray) -> np.ndarray:
    """RMS of each frame in dB of full scale, -100 for silence."""
    frames = np.pad(samples, (0, -len(samples) % FRAME)).reshape(-1, FRAME)
    return 10 * np.log10(np.mean(frames**2, axis=1) + 1e-10)
