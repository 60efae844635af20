"""The representations of a film's frames: a space in which like pictures lie near one another."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image

from avmodels.data.clips import Video
from avmodels.errors import ConfigError
from avmodels.snclr import views
from avmodels.snclr.encoder import Encoder

# Frames the network takes at once.
BATCH = 32


@torch.inference_mode()
def extract(encoder: Encoder, side: int, film: Path, out: Path, here: Accelerator) -> int:
    """Writes `features` (n, width), float32, and `seconds` (n,) of the film's frames, one for each second, to an
    .npz file, which appears when it is whole; returns n.

    Raises ConfigError for another ending, DataError for a film that cannot be read.
    """
    if out.suffix != ".npz":
        raise ConfigError(f"features are written to .npz, not to {out.name}")
    film_frames = Video(film)
    begins = film_frames.times()[:, 0]
    numbers = np.unique(np.searchsorted(begins, np.arange(begins[0], begins[-1] + 1e-6)))
    transform, rows = views.middle(side), []
    for first in range(0, len(numbers), BATCH):
        frames = film_frames.frames(numbers[first : first + BATCH])
        pictures = torch.stack([transform(Image.fromarray(frame)) for frame in frames])
        with here.autocast():
            rows.append(encoder.represent(pictures.to(here.device)).float().cpu().numpy())
    beside = out.with_name(f"{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    with beside.open("wb") as file:
        np.savez(file, features=np.concatenate(rows), seconds=begins[numbers].astype(np.float64))
    os.replace(beside, out)
    return len(numbers)
