"""Frames as a network reads them: features at the rate it was trained on, on disk as soon as they are there.

A film of two hours has gigabytes of them: they are appended to an HDF5 file, and read back in slices.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from avtool.perceive import detailed
from avtool.timeline import Span

if TYPE_CHECKING:
    from avmodels.uni_ad.frames import Extractor


class Frames:
    """The perceiver of features of pictures `height` x `width` as displayed, into the file at `path`."""

    gray: bool = False

    def __init__(self, height: int, width: int, extractor: Extractor, path: Path) -> None:
        self.fps: float | None = extractor.fps
        self.size: tuple[int, int] | None = detailed(height, width)
        self._extractor = extractor
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = h5py.File(path, "w")
        shape = extractor.shape
        # A mapping computes in float32 whatever it reads: half the place does.
        self._rows = self._file.create_dataset(
            "features",
            (0, *shape),
            "float16",
            maxshape=(None, *shape),
            chunks=(1 + 4095 // shape[-1], *shape),
        )
        self._times = self._file.create_dataset("times", (0,), "int64", maxshape=(None,), chunks=(1024,))

    def see(self, times: np.ndarray, frames: np.ndarray) -> None:
        before, after = len(self._times), len(self._times) + len(times)
        self._times.resize(after, axis=0)
        self._rows.resize(after, axis=0)
        self._times[before:] = times
        self._rows[before:] = self._extractor.read(frames)

    def finish(self) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class Features:
    """A film's features in the file at `path`: `times` (frames,) in microseconds."""

    path: Path
    times: np.ndarray

    def of(self, span: Span) -> np.ndarray:
        """The features (frames, ...) float32 of the frames in `span`."""
        first, last = np.searchsorted(self.times, (span.start, span.end))
        return self.at(slice(int(first), int(last)))

    def count(self, span: Span) -> int:
        """How many frames there are in `span`."""
        first, last = np.searchsorted(self.times, (span.start, span.end))
        return int(last - first)

    def at(self, part: slice) -> np.ndarray:
        """Some frames' features, float32, read without the rest."""
        with h5py.File(self.path) as file:
            rows = file["features"]
            assert isinstance(rows, h5py.Dataset)
            return np.asarray(rows[part], np.float32)


def read(path: Path) -> Features:
    """The features in a file that Frames wrote."""
    with h5py.File(path) as file:
        times = file["times"]
        assert isinstance(times, h5py.Dataset)
        return Features(path, times[:])
