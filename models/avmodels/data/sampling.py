"""Which frames of a video make a clip: n frames, `stride` apart, of a video of `length` frames.

All frame numbers count from 0 at the file's own rate. Random rules draw from numpy's global generator.
"""

from __future__ import annotations

import numpy as np


def dense(length: int, n: int, stride: int, random: bool) -> np.ndarray:
    """n frames spread over a stretch of n * stride frames, drawn at `random` or else the middle one.

    The spread includes the stretch's end, so frames lie a little more than `stride` apart. A shorter video
    repeats its last frame.
    """
    stretch = n * stride
    if length <= stretch:
        spread = np.linspace(0, length, length // stride)
        padded = np.concatenate([spread, np.full(n - length // stride, length)])
        return np.clip(padded, 0, length - 1).astype(np.int64)
    end = np.random.randint(stretch, length) if random else (stretch + length) // 2
    return np.clip(np.linspace(end - stretch, end, n), end - stretch, end - 1).astype(np.int64)


def dense_views(length: int, n: int, stride: int, segments: int) -> np.ndarray:
    """`segments` clips of n frames exactly `stride` apart, spread over the video: (segments, n).

    One segment is the middle one.
    """
    base = np.arange(0, length, stride)
    base = np.pad(base, (0, max(n - len(base), 0)), mode="edge")
    spare = len(base) - n
    starts = (
        [spare // 2] if segments == 1 else [int(clip * (spare / (segments - 1))) for clip in range(segments)]
    )
    return np.stack([base[start : start + n] for start in starts])


def sparse(length: int, n: int, random: bool) -> np.ndarray:
    """One frame of each of n equal parts: a `random` one, or else the middle one."""
    if length < n:
        return np.concatenate([np.zeros(n - length, np.int64), np.arange(length)])
    part = length // n
    offsets = np.random.randint(part, size=n) if random else part // 2
    return np.arange(n) * part + offsets


def sparse_views(length: int, n: int, segments: int) -> np.ndarray:
    """`segments` clips whose frames interleave evenly over the whole video: (segments, n)."""
    tick = length / n
    every = sorted(int(segment * tick / segments + tick * x) for segment in range(segments) for x in range(n))
    return np.array(every).reshape(n, segments).T


def pretraining(length: int, n: int, stride: int) -> np.ndarray:
    """n frames `stride` apart from a random start; a short video stays on its last reachable frame."""
    starts = length - n * stride + 1
    start = np.random.randint(starts) if starts > 0 else 0
    reachable = max((length - 2 - start) // stride, 0)
    return start + stride * np.minimum(np.arange(n), reachable)


def windows(length: int, n: int, stride: int) -> np.ndarray:
    """The first frames of all windows of n consecutive frames, `stride` apart; none in a shorter video."""
    return np.arange(0, length - n + 1, stride)
