"""What is said, sung or otherwise heard: Whisper on faster-whisper.

faster-whisper's batched decoding is the method of WhisperX (Bain et al., Interspeech 2023): chunks cut at
pauses, decoded together. Word times come from Whisper's cross-attention, which needs no alignment model.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from avtool.timeline import SECOND, Span, Word
from avtool.weights import where

if TYPE_CHECKING:
    from faster_whisper import BatchedInferencePipeline
    from faster_whisper.transcribe import Segment

LONGEST = 28 * SECOND  # of a chunk: Whisper listens to 30 s at a time
PAUSE = 2 * SECOND  # over a longer one Whisper loses words and their times
STEP = 20_000  # microseconds of Whisper's clock
MARGIN = 400_000  # microseconds of silence heard around a chunk
BATCH = 4  # chunks decoded together: more gains nothing on few cores
LANGUAGE = "en"  # of the embedded model

# Doubt, in Whisper's own measures (Radford et al. 2022, section 4.5): where nobody speaks it makes up short
# polite sentences at about -1.1, or goes round in circles.
MIN_LOG_PROBABILITY = -0.95
MAX_COMPRESSION = 2.4

# Whisper names in brackets what is not speech, and puts notes around what is sung.
NAMED = re.compile(r"[\[(*]([^\])*]+)[\])*]?$")
NOTES = re.compile("[♪♫]")
CROWD = re.compile(r"laugh|chuckl|giggl|applau|applaud|clap|cheer|crowd|audience", re.IGNORECASE)
MUSIC = re.compile(r"music|singing|song|piano|guitar|instrument", re.IGNORECASE)

Sound = Literal["speech", "song", "crowd", "music", "noise"]


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence or so as heard. `words` and `text` are empty for crowd, music and noise."""

    sound: Sound
    span: Span
    text: str
    words: tuple[Word, ...]
    confidence: float


@cache
def _model() -> BatchedInferencePipeline:
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    folder = where("whisper-tiny-en").parent
    return BatchedInferencePipeline(
        WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
    )


def chunks(voices: Sequence[Span], whole: Span) -> list[Span]:
    """`voices` (in order, apart) joined over pauses of up to `PAUSE` into chunks of at most `LONGEST`.

    Each chunk gets up to `MARGIN` of the silence around it inside `whole`, so that no word is cut.
    """
    joined: list[Span] = []
    for voice in voices:
        if joined and voice.start - joined[-1].end <= PAUSE and voice.end - joined[-1].start <= LONGEST:
            joined[-1] = Span(joined[-1].start, voice.end)
        else:
            joined += split(voice, LONGEST)
    ends = [whole.start, *(chunk.end for chunk in joined)]
    starts = [*(chunk.start for chunk in joined), whole.end]
    room = [min(MARGIN, (start - end) // 2) for end, start in zip(ends, starts, strict=True)]
    return [chunk.grow(*beside) for chunk, beside in zip(joined, pairwise(room), strict=True)]


def split(span: Span, longest: int) -> list[Span]:
    """`span` in equal parts of at most `longest` microseconds."""
    parts = -(-span.duration // longest)
    cuts = [span.start + span.duration * part // parts for part in range(parts + 1)]
    return [Span(start, end) for start, end in pairwise(cuts)]


def transcribe(samples: np.ndarray, start: int, clips: Sequence[Span]) -> list[Line]:
    """What is heard in each of `clips` (apart, each at most 30 s) of `samples` (n,), 16 kHz mono from `start`.

    Times are microseconds on the clock of `start`. What Whisper doubts is left out. Raises MissingError where
    the weight is not installed.
    """
    if not clips:
        return []
    segments, _ = _model().transcribe(
        samples,
        language=LANGUAGE,
        beam_size=1,
        batch_size=BATCH,
        clip_timestamps=[
            {"start": (clip.start - start) / SECOND, "end": (clip.end - start) / SECOND} for clip in clips
        ],
        without_timestamps=False,
        word_timestamps=True,
        suppress_tokens=[],  # let it name noise: forbidden to, it makes words up instead
    )
    lines: list[Line] = []
    for _, chunk in groupby(segments, key=lambda segment: segment.seek):
        lines += _lines(list(chunk), start)
    return lines


def _lines(chunk: list[Segment], start: int) -> Iterator[Line]:
    """The believable lines of one chunk."""
    text = "".join(segment.text for segment in chunk).encode()
    circling = len(text) > MAX_COMPRESSION * len(zlib.compress(text))
    for segment in chunk:
        heard = segment.text.strip()
        words = tuple(_words(segment, start))
        if not words:
            continue
        span = Span(words[0].span.start, max(word.span.end for word in words))
        confidence = float(np.exp(segment.avg_logprob))
        named = NAMED.match(heard)
        if named:
            yield Line(_sound(named[1]), span, "", (), confidence)
        elif not circling and segment.avg_logprob > MIN_LOG_PROBABILITY:
            sound: Sound = "song" if NOTES.search(heard) else "speech"
            yield Line(sound, span, NOTES.sub("", heard).strip(), words, confidence)


def _sound(name: str) -> Sound:
    """The kind of sound that Whisper calls `name`."""
    return "crowd" if CROWD.search(name) else "music" if MUSIC.search(name) else "noise"


def _words(segment: Segment, start: int) -> Iterator[Word]:
    for word in segment.words or ():
        text = NOTES.sub("", word.word).strip()
        if text:
            first, last = start + round(word.start * SECOND), start + round(word.end * SECOND)
            yield Word(text, Span(first, max(last, first + STEP)), float(word.probability))
