"""What the sound encoder sees: log-mel spectrograms, each with mean 0 and deviation 1."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

from avmodels.speed_coaug.config import Sound


def log_mel(waves: Tensor, how: Sound) -> Tensor:
    """ln(mel power + floor): waves (..., n) float32 -> (..., bands, 1 + n // hop)."""
    # Half precision would lose what lies 40 dB below the peaks.
    with torch.autocast(waves.device.type, enabled=False):
        return (mel_spectrogram(how, waves.device)(waves.float()) + how.floor).log()


def normalise(mel: Tensor) -> Tensor:
    """Every spectrogram of mel (..., bands, frames) less its mean, over its deviation."""
    deviation = mel.std((-2, -1), correction=0, keepdim=True)
    return (mel - mel.mean((-2, -1), keepdim=True)) / (deviation + 1e-5)


@cache
def mel_spectrogram(how: Sound, device: torch.device) -> MelSpectrogram:
    """Power in HTK mel bands: periodic Hann window, centred with reflection, triangles of height 1."""
    return MelSpectrogram(how.rate, how.n_fft, how.window, how.hop, how.low, how.high, n_mels=how.bands).to(
        device
    )
