"""What is said: Whisper on faster-whisper, in chunks cut at pauses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from avtool.timeline import SECOND, Span, Word
from avtool.weights import where

if TYPE_CHECKING:
    from faster_whisper import BatchedInferencePipeline

LONGEST = 28 * SECOND  # of a chunk: Whisper listens to 30 s at a time
BATCH = 4  # chunks decoded together: more gains nothing on few cores

# Whisper's own measures of doubt (OpenAI's decoding rules, stricter where nobody may have spoken).
MIN_LOG_PROBABILITY = -1.0
MAX_COMPRESSION = 2.4

# What is not spoken, Whisper writes in brackets: "[Music]", "(applause)".
NOISE = re.compile(r"[\[(][^\])]*[\])]?")


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence or so as heard. `sung` where Whisper marks it with notes."""

    text: str
    words: tuple[Word, ...]
    confidence: float
    sung: bool

    @property
    def span(self) -> Span:
        return Span(self.words[0].span.start, self.words[-1].span.end)


@cache
def _model() -> BatchedInferencePipeline:
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    folder = where("whisper-tiny-en").parent
    return BatchedInferencePipeline(
        WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
    )


def chunks(voiced: Sequence[Span]) -> list[Span]:
    """`voiced` (in order) joined into chunks of at most `LONGEST`, cut at the longest pauses within reach."""
    joined: list[Span] = []
    for span in voiced:
        while span.duration > LONGEST:
            joined.append(Span(span.start, span.start + LONGEST))
            span = Span(span.start + LONGEST, span.end)
        if joined and span.end - joined[-1].start <= LONGEST:
            joined[-1] = Span(joined[-1].start, span.end)
        else:
            joined.append(span)
    return joined


def transcribe(samples: np.ndarray, voiced: Sequence[Span], start: int = 0) -> list[Line]:
    """The lines said in `voiced` (in order, on the film's clock) of `samples` (n,), 16 kHz mono from `start`.

    Word times come from Whisper's cross-attention. Lines that Whisper doubts, and descriptions of noise, are
    left out. Raises MissingError where the weight is not installed.
    """
    clips = [
        {"start": (chunk.start - start) / SECOND, "end": (chunk.end - start) / SECOND}
        for chunk in chunks(voiced)
    ]
    if not clips:
        return []
    segments, _ = _model().transcribe(
        samples,
        language="en",
        beam_size=1,
        batch_size=BATCH,
        clip_timestamps=clips,
        without_timestamps=False,
        word_timestamps=True,
        suppress_tokens=[],  # let it say "[Music]": forbidden to, it makes words up instead
    )
    lines = []
    for segment in segments:
        sung = "♪" in segment.text
        words = tuple(
            Word(word.word.strip(), _span(word.start, word.end, start), float(word.probability))
            for word in segment.words or ()
            if any(letter.isalnum() for letter in word.word)
        )
        doubtful = segment.avg_logprob < MIN_LOG_PROBABILITY or segment.compression_ratio > MAX_COMPRESSION
        if words and not doubtful and not NOISE.search(segment.text):
            text = segment.text.replace("♪", "").strip()
            confidence = float(np.exp(segment.avg_logprob))
            lines.append(Line(text, words, confidence, sung))
    return lines


def _span(begin: float, end: float, start: int) -> Span:
    first = start + round(begin * SECOND)
    return Span(first, max(first, start + round(end * SECOND)))
