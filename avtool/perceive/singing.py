"""Where somebody sings over music: the voice taken out of the mix, then heard by Silero VAD.

Silero knows speech; over a band it hears nobody. A voice differs from what plays with it: instruments hold
their pitch for longer, drums have none. Two separations into harmonic and percussive sound with windows of
unlike length (Tachibana et al., "Singing voice enhancement in monaural music signals based on two-stage
harmonic/percussive sound separation", IEEE/ACM TASLP 22(1), 2014) leave the voice, and Silero hears that.
"""

from __future__ import annotations

import numpy as np

from avtool.perceive import voice_activity
from avtool.perceive.voice_activity import FRAME, FRAME_US, RATE
from avtool.timeline import SECOND, Span

LONG, SHORT = 8192, 1024  # samples of a window: half a second, in which a voice moves, and 64 ms
BAND = 200, 6000  # Hz that a voice is looked for in
LEVEL = 0.7  # RMS of the voice as given to Silero, which takes quiet sound over music for no voice
PASSAGE = 8 * RATE  # samples that the RMS is taken over: a song's fade-out is sung as well
FADED = 0.003  # of the mean power of all, what is left alone: 25 dB
RESTART = 512 * FRAME  # samples, 16 s: after an instrumental Silero may stay deaf; a fresh start hears again
AROUND = 2 * SECOND  # a line is sung for seconds: probabilities are averaged over this long
SUNG = 0.15  # mean probability from which somebody sings


def probabilities(voice: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """How likely somebody sings at each 32 ms frame: float32 (frames,).

    `voice` (n,) is what `separate` took out of the mix, `heard` (frames,) what Silero makes of the whole of it.
    """
    from scipy.ndimage import uniform_filter1d

    pieces = np.pad(voice, (0, -len(voice) % RESTART)).reshape(-1, RESTART)
    fresh = voice_activity.probabilities(pieces).reshape(-1)[: len(heard)]
    return uniform_filter1d(np.maximum(heard, fresh), AROUND // FRAME_US, mode="constant")


def spans(probability: np.ndarray, start: int) -> list[Span]:
    """Spans of singing in `probability` (frames,), whose first frame begins at `start` microseconds."""
    return voice_activity.spans(probability, start, onset=SUNG, offset=SUNG / 3)


def separate(samples: np.ndarray) -> np.ndarray:
    """The voice in `samples` (n,), 16 kHz mono, brought to RMS `LEVEL` throughout; silence stays silence."""
    from scipy.ndimage import uniform_filter1d

    moving = _keep(samples, LONG, steady=False, times=3, pitches=31)
    voice = _keep(moving, SHORT, steady=True, times=3, pitches=9)
    power = uniform_filter1d(voice**2, PASSAGE)
    return voice * (LEVEL / np.sqrt(power + FADED * power.mean() + 1e-10))


def _keep(samples: np.ndarray, window: int, steady: bool, times: int, pitches: int) -> np.ndarray:
    """The part of `samples` that is steady in pitch over `window` samples, or the part that is not.

    A Wiener mask of two smoothed spectrograms, one over `times` frames and one over `pitches` bins
    (FitzGerald, DAFx 2010; smoothed by the geometric mean, a fiftieth of the median's time).
    """
    from scipy.ndimage import uniform_filter1d
    from scipy.signal import istft, stft

    padded = np.pad(samples, (0, max(0, window - len(samples))))
    spectrum = stft(padded, RATE, nperseg=window)[2]
    low, high = (frequency * window // RATE for frequency in BAND)
    loudness = np.log(np.abs(spectrum[low:high]) + 1e-7)
    harmonic = uniform_filter1d(loudness, times, axis=1)
    percussive = uniform_filter1d(loudness, pitches, axis=0)
    # power ratio h^2 / (h^2 + p^2) of magnitudes in logarithms
    share = 1 / (1 + np.exp(2 * (percussive - harmonic)))
    spectrum[:low] = spectrum[high:] = 0
    spectrum[low:high] *= share if steady else 1 - share
    return istft(spectrum, RATE, nperseg=window)[1][: len(samples)].astype(np.float32)
