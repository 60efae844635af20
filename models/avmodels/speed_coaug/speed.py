"""A clip played at a speed: which frames it shows, and how its sound is resampled.

Speeds are exact fractions, for 22050 * 0.5 * 1.5 in floating point may be a sample short. Pitch moves with speed,
as on a tape.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import floor

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import Resample


def frame_numbers(frames: int, start: int, length: int, stride: int, speed: Fraction) -> np.ndarray:
    """The `length` frames of a clip, (length,) int64, from `start` of a video of so many `frames`.

    At speed 1 every `stride`-th frame is shown. A video that runs out begins anew; a slow one repeats frames.
    """
    return np.array([(start + floor(k * speed * stride)) % frames for k in range(length)])


def span(length: int, stride: int, speed: Fraction) -> int:
    """How many frames of the video a clip reaches over."""
    return floor((length - 1) * speed * stride) + 1


def sample_count(seconds: Fraction, rate: int, speed: Fraction = Fraction(1)) -> int:
    """How many samples of the source make `seconds` of sound played at a speed; a half counts as one."""
    return floor(seconds * rate * speed + Fraction(1, 2))


def play(wave: Tensor, speed: Fraction, length: int) -> Tensor:
    """wave (..., n) at a speed, band-limited, cut or filled with silence to (..., length)."""
    played = resampler(speed)(wave)[..., :length]
    return torch.nn.functional.pad(played, (0, length - played.shape[-1]))


def play_linearly(wave: Tensor, speed: Fraction, length: int) -> Tensor:
    """wave (..., n) at a speed, (..., length), on straight lines between the samples: rough, but easy to check."""
    last = wave.shape[-1] - 1
    places = (torch.arange(length, dtype=torch.float64) * float(speed)).clamp(max=last)
    before = places.long()
    return torch.lerp(
        wave[..., before].double(), wave[..., (before + 1).clamp(max=last)].double(), places - before
    ).to(wave.dtype)


@cache
def resampler(speed: Fraction) -> Resample:
    """The windowed-sinc filter of a speed; its kernel is made once."""
    return Resample(speed.numerator, speed.denominator)
