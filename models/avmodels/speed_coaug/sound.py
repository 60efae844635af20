"""The sound of a video, cut to the sample at moments told from its first picture on."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from avmodels.data.clips import UnreadableError

# A peak below this is silence.
SILENCE = 1e-4
# A decoder that begins in mid-stream needs some packets to tune in.
RUN_UP = 0.2


class SilentError(UnreadableError):
    """A video has no sound, or is silent where it is wanted."""


def read_sound(path: Path, start: float, count: int, rate: int) -> np.ndarray:
    """`count` samples of mono sound at `rate`, from `start` seconds after the first picture: (count,) float32.

    Every number of channels is mixed down, every rate resampled, and silence put before and after the sound.
    Raises SilentError where there is none, UnreadableError for a broken file.
    """
    try:
        with av.open(str(path)) as file:
            if not file.streams.audio:
                raise SilentError(f"{path} has no sound")
            wave, began = decode(file, start + first_picture(file), count / rate, rate)
    except (FFmpegError, ValueError) as error:  # ValueError: the sound changes its form midway
        raise UnreadableError(f"the sound of {path} cannot be read") from error
    shift = round(began * rate)
    out = np.zeros(count, np.float32)
    into, out_of = max(shift, 0), max(-shift, 0)
    piece = wave[out_of : out_of + max(count - into, 0)]
    out[into : into + len(piece)] = piece
    if np.abs(out).max(initial=0) < SILENCE:
        raise SilentError(f"{path} is silent from {start:.1f} to {start + count / rate:.1f} s")
    return out


def first_picture(file: InputContainer) -> float:
    """When the first picture is shown, in seconds on the file's clock; the start of a file without pictures."""
    for stream in file.streams.video:
        if stream.start_time is not None and stream.time_base is not None:
            return float(stream.start_time * stream.time_base)
    return (file.start_time or 0) / av.time_base


def decode(file: InputContainer, start: float, seconds: float, rate: int) -> tuple[np.ndarray, float]:
    """Mono sound at `rate` that covers `seconds` from `start` on the file's clock, as far as there is any, and
    how many seconds after `start` it begins (negative: before)."""
    stream = file.streams.audio[0]
    file.seek(int(max(start - RUN_UP, 0) * av.time_base))
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    pieces, began = [], 0.0
    for frame in file.decode(stream):
        if frame.time is None or frame.time + frame.samples / frame.sample_rate <= start - RUN_UP / 2:
            continue
        if frame.time >= start + seconds:
            break
        began = began if pieces else frame.time - start
        pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
    if pieces:
        pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32), began
