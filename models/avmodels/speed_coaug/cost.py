"""Multiply-accumulates of the networks as published, counted from their shapes."""

from __future__ import annotations

from avmodels.speed_coaug.encoders import BLOCKS, STAGES
from avmodels.speed_coaug.model import Size


def sight(size: Size, frames: int, side: int) -> int:
    """R(2+1)D-18 over a clip of `frames` frames of `side` x `side`."""
    half = (side + 1) // 2
    pixels = frames * half**2
    made = pixels * size.stem * (3 * 49 + 3 * size.sight)
    before = size.sight
    for number, times in enumerate(STAGES):
        width = size.sight * times
        for block in range(BLOCKS):
            between = before * width * 27 // (before * 9 + 3 * width)
            if block == 0 and number:
                half, frames_after = (half + 1) // 2, (frames + 1) // 2
                over_space, pixels = frames * half**2, frames_after * half**2
                made += over_space * 9 * before * between + pixels * 3 * between * width
                made += pixels * before * width
                frames = frames_after
            else:
                made += pixels * (9 * before * between + 3 * between * width)
            made += pixels * (9 * width * between + 3 * between * width)
            before = width
    return made


def sound(size: Size, bands: int, frames: int) -> int:
    """ResNet-18 over a spectrogram of bands x frames."""
    high, wide = (bands + 1) // 2, (frames + 1) // 2
    made = high * wide * 49 * size.sound
    high, wide = (high + 1) // 2, (wide + 1) // 2
    before = size.sound
    for number, times in enumerate(STAGES):
        width = size.sound * times
        if number:
            high, wide = (high + 1) // 2, (wide + 1) // 2
            made += high * wide * before * width
        made += high * wide * 9 * (before * width + (2 * BLOCKS - 1) * width**2)
        before = width
    return made


def heads(size: Size) -> int:
    """The ways of both features into the common space."""
    return sum(8 * width * (8 * width + size.embedding) for width in (size.sight, size.sound))
