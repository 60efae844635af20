"""The described mix: programme stepping back, narration on top, at the loudness asked for and measured so."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import ffmpeg
import numpy as np

from avtool.timeline import SECOND
from avtool.tracks import loudness, sound
from avtool.tracks.ducking import Duck, curve, gains
from avtool.tracks.loudness import HOP, REFERENCE, WINDOW, Levels, Loudness, Target
from avtool.tracks.sound import BLOCK, RATE, samples
from avtool.tracks.voice import Clip
from avtool.workspace import replacing

log = logging.getLogger(__name__)

SIDES = 0.5  # of the depth, in a surround mix: music and room stay nearer than the centre's voices
TRIES = 3
CLOSE = 0.3  # LU beside the target that are not worth another writing
BITRATE = {"mono": "96k", "stereo": "192k", "5.1": "384k", "7.1": "512k"}
NARRATION_PEAK = -1.0  # dBTP
LOSSLESS = {"format": "flac", "acodec": "flac", "sample_fmt": "s16"}


@dataclass(frozen=True, slots=True)
class Measured:
    """A file that was written, as measured afterwards: loudness in LUFS, true peak in dBTP."""

    path: Path
    loudness: float
    peak: float
    target: Target

    @property
    def meets(self) -> bool:
        return (
            abs(self.loudness - self.target.loudness) <= self.target.tolerance
            and self.peak <= self.target.peak
        )


def narration(length: int, clips: Sequence[Clip], ducks: Sequence[Duck], level: float, path: Path) -> None:
    """Write the narration alone (FLAC, mono, `length` microseconds), `level` LUFS, for a receiver or an editor."""
    voice = (
        _voice(first, min(BLOCK, samples(length) - first), clips, ducks, level)[:, None]
        for first in range(0, samples(length), BLOCK)
    )
    with replacing(path) as beside:
        sound.encode(voice, "mono", beside, NARRATION_PEAK, LOSSLESS)


def described(
    sounding: Callable[[], Iterator[np.ndarray]],
    layout: str,
    clips: Sequence[Clip],
    ducks: Sequence[Duck],
    levels: Levels,
    path: Path,
) -> Measured:
    """Write the described mix (AAC) and measure it; where it misses its target it is written again.

    `sounding` gives the programme's sound from its beginning in blocks (samples, channels); `clips` are the ducks'
    own.
    """
    target = levels.target
    gain = target.loudness - levels.value(_expected(levels, ducks))
    ceiling = target.peak - 0.3  # what encoding adds to a peak, usually
    codec = {"format": "ipod", "acodec": "aac", "audio_bitrate": BITRATE[layout]}
    with replacing(path) as beside:
        tries = TRIES
        while True:
            tries -= 1
            blocks = _mixed(sounding(), layout, clips, ducks, levels.narration, gain)
            sound.encode(blocks, layout, beside, ceiling, codec)
            found = loudness.measure(ffmpeg.input(f"file:{beside}").audio, f"{path} cannot be read back")
            result = Measured(path, levels.value(found), found.peak, target)
            off, over = target.loudness - result.loudness, max(0.0, result.peak - target.peak)
            if not tries or (abs(off) <= min(CLOSE, target.tolerance) and not over):
                break
            gain, ceiling = gain + off, ceiling - over
    if not result.meets:
        log.warning(
            "%s is at %.1f LUFS and %.1f dBTP; %s asks for %g and at most %g",
            path, result.loudness, result.peak, target.source, target.loudness, target.peak,
        )  # fmt: skip
    return result


def _expected(levels: Levels, ducks: Sequence[Duck]) -> Loudness:
    """The mix's loudness as the programme's and the narration's let expect it."""
    programme = levels.programme.momentary
    middles = (np.arange(len(programme)) + 1) * HOP - WINDOW // 2
    mixed = 10 ** ((programme + gains(curve(ducks), middles)) / 10)
    for duck in ducks:
        inside = (middles >= duck.span.start) & (middles < duck.span.end)
        mixed[inside] += 10 ** ((levels.narration + duck.gain) / 10)
    momentary = 10 * np.log10(mixed + 1e-12)
    return Loudness(loudness.integrated(momentary), 0.0, momentary)


def _mixed(
    blocks: Iterable[np.ndarray],
    layout: str,
    clips: Sequence[Clip],
    ducks: Sequence[Duck],
    level: float,
    gain: float,
) -> Iterator[np.ndarray]:
    """`blocks` (samples, channels) ducked, with the narration on top, the whole `gain` dB louder."""
    points, whole, first = curve(ducks), np.float32(10 ** (gain / 20)), 0
    for block in blocks:
        voice = _voice(first, len(block), clips, ducks, level)
        depth = gains(points, (first + np.arange(len(block))) * (SECOND / RATE)).astype(np.float32)
        first += len(block)
        yield _layered(block, voice, depth, layout) * whole


def _layered(block: np.ndarray, voice: np.ndarray, depth: np.ndarray, layout: str) -> np.ndarray:
    """One block's programme, `depth` (samples,) dB up, under `voice` (samples,)."""
    if layout in ("mono", "stereo"):
        # The same sound in two channels is 3 dB louder than in one.
        return block * 10 ** (depth[:, None] / 20) + voice[:, None] * (1 if layout == "mono" else 2**-0.5)
    ducked = block * 10 ** (depth[:, None] * SIDES / 20)
    ducked[:, sound.CENTRE] = block[:, sound.CENTRE] * 10 ** (depth / 20) + voice
    ducked[:, sound.BASS] = block[:, sound.BASS]
    return ducked


def _voice(first: int, size: int, clips: Sequence[Clip], ducks: Sequence[Duck], level: float) -> np.ndarray:
    """The narration's samples from `first` on, float32 (size,)."""
    block = np.zeros(size, np.float32)
    earliest = bisect_left(ducks, first, key=lambda duck: samples(duck.span.end) + 1)
    for clip, duck in zip(clips[earliest:], ducks[earliest:], strict=True):
        start = samples(duck.span.start) - first
        if start >= size:
            break
        heard = _read(clip)[max(0, -start) :][: size - max(0, start)]
        at = max(0, start)
        block[at : at + len(heard)] += heard * np.float32(10 ** ((level - REFERENCE + duck.gain) / 20))
    return block


@lru_cache(maxsize=4)  # a clip reaches over a few blocks
def _read(clip: Clip) -> np.ndarray:
    return clip.read()
