"""Frames of video files and of folders of pictures, by number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from avmodels.errors import DataError

# A file is read a few seconds at a time when all of its frames are wanted.
BLOCK = 64


class UnreadableError(DataError):
    """One clip cannot be read; others may."""


class Video:
    """A video file read by decord: frame-exact, RGB, at the size it was coded.

    Raises UnreadableError, here or when frames are taken, for a file that is missing or broken.
    """

    def __init__(self, path: Path):
        from decord import DECORDError, VideoReader, cpu, logging

        logging.set_level(logging.QUIET)  # what is wrong is told by the error
        self.path = path
        self._fault = DECORDError
        if not path.is_file():
            raise UnreadableError(f"there is no video at {path}")
        try:
            self._reader = VideoReader(str(path), ctx=cpu(0), num_threads=1)
        except (DECORDError, RuntimeError) as error:
            raise UnreadableError(f"{path} cannot be opened as a video") from error
        if not len(self._reader):
            raise UnreadableError(f"{path} has no frames")

    def __len__(self) -> int:
        return len(self._reader)

    @property
    def frame_rate(self) -> float:
        """Frames a second, on average."""
        return float(self._reader.get_avg_fps())

    def times(self) -> np.ndarray:
        """When each frame is shown, in seconds, (frames, 2): from, until."""
        return self._reader.get_frame_timestamp(np.arange(len(self)))

    def frames(self, numbers: np.ndarray) -> np.ndarray:
        """The frames of those numbers, (n, H, W, 3) uint8; each is decoded once however often it is named."""
        distinct, places = np.unique(numbers, return_inverse=True)
        try:
            return self._reader.get_batch(distinct.tolist()).asnumpy()[places]
        except (self._fault, RuntimeError) as error:
            raise UnreadableError(f"{self.path} breaks off or is damaged") from error

    def blocks(self) -> Iterator[np.ndarray]:
        """All frames in order, at most 64 at a time."""
        for start in range(0, len(self), BLOCK):
            yield self.frames(np.arange(start, min(start + BLOCK, len(self))))


class Pictures:
    """A folder of numbered pictures, `pattern` formatting their numbers from `first` on.

    Raises UnreadableError when frames are taken, for a picture that is missing or broken.
    """

    def __init__(self, folder: Path, count: int, pattern: str, first: int):
        self.folder = folder
        self._count = count
        self._pattern = pattern
        self._first = first

    def __len__(self) -> int:
        return self._count

    def frames(self, numbers: np.ndarray) -> np.ndarray:
        """The pictures of those numbers, from 0, (n, H, W, 3) uint8; each is read once."""
        distinct, places = np.unique(numbers, return_inverse=True)
        return np.stack([self._picture(int(number)) for number in distinct])[places]

    def _picture(self, number: int) -> np.ndarray:
        path = self.folder / self._pattern.format(self._first + number)
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise UnreadableError(f"there is no readable picture at {path}")
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
