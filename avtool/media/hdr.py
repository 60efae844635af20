"""High dynamic range to standard: what a viewer with an ordinary screen would see, for models trained on that.

The curve: PQ (SMPTE ST 2084) or HLG (ARIB STD-B67, BT.2100) to light, BT.2020 to BT.709 primaries, diffuse white
at 203 cd/m2 (BT.2408), each channel kept up to half of that and rolled off above by the extended Reinhard curve
with its white at 1000 cd/m2, and the sRGB transfer.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np

_WHITE = 203.0  # cd/m2 of diffuse white, BT.2408
_PEAK = 1000.0 / _WHITE  # the brightest light told apart, in diffuse whites
_KNEE = 0.5  # light up to which nothing is changed, in diffuse whites
_LEVELS = 1024  # of the 10-bit signal
_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)  # BT.2087


def to_sdr(rgb: np.ndarray, transfer: Literal["PQ", "HLG"]) -> np.ndarray:
    """BT.2020 RGB uint16 (..., 3) over the full 16 bits to sRGB uint8 of the same shape."""
    light = _light(transfer)[rgb >> 6] @ _BT2020_TO_BT709.T
    steps = np.sqrt(np.clip(light, 0, _PEAK) / _PEAK) * (_LEVELS - 1)
    return _screen()[steps.astype(np.uint16)]


@cache
def _light(transfer: Literal["PQ", "HLG"]) -> np.ndarray:
    """Light in diffuse whites for each 10-bit signal value."""
    signal = np.linspace(0, 1, _LEVELS)
    if transfer == "PQ":
        power = signal ** (1 / 78.84375)
        nits = 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (
            1 / 0.1593017578125
        )
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        nits = 1000 * scene**1.2  # the system gamma of a 1000 cd/m2 screen, applied per channel
    return (nits / _WHITE).astype(np.float32)


@cache
def _screen() -> np.ndarray:
    """sRGB values of light in [0, peak], at steps even in its square root."""
    light = np.linspace(0, 1, _LEVELS) ** 2 * _PEAK
    above = np.maximum(light - _KNEE, 0) / (1 - _KNEE)
    peak = (_PEAK - _KNEE) / (1 - _KNEE)
    mapped = np.minimum(light, _KNEE) + (1 - _KNEE) * above * (1 + above / peak**2) / (1 + above)
    encoded = np.where(mapped <= 0.0031308, 12.92 * mapped, 1.055 * mapped ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)
