"""The senses: each file turns frames or sound into one kind of observation."""

from __future__ import annotations

from typing import Protocol

import numpy as np


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
