"""The senses: each file turns frames or sound into one kind of observation."""

from __future__ import annotations

from typing import Protocol

import numpy as np

TALLEST = 720  # pixels: what needs detail looks at higher pictures in this height


def detailed(height: int, width: int) -> tuple[int, int]:
    """The (height, width) in which a picture displayed as `height` x `width` is looked at for its details."""
    scale = min(1.0, TALLEST / height)
    return round(height * scale), round(width * scale)


class Perceiver(Protocol):
    """A sense of sight, shown a film's frames in order during the one decoding pass.

    `fps` is how many frames a second it wants (None: every one); `size` the (height, width) it wants them in
    (None: as displayed); `gray` asks for the luma plane alone, (frames, height, width).
    """

    fps: float | None
    size: tuple[int, int] | None
    gray: bool

    def see(self, times: np.ndarray, frames: np.ndarray) -> None:
        """`times` int64 microseconds (frames,); `frames` RGB uint8 (frames, height, width, 3)."""
        ...

    def finish(self) -> None:
        """The film has ended: complete what is held back. Results are then read off the perceiver."""
        ...
