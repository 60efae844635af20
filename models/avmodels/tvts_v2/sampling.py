"""Which frames of a video make a clip, and which patches of them are kept."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np

from avmodels.data.clips import UnreadableError


def bounds(length: int, frames: int) -> np.ndarray:
    """The limits of equal intervals of a video of `length` frames, one for each frame of the clip (fewer where
    the video is shorter): (intervals + 1,) int64."""
    return np.linspace(0, length, min(frames, length) + 1).astype(np.int64)


def middle(length: int, frames: int) -> np.ndarray:
    """The frame in the middle of each interval."""
    limits = bounds(length, frames)
    return (limits[:-1] + limits[1:] - 1) // 2


def drawn(length: int, frames: int) -> np.ndarray:
    """A random frame of each interval, never its last, as published.

    Raises UnreadableError where an interval has one frame only: a video of fewer than twice `frames`.
    """
    limits = bounds(length, frames)
    if np.diff(limits).min(initial=2) < 2:
        raise UnreadableError(f"{length} frames are too few to draw {frames} from")
    return np.array([random.randrange(low, high - 1) for low, high in pairwise(limits)])


def spread(length: int, frames: int) -> np.ndarray:
    """Frames from the first to the last, as the published feature extractor takes them."""
    return np.linspace(0, length - 1, frames).astype(np.int64)


def kept_count(patches: int, mask: float) -> int:
    """How many patches of a frame are kept; floating point decides, 256 and 0.7 give 76."""
    return int(patches * (1 - mask))


def keep(patches: int, mask: float) -> np.ndarray:
    """The patches kept in every frame, in random order (numpy's global generator): (kept,) int64."""
    order = np.arange(patches)
    np.random.shuffle(order)
    return order[: kept_count(patches, mask)]
