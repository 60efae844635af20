"""The features of a whole film's windows, in one pass over the film."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from avmodels.data import sampling
from avmodels.data.clips import Video
from avmodels.errors import ConfigError, DataError
from avmodels.videomae_v2.config import Features
from avmodels.videomae_v2.data import window_pixels
from avmodels.videomae_v2.model import Classifier

# Windows the network takes at once.
BATCH = 4


def windows(video: Video, starts: np.ndarray, config: Features) -> Iterator[Tensor]:
    """The clip (3, T, H, W) of every window; each frame is decoded and resized once, however many share it."""
    n, side = config.model.frames, config.model.side
    held, first = torch.empty(3, 0, side, side), 0
    waiting = iter(starts.tolist())
    start = next(waiting, None)
    for block in video.blocks():
        held = torch.cat([held, window_pixels(block, side, config.data.normalise)], dim=1)
        while start is not None and start + n <= first + held.shape[1]:
            yield held[:, start - first : start - first + n]
            start = next(waiting, None)
        if start is None:
            return
        done = min(start - first, held.shape[1])
        held, first = held[:, done:], first + done


@torch.inference_mode()
def extract(model: Classifier, config: Features, film: Path, out: Path, here: Accelerator) -> int:
    """Writes the features (windows, width), float32, of a film to `out`; returns the number of windows.

    `.npy` holds them alone; `.h5` also the times of each window, in seconds from the file's start, and the
    frame it begins with. The file appears when it is whole. Raises ConfigError for another ending, DataError
    for a film that cannot be read or is shorter than a window.
    """
    write = WRITERS.get(out.suffix)
    if write is None:
        raise ConfigError(f"features are written to .npy or .h5, not to {out.name}")
    video = Video(film)
    n = config.model.frames
    starts = sampling.windows(len(video), n, config.data.stride)
    if not len(starts):
        raise DataError(f"{film} has {len(video)} frames, fewer than a window of {n}")
    shown = video.times()
    times = np.stack([shown[starts, 0], shown[starts + n - 1, 1]], axis=1)
    beside = out.with_name(f"{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    clips = windows(video, starts, config)
    width = model.head.in_features
    try:
        with write(beside, starts, times, width) as put:
            for first in range(0, len(starts), BATCH):
                batch = torch.stack(list(itertools.islice(clips, BATCH))).to(here.device)
                with here.autocast():
                    put(first, model.features(batch).float().cpu().numpy())
        os.replace(beside, out)
    finally:
        beside.unlink(missing_ok=True)
    return len(starts)


Put = Callable[[int, np.ndarray], None]


@contextlib.contextmanager
def numpy_file(path: Path, starts: np.ndarray, times: np.ndarray, width: int) -> Iterator[Put]:
    """Puts rows into a .npy file."""
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (len(starts), width))

    def put(first: int, values: np.ndarray) -> None:
        rows[first : first + len(values)] = values

    yield put
    rows.flush()


@contextlib.contextmanager
def hdf5_file(path: Path, starts: np.ndarray, times: np.ndarray, width: int) -> Iterator[Put]:
    """Puts rows into the `features` of an .h5 file, beside `seconds` (windows, 2) and `first_frame`."""
    import h5py

    with h5py.File(path, "w") as file:
        file["seconds"] = times
        file["first_frame"] = starts
        rows = file.create_dataset("features", (len(starts), width), np.float32)

        def put(first: int, values: np.ndarray) -> None:
            rows[first : first + len(values)] = values

        yield put


WRITERS = {".npy": numpy_file, ".h5": hdf5_file}
