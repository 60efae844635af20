"""What a description must not cover: voices heard, words recognised, and given subtitles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avtool.perceive import transcript, voice_activity
from avtool.perceive.voice_activity import FRAME, FRAME_US, RATE
from avtool.timeline import SECOND, Span, Speech

if TYPE_CHECKING:
    from avtool.media.probe import Probe

REEL = 120  # seconds of sound held at a time


def listen(
    film: Probe,
    audio_track: int | None = None,
    subtitles: Path | None = None,
    span: Span | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Speech]:
    """All speech of `film` inside `span`, in order; nothing for a film without sound.

    Raises MediaError where the sound cannot be read, UsageError where `subtitles` do not parse, MissingError
    where a weight is not installed.
    """
    if not film.audio:
        return []
    from avtool.media import audio

    whole = span or film.span
    speech: list[Speech] = []
    for start, samples, probability in _reels(audio.blocks(film, audio_track, span)):
        voiced = voice_activity.spans(probability, start)
        lines = transcript.transcribe(samples, voiced, start)
        speech += [_speech(voice, probability, start, lines) for voice in voiced]
        if progress:
            progress(start + len(samples) * SECOND // RATE - whole.start)
    return speech


def _reels(blocks: Iterator[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Blocks of sound joined into reels of about two minutes that end in a pause.

    Yields the time of the first sample, the samples, and the probability of speech of every frame.
    """
    start, parts, held = None, [], 0
    for time, samples in blocks:
        start = time if start is None else start
        parts.append(samples)
        held += len(samples)
        if held < REEL * RATE:
            continue
        sound = np.concatenate(parts)
        probability = voice_activity.probabilities(sound)
        cut = _pause(probability)
        yield start, sound[: cut * FRAME], probability[:cut]
        start += cut * FRAME_US
        parts, held = [sound[cut * FRAME :]], held - cut * FRAME
    if start is not None and held:
        sound = np.concatenate(parts)
        yield start, sound, voice_activity.probabilities(sound)


def _pause(probability: np.ndarray) -> int:
    """The frame in the last quarter around which it is quietest for a second."""
    width = SECOND // FRAME_US
    first = len(probability) * 3 // 4
    around = np.convolve(probability, np.ones(width), mode="same")[first:-1]
    return first + int(np.argmin(around))


def _speech(voice: Span, probability: np.ndarray, start: int, lines: list[transcript.Line]) -> Speech:
    frames = slice((voice.start - start) // FRAME_US, (voice.end - start) // FRAME_US)
    words = tuple(word for line in lines for word in line.words if word.span.middle in voice)
    return Speech(
        span=voice,
        kind="dialogue",
        sources=("vad", "asr") if words else ("vad",),
        confidence=float(probability[frames].mean()),
        text=" ".join(word.text for word in words),
        words=words,
        language="en" if words else None,
    )
