"""Singing over a band is heard, the band alone is not."""

import json
from pathlib import Path

import numpy as np
import pytest

from avtool.media import audio
from avtool.media.probe import probe
from avtool.perceive import singing, voice_activity
from avtool.timeline import SECOND, Span
from tests.perceive import sounds

TRUTH = json.loads((Path(__file__).parents[1] / "truth" / "music_vocals.json").read_text())


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    """The first two minutes of the music video."""
    film = probe(sounds.music_video())
    return np.concatenate([block for _, block in audio.blocks(film, span=Span(0, 120 * SECOND))])


def sung(sound: np.ndarray) -> np.ndarray:
    voice = singing.separate(sound)
    return singing.probabilities(voice, voice_activity.probabilities(voice[None])[0])


def test_sung_lines_are_heard_and_the_intro_is_not(music: np.ndarray) -> None:
    found = singing.spans(sung(music), 0)
    lines = [line for line in (Span(*pair) for pair in TRUTH["sung"]) if line.end <= 120 * SECOND]
    covered = sum(line.overlap(span) for line in lines for span in found)
    assert covered >= 0.95 * sum(line.duration for line in lines)
    assert not any(span.overlap(Span(*TRUTH["instrumental"])) for span in found)


def test_silero_alone_hears_no_singing(music: np.ndarray) -> None:
    """The reason for taking the voice out of the mix."""
    assert voice_activity.speech(voice_activity.probabilities(music[None])[0]) == []


@pytest.mark.parametrize("kind", ["white", "wind", "engine", "street", "tone", "applause"])
def test_noise_does_not_sing(kind: str) -> None:
    assert singing.spans(sung(sounds.noise(kind, 30 * sounds.RATE) * 0.1), 0) == []


@pytest.mark.parametrize("length", [1, 511, 1024, 20_000])
def test_any_length_and_silence(length: int) -> None:
    silence = np.zeros(length, np.float32)
    assert not singing.separate(silence).any()
    assert len(sung(silence)) == -(-length // voice_activity.FRAME)
