"""What a description must not cover: speech, songs with words, and a crowd that answers them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from avtool.perceive import dialogue, transcript
from avtool.perceive.reels import Reel, reels
from avtool.perceive.transcript import LANGUAGE, Line
from avtool.timeline import SECOND, Span, Speech, Word, complement, merge

if TYPE_CHECKING:
    from avtool.media.probe import Probe

# Singing is judged over seconds: so near to speech it is that speech again, and shorter it is an instrument
# that for a moment sounds like a voice. Words or length make sure.
SMEAR = 1 * SECOND
SHORTEST_SONG = 2 * SECOND
SURE_SONG = 6 * SECOND

UNDERSTOOD = "en", "eng", "und"  # languages of a track; of any other the transcript is no text
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
CERTAIN = 0.5  # confidence from which music is music: Whisper calls engines and wind so at 0.3 to 0.5


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
    cues = dialogue.read(subtitles, whole) if subtitles else []
    stream = audio.choose(film, audio_track)
    speech: list[Speech] = []
    for reel in reels(audio.blocks(film, audio_track, whole)):
        speech += _hear(reel, speech[-1] if speech else None)
        if progress:
            progress(reel.span.end - whole.start)
    if stream and stream.language and stream.language not in UNDERSTOOD:
        speech = [replace(heard, text="", words=(), language=stream.language) for heard in speech]
    return _apart(dialogue.believe(cues, speech))


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
        loud = reel.loudness(*(voice.span for voice in voices)) - LOUD
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
            away = [_distance(voice.span, word.span) for voice in voices]
            if min(away, default=DRIFT) < DRIFT:
                words[away.index(min(away))].append(word)
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
    numbers = {  # whether music in a piece would be part of a number
        piece: pause.duration <= PHRASE or _goes_on(left, piece)
        for left, right, pause in _pauses(reel, voices, before)
        for piece in _near(pause, left is not None, right is not None)
        if reel.loudness(piece) >= loud
    }
    lines = transcript.transcribe(reel.samples, reel.span.start, [[piece] for piece in numbers])
    found: list[Speech] = []
    show: list[Span] = []
    unclear: list[Span] = []
    for piece, number in numbers.items():
        heard = [line for line in lines if line.span.middle in piece and _certain(line)]
        sounds = {line.sound for line in heard}
        if "crowd" in sounds:
            show.append(reel.loud(piece, loud))
            found.append(Speech(show[-1], "crowd", ("asr",), max(line.confidence for line in heard)))
        elif "music" in sounds:
            if number:
                show.append(piece)
                found.append(Speech(piece, "song", ("asr",), max(line.confidence for line in heard)))
        elif heard:
            found += [replace(_line(line), span=span) for line in heard if (span := line.span.clip(piece))]
        else:
            unclear.append(reel.loud(piece, loud))
    # Where most loud pauses belong to a show, so do those whose sound has no clear name.
    if sum(span.duration for span in show) >= sum(span.duration for span in unclear):
        found += [Speech(span, "crowd", ("asr",), CERTAIN) for span in unclear]
    return found


def _goes_on(left: Speech | None, piece: Span) -> bool:
    """Whether music in `piece` is a song that is fading out: it goes on after the last line that is understood."""
    return left is not None and left.kind == "song" and piece.end <= left.span.end + ANSWER


def _certain(line: Line) -> bool:
    """Whether `line` is believed where no voice is heard."""
    if line.sound == "music":
        return line.confidence >= CERTAIN
    return line.sound == "crowd" or len(line.words) >= FEWEST_WORDS


def _breaks(reel: Reel, voices: Sequence[Speech], before: Speech | None, loud: float) -> list[Speech]:
    """The loud pauses between two lines of a song."""
    return [
        Speech(pause, "song", ("vad",), min(left.confidence, right.confidence))
        for left, right, pause in _pauses(reel, voices, before)
        if left and right and left.kind == right.kind == "song"
        if pause.duration <= BREAK and reel.loudness(pause) >= loud
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


def _near(pause: Span, before: bool, after: bool) -> list[Span]:
    """The parts of `pause` within `ANSWER` of a voice before or after it, in pieces of at most `PHRASE`."""
    parts = []
    if before:
        parts.append(Span(pause.start, min(pause.end, pause.start + ANSWER)))
    if after:
        parts.append(Span(max(pause.start, pause.end - ANSWER), pause.end))
    return [piece for part in merge(parts) for piece in transcript.split(part, PHRASE)]


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
