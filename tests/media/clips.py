"""Builds odd clips: every frame carries its number, so that what is shown can be told from when it is shown.

The upper half of a frame is its number in eight bars, the least bit leftmost, white for 1. The lower half is dark
gray on the left and light gray on the right, so that turned and mirrored pictures are found out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

RATE = 25
FRAME = 40_000  # microseconds
X264 = {"vcodec": "libx264", "preset": "ultrafast", "bf": 2, "g": 12, "pix_fmt": "yuv420p"}
X265 = {"vcodec": "libx265", "preset": "ultrafast", "x265-params": "log-level=error"}
VP9 = {"vcodec": "libvpx-vp9", "deadline": "realtime", "cpu-used": 8}
MPEG2 = {"vcodec": "mpeg2video", "bf": 2, "q:v": 3}
MPEG4 = {"vcodec": "mpeg4", "bf": 2, "q:v": 3}

_NUMBER = "if(lt(Y,H/2),if(mod(floor(N/pow(2,floor(X*8/W))),2),235,16),if(lt(X,W/2),80,160))"


def picture(seconds: float = 2, size: tuple[int, int] = (96, 160), rate: int = RATE, **options: Any) -> Any:
    """Numbered frames of `size` (height, width); `options` are ffmpeg's for the input, such as itsoffset."""
    source = f"color=black:s={size[1]}x{size[0]}:r={rate}:d={seconds},format=gray,geq=lum='{_NUMBER}'"
    return ffmpeg.input(source, f="lavfi", **options).video


def beep(
    seconds: float = 2,
    at: float = 1.0,
    layout: str = "mono",
    only: int | None = None,
    rate: int = 48_000,
    **options: Any,
) -> Any:
    """Silence with a quarter second of 1 kHz from `at`, in every channel or in one `only`."""
    tone = f"0.5*sin(2*PI*1000*t)*between(t,{at},{at + 0.25})"
    channels = {"mono": 1, "stereo": 2, "5.1": 6, "7.1": 8}[layout]
    tones = "|".join(tone if only in (None, channel) else "0" for channel in range(channels))
    return ffmpeg.input(f"aevalsrc='{tones}':c={layout}:s={rate}:d={seconds}", f="lavfi", **options).audio


def write(path: Path, *streams: Any, **options: Any) -> Path:
    """Encode `streams` into `path` with ffmpeg's output `options`."""
    _run(ffmpeg.output(*streams, str(path), **options))
    return path


def copy(path: Path, source: Path, chapters: Path | None = None, **options: Any) -> Path:
    """`source` rewritten without encoding; `options` are ffmpeg's for the input, such as display_rotation.

    `chapters` is a file in ffmpeg's own metadata format.
    """
    extra = ["-i", str(chapters), "-map_chapters", "1"] if chapters else []
    _run(ffmpeg.input(str(source), **options).output(str(path), c="copy", map=0), *extra)
    return path


def _run(node: Any, *extra: str) -> None:
    node.global_args("-nostdin", "-v", "error", *extra).run(cmd=get_ffmpeg_exe(), overwrite_output=True)


def number(frame: np.ndarray) -> int:
    """The number in a frame, gray or RGB; AssertionError where it is not upright."""
    gray = frame if frame.ndim == 2 else frame.mean(axis=2)
    height, width = gray.shape
    left, right = np.split(gray[3 * height // 4], [width // 2])
    assert left[width // 8] + 40 < right[width // 8], "the picture is mirrored or upside down"
    bars = gray[height // 4, [(2 * bit + 1) * width // 16 for bit in range(8)]]
    assert ((bars < 70) | (bars > 185)).all(), f"bars cannot be read: {bars}"
    return int(sum(int(bar > 128) << bit for bit, bar in enumerate(bars)))


def damage(path: Path, source: Path, begin: float, end: float) -> Path:
    """`source` with the bytes between two fractions of its length overwritten by zeros."""
    content = bytearray(source.read_bytes())
    first, last = int(len(content) * begin), int(len(content) * end)
    content[first:last] = bytes(last - first)
    path.write_bytes(content)
    return path


class Watcher:
    """A perceiver that keeps what it was shown."""

    def __init__(
        self, fps: float | None = None, size: tuple[int, int] | None = None, gray: bool = False
    ) -> None:
        self.fps, self.size, self.gray = fps, size, gray
        self.times: list[int] = []
        self.frames: list[np.ndarray] = []

    def see(self, times: np.ndarray, frames: np.ndarray) -> None:
        assert times.dtype == np.int64 and frames.dtype == np.uint8 and len(times) == len(frames) > 0
        self.times.extend(times.tolist())
        self.frames.extend(frames)

    def finish(self) -> None: ...

    @property
    def numbers(self) -> list[int]:
        return [number(frame) for frame in self.frames]
