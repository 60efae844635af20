"""A voice for tests that are about time: a tone as long as its text, written as any engine writes it."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avtool.tracks.engines import Engine
from avtool.tracks.voice import Voice

RATE = 22_050
WORD = 0.36  # seconds of a word at 200 words a minute: a little slower than it says of itself


def tones(texts: Sequence[str], rate: float, folder: Path) -> list[Path]:
    """One WAV file a text: 300 Hz, longer for more words."""
    paths = []
    for number, text in enumerate(texts):
        seconds = WORD * len(text.split()) * 200 / rate
        sound = 0.5 * np.sin(2 * np.pi * 300 * np.arange(int(seconds * RATE)) / RATE)
        path = folder / f"{number}.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((sound * 32767).astype("<i2").tobytes())
        paths.append(path)
    return paths


def toned(folder: Path) -> Voice:
    return Voice(Engine("tones", "1", "en", tones), folder)
