"""What is said, sung or otherwise heard: Whisper on faster-whisper.

faster-whisper's batched decoding is the method of WhisperX (Bain et al., Interspeech 2023): chunks cut at
pauses, decoded together. Word times come from Whisper's cross-attention, which needs no alignment model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, groupby, pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from avtool.perceive.voice_activity import RATE
from avtool.timeline import SECOND, Span, Word, merge
from avtool.weights import trusted

if TYPE_CHECKING:
    from faster_whisper import BatchedInferencePipeline
    from faster_whisper.transcribe import Segment
    from faster_whisper.transcribe import Word as HeardWord

LONGEST = 28 * SECOND  # of a chunk: Whisper listens to 30 s at a time
STEP = 20_000  # microseconds of Whisper's clock
MARGIN = 300_000  # microseconds of the pauses around a voice heard with it
BATCH = 4  # chunks decoded together: more gains nothing on few cores
LANGUAGE = "en"  # of the embedded model

# Doubt, in Whisper's own measures (Radford et al. 2022, section 4.5): where nobody speaks it makes up short polite
# sentences at about -1.1, or goes round in circles, far more than a chorus does.
MIN_LOG_PROBABILITY = -0.95
MAX_COMPRESSION = 4.0

# Whisper puts in brackets the name of what is not speech, and notes around what is sung.
PHRASE = re.compile(r"[\[(*](?P<named>[^\])*]*)[\])*]?|♪(?P<sung>[^♪]*)♪?|[^\[(*♪.?!]+[.?!]*|[.?!]+")
CROWD = re.compile(r"laugh|chuckl|giggl|applau|clapping|cheer|crowd|audience", re.IGNORECASE)
MUSIC = re.compile(r"music|singing|song|piano|guitar|instrument", re.IGNORECASE)

Sound = Literal["speech", "song", "crowd", "music", "noise"]


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence or so as heard. There are no `words` in crowd, music and noise."""

    sound: Sound
    span: Span
    words: tuple[Word, ...]
    confidence: float

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


@cache
def _model() -> BatchedInferencePipeline:
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    folder = trusted("whisper-tiny-en").parent
    return BatchedInferencePipeline(
        WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
    )


def chunks(voices: Sequence[Span], whole: Span) -> list[list[Span]]:
    """`voices` (in order, apart) in chunks of pieces that together last at most `LONGEST`.

    Each piece has up to `MARGIN` of the pauses around it, inside `whole`, so that no word is cut.
    """
    near = merge(part for voice in voices if (part := voice.grow(MARGIN, MARGIN).clip(whole)))
    joined: list[list[Span]] = []
    for piece in (part for span in near for part in split(span, LONGEST)):
        if joined and sum(span.duration for span in joined[-1]) + piece.duration <= LONGEST:
            joined[-1].append(piece)
        else:
            joined.append([piece])
    return joined


def split(span: Span, longest: int) -> list[Span]:
    """`span` in equal parts of at most `longest` microseconds."""
    parts = -(-span.duration // longest)
    cuts = [span.start + span.duration * part // parts for part in range(parts + 1)]
    return [Span(start, end) for start, end in pairwise(cuts)]


def transcribe(samples: np.ndarray, start: int, chunks: Sequence[Sequence[Span]]) -> list[Line]:
    """What is heard in the pieces of `chunks` of `samples` (n,), 16 kHz mono from `start`, in order.

    Pieces (apart; those of a chunk at most 30 s together) are heard one after the other without what lies
    between them. Times are microseconds on the clock of `start`. What Whisper doubts is left out. Raises
    MissingError where the weight is not installed.
    """
    if not chunks:
        return []
    splice = _Splice(samples, start, chunks)
    segments, _ = _model().transcribe(
        splice.samples,
        language=LANGUAGE,
        beam_size=1,
        batch_size=BATCH,
        clip_timestamps=splice.clips,
        without_timestamps=True,  # with them it may end long before the sound does
        word_timestamps=True,
        suppress_tokens=[],  # let it name noise: forbidden to, it makes words up instead
    )
    return [line for segment in segments for line in _lines(segment, splice)]


class _Splice:
    """Pieces of sound one after the other: `samples`, the `clips` that hold the chunks, and where it all was."""

    def __init__(self, samples: np.ndarray, start: int, chunks: Sequence[Sequence[Span]]) -> None:
        self._pieces = [piece for chunk in chunks for piece in chunk]
        cut = [samples[_sample(piece.start - start) : _sample(piece.end - start)] for piece in self._pieces]
        self.samples = np.concatenate(cut)
        self._begins = np.cumsum([0, *map(len, cut)])
        ends = np.cumsum([0, *map(len, chunks)])
        self.clips = [
            {"start": self._begins[first] / RATE, "end": self._begins[end] / RATE}
            for first, end in pairwise(ends)
        ]

    def place(self, start: float, end: float) -> tuple[int, Span]:
        """The piece that holds the middle of `start` to `end` seconds, and where that sound was in it."""
        index = int(np.searchsorted(self._begins[1:-1], (start + end) / 2 * RATE, side="right"))
        piece, begin = self._pieces[index], self._begins[index] / RATE
        first, last = (piece.start + round((time - begin) * SECOND) for time in (start, end))
        first = min(max(first, piece.start), piece.end - STEP)
        return index, Span(first, max(first + STEP, min(last, piece.end)))


def _sample(time: int) -> int:
    return time * RATE // SECOND


def _lines(segment: Segment, splice: _Splice) -> Iterator[Line]:
    """The believable lines of `segment`, all that was heard in a chunk: its sentences, cut where the sound is."""
    words = segment.words or []
    begins = [end - len(word.word.lstrip()) for word, end in zip(words, _ends(words), strict=True)]
    doubtful = segment.avg_logprob < MIN_LOG_PROBABILITY or segment.compression_ratio > MAX_COMPRESSION
    confidence = float(np.exp(segment.avg_logprob))
    for phrase in PHRASE.finditer("".join(word.word for word in words)):
        inside = [
            (splice.place(word.start, word.end), word)
            for word, begin in zip(words, begins, strict=True)
            if phrase.start() <= begin < phrase.end()
        ]
        for _, group in groupby(inside, key=lambda placed: placed[0][0]):
            said = [Word(_bare(word), span, float(word.probability)) for (_, span), word in group]
            span = Span(said[0].span.start, max(word.span.end for word in said))
            said = [word for word in said if word.text]
            if phrase["named"]:
                yield Line(_sound(phrase["named"]), span, (), confidence)
            elif said and not doubtful:
                yield Line("song" if phrase["sung"] else "speech", span, tuple(said), confidence)


def _ends(words: Sequence[HeardWord]) -> Iterator[int]:
    """Where each word ends in the text of all."""
    return accumulate(len(word.word) for word in words)


def _bare(word: HeardWord) -> str:
    """The word without notes; nothing where only punctuation is left."""
    text = word.word.replace("♪", "").strip()
    return text if any(letter.isalnum() for letter in text) else ""


def _sound(name: str) -> Sound:
    """The kind of sound that Whisper calls `name`."""
    return "crowd" if CROWD.search(name) else "music" if MUSIC.search(name) else "noise"
