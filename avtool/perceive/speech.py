"""What a description must not cover: speech, songs with words, and a crowd that answers them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from avtool.perceive import singing, transcript, voice_activity
from avtool.perceive.transcript import LANGUAGE, Line
from avtool.perceive.voice_activity import FRAME, FRAME_US, RATE
from avtool.timeline import SECOND, Span, Speech, Word, complement, merge

if TYPE_CHECKING:
    from avtool.media.probe import Probe

REEL = 150 * RATE  # samples held at a time

# Singing is judged over seconds: so near to speech it is that speech again, and shorter it is an instrument
# that for a moment sounds like a voice. Words or length make sure.
SMEAR = 1 * SECOND
SHORTEST_SONG = 2 * SECOND
SURE_SONG = 6 * SECOND

DRIFT = 1 * SECOND  # by which cross-attention may misplace a word
FEWEST_WORDS = 3  # of a line believed where no voice is heard

# AD113: sound that matters is not covered either. Only a pause nearly as loud as the voices holds any.
LOUD = 12.0  # dB that a loud pause may lie below the voices
SHORTEST_PAUSE = SECOND * 9 // 10  # shorter is never used
# A crowd answers what was just said, and holds the stage while it does; later it is the scene.
ANSWER = 10 * SECOND
# Music as loud as the voices beside it is part of their number for two bars or so, and for eight between two lines
# of a song, where other voices answer; longer it is a passage of its own, in which a description may be spoken.
PHRASE, BREAK = 5 * SECOND, 16 * SECOND
CERTAIN = 0.5  # confidence from which a sound is what Whisper calls it: engines come as music at 0.3 to 0.45


def listen(
    film: Probe,
    audio_track: int | None = None,
    subtitles: Path | None = None,
    span: Span | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Speech]:
    """All speech, songs with words and answering crowd of `film` inside `span`, in order, never overlapping.

    A given file of `subtitles` is trusted for what is said; when, the sound tells. `progress` is told the
    microseconds done. A film without sound has only the speech of its subtitles. Raises MediaError where the
    sound cannot be read, UsageError where there is no such track or `subtitles` do not parse, MissingError
    where a weight is not installed.
    """
    from avtool.media import audio

    whole = span or film.span
    speech: list[Speech] = []
    for reel in _reels(audio.blocks(film, audio_track, whole)):
        speech += _hear(reel, speech[-1] if speech else None)
        if progress:
            progress(reel.span.end - whole.start)
    if subtitles:
        from avtool.perceive import dialogue

        speech = _apart(dialogue.believe(dialogue.read(subtitles, whole), speech))
    return speech


@dataclass(frozen=True, slots=True)
class Reel:
    """A few minutes of sound that end where a pause begins.

    `samples` (n,) 16 kHz mono; `probability` of a voice and `level` in dB of each 32 ms frame (frames,);
    `spoken` and `sung` are the spans of voices.
    """

    span: Span
    samples: np.ndarray
    probability: np.ndarray
    level: np.ndarray
    spoken: list[Span]
    sung: list[Span]

    def likelihood(self, span: Span) -> float:
        """Mean probability of a voice in `span`."""
        return float(self.probability[self.frames(span)].mean())

    def frames(self, span: Span) -> slice:
        """The frames of `span`, at least one."""
        first = (span.start - self.span.start) // FRAME_US
        return slice(first, max(first + 1, (span.end - self.span.start) // FRAME_US))


def _reels(blocks: Iterator[tuple[int, np.ndarray]]) -> Iterator[Reel]:
    start, parts, held = 0, [], 0
    for time, samples in blocks:
        if not held:
            start = time
        parts.append(samples)
        held += len(samples)
        if held >= REEL:
            reel = _reel(start, np.concatenate(parts), last=False)
            yield reel
            rest = np.concatenate(parts)[len(reel.samples) :]
            start, parts, held = reel.span.end, [rest], len(rest)
    if held:
        yield _reel(start, np.concatenate(parts), last=True)


def _reel(start: int, samples: np.ndarray, last: bool) -> Reel:
    probability = voice_activity.probabilities(samples[None])[0]
    sung = singing.probabilities(samples)
    frames = len(probability) if last else _cut(np.maximum(probability, sung))
    samples = samples[: frames * FRAME]
    span = Span(start, start + len(samples) * SECOND // RATE)
    spoken = [part for voice in voice_activity.speech(probability, start) if (part := voice.clip(span))]
    songs = [part for song in singing.spans(sung, start) if (part := song.clip(span))]
    return Reel(span, samples, np.maximum(probability, sung)[:frames], _levels(samples), spoken, songs)


def _cut(probability: np.ndarray) -> int:
    """The frame in the last quarter where the longest pause begins, or where a voice is least likely."""
    first = len(probability) * 3 // 4
    silent = probability[first:] <= voice_activity.OFFSET
    if not silent.any():
        return first + int(np.argmin(probability[first:]))
    length = np.zeros(len(silent) + 1, int)  # of the silence from each frame on
    for frame in range(len(silent) - 1, -1, -1):
        length[frame] = length[frame + 1] + 1 if silent[frame] else 0
    return first + max(1, int(np.argmax(length)))


def _levels(samples: np.ndarray) -> np.ndarray:
    """RMS of each frame in dB of full scale, -100 for silence."""
    frames = np.pad(samples, (0, -len(samples) % FRAME)).reshape(-1, FRAME)
    return 10 * np.log10(np.mean(frames**2, axis=1) + 1e-10)


def _hear(reel: Reel, before: Speech | None) -> list[Speech]:
    """What of `reel` must not be covered, in order; `before` is the last thing heard before it."""
    chunks = transcript.chunks(merge([*reel.spoken, *_alone(reel, reel.sung)]), reel.span)
    lines = transcript.transcribe(reel.samples, reel.span.start, chunks)
    songs = [sung for sung in reel.sung if _believed(_alone(reel, [sung]), lines)]
    notes = merge([*songs, *(line.span for line in lines if line.sound == "song")])
    voices = [Speech(voice, _kind(voice, notes), ("vad",), reel.likelihood(voice)) for voice in reel.spoken]
    voices += [Speech(part, "song", ("vad",), reel.likelihood(part)) for part in _alone(reel, songs)]
    voices = _apart(_worded(_apart(voices), lines))
    if voices:
        loud = _loudness(np.concatenate([reel.level[reel.frames(voice.span)] for voice in voices])) - LOUD
        voices = _apart([*voices, *_again(reel, voices, before, loud)])
        voices = _apart([*voices, *_breaks(reel, voices, before, loud)])
    return voices


def _alone(reel: Reel, sung: Iterable[Span]) -> list[Span]:
    """The parts of `sung` that are no echo of speech."""
    spoken = [voice.grow(SMEAR, SMEAR) for voice in reel.spoken]
    parts = [part for span in sung for part in complement(spoken, span)]
    return [part for part in parts if part.duration >= SHORTEST_SONG]


def _believed(parts: Sequence[Span], lines: Iterable[Line]) -> bool:
    """Whether `parts` of singing are long, or words were heard in them."""
    words = [word.span for line in lines for word in line.words]
    worded = any(part.overlap(word) for part in parts for word in words)
    return worded or sum(part.duration for part in parts) >= SURE_SONG


def _kind(voice: Span, songs: Iterable[Span]) -> Literal["dialogue", "song"]:
    """A song where at least half of `voice` lies in `songs`."""
    return "song" if 2 * sum(voice.overlap(song) for song in songs) >= voice.duration else "dialogue"


def _worded(voices: Sequence[Speech], lines: Iterable[Line]) -> list[Speech]:
    """`voices` with the words of `lines`, and the lines that no voice was heard for."""
    words: list[list[Word]] = [[] for _ in voices]
    missed: list[Line] = []
    for line in lines:
        placed = False
        for word in line.words:
            nearest = min(range(len(voices)), key=lambda index: _distance(voices[index].span, word.span))
            if _distance(voices[nearest].span, word.span) <= DRIFT:
                words[nearest].append(word)
                placed = True
        if not placed and len(line.words) >= FEWEST_WORDS:
            missed.append(line)
    worded = [
        replace(voice, sources=("vad", "asr"), text=_text(said), words=tuple(said), language=LANGUAGE)
        if said
        else voice
        for voice, said in zip(voices, words, strict=True)
    ]
    return worded + [_line(line) for line in missed]


def _again(reel: Reel, voices: Sequence[Speech], before: Speech | None, loud: float) -> list[Speech]:
    """Crowd, music and missed voices in the pauses that are at least `loud` dB, each listened to by itself."""
    numbers: dict[Span, bool] = {}  # by piece of a pause: whether music in it would be part of a number
    for left, right, pause in _pauses(reel, voices, before):
        for piece in _near(pause, left is not None, right is not None):
            if _loudness(reel.level[reel.frames(piece)]) >= loud:
                numbers[piece] = pause.duration <= PHRASE
    heard = transcript.transcribe(reel.samples, reel.span.start, list(numbers))
    missed: list[Speech] = []
    named: dict[Span, Speech] = {}
    for piece, number in numbers.items():
        for line in heard:
            if line.span.middle not in piece:
                continue
            if line.sound == "crowd" and line.confidence >= CERTAIN:
                named[piece] = Speech(_loud(piece, reel, loud), "crowd", ("asr",), line.confidence)
            elif line.sound == "music" and line.confidence >= CERTAIN and number:
                named[piece] = Speech(piece, "song", ("asr",), line.confidence)
            elif len(line.words) >= FEWEST_WORDS and (span := line.span.clip(piece)):
                missed.append(replace(_line(line), span=span))
    # Where most loud pauses are of a show, so are those whose sound had no clear name.
    if 2 * sum(piece.duration for piece in named) >= sum(piece.duration for piece in numbers):
        doubtful = min((show.confidence for show in named.values()), default=0.0)
        for piece in numbers.keys() - named.keys():
            named[piece] = Speech(_loud(piece, reel, loud), "crowd", ("asr",), doubtful)
    return missed + list(named.values())


def _breaks(reel: Reel, voices: Sequence[Speech], before: Speech | None, loud: float) -> list[Speech]:
    """The loud pauses between two lines of a song."""
    return [
        Speech(pause, "song", ("vad",), min(left.confidence, right.confidence))
        for left, right, pause in _pauses(reel, voices, before)
        if left and right and left.kind == right.kind == "song"
        if pause.duration <= BREAK and _loudness(reel.level[reel.frames(pause)]) >= loud
    ]


def _pauses(
    reel: Reel, voices: Sequence[Speech], before: Speech | None
) -> Iterator[tuple[Speech | None, Speech | None, Span]]:
    """What lies on either side of each usable pause of `reel`, None at the film's ends, and the pause."""
    for left, right in pairwise([before, *voices, None]):
        start = left.span.end if left and left is not before else reel.span.start
        end = right.span.start if right else reel.span.end
        if end - start >= SHORTEST_PAUSE:
            yield left, right, Span(start, end)


def _loud(piece: Span, reel: Reel, loud: float) -> Span:
    """`piece` from its first to its last frame of at least `loud` dB."""
    frames = reel.frames(piece)
    above = frames.start + np.flatnonzero(reel.level[frames] >= loud)
    first, last = (reel.span.start + int(frame) * FRAME_US for frame in (above[0], above[-1] + 1))
    return Span(max(piece.start, first), min(piece.end, last))


def _near(pause: Span, before: bool, after: bool) -> list[Span]:
    """The parts of `pause` within `ANSWER` of a voice before or after it, in pieces of at most `PHRASE`."""
    parts = []
    if before:
        parts.append(Span(pause.start, min(pause.end, pause.start + ANSWER)))
    if after:
        parts.append(Span(max(pause.start, pause.end - ANSWER), pause.end))
    return [piece for part in merge(parts) for piece in transcript.split(part, PHRASE)]


def _loudness(levels: np.ndarray) -> float:
    """Mean power of frames of `levels` dB, in dB."""
    return float(10 * np.log10(np.mean(10 ** (levels / 10))))


def _distance(a: Span, b: Span) -> int:
    """Microseconds between two spans; 0 where they meet."""
    return max(a.start - b.end, b.start - a.end, 0)


def _text(words: Iterable[Word]) -> str:
    return " ".join(word.text for word in words)


def _line(line: Line) -> Speech:
    """A line that no voice was heard for."""
    kind = "song" if line.sound == "song" else "dialogue"
    return Speech(line.span, kind, ("asr",), line.confidence, line.text, line.words, language=LANGUAGE)


def _apart(speech: Iterable[Speech]) -> list[Speech]:
    """`speech` in order, each beginning no earlier than the one before ends."""
    apart: list[Speech] = []
    for heard in sorted(speech, key=lambda heard: heard.span):
        start = max(heard.span.start, apart[-1].span.end) if apart else heard.span.start
        if start < heard.span.end:
            apart.append(replace(heard, span=Span(start, heard.span.end)))
    return apart
