"""Image networks in use: the vectors of a film's frames or of pictures, and what a classifier calls them."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.models import EfficientNet_B0_Weights

from avmodels.data import images
from avmodels.data.clips import UnreadableError, Video
from avmodels.data.images import Picture
from avmodels.engine import weights
from avmodels.errors import ConfigError, DataError

# Pictures a network takes at once.
BATCH = 32
# Frames a second of the videos that networks of clips learned from.
RATE = 30.0
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Encoder:
    """Turns pictures into vectors: `look` an RGB picture into (3, side, side), `encode` a batch of them into
    (B, width)."""

    look: Callable[[Image.Image], Tensor]
    encode: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Recogniser:
    """A classifier of clips of `frames` pictures, `fps` a second.

    `look` turns a clip (frames, H, W, 3), RGB uint8, into what `scores` takes a batch of, to give logits
    (B, len(labels)).
    """

    labels: tuple[str, ...]
    frames: int
    fps: float
    look: Callable[[np.ndarray], Tensor]
    scores: Callable[[Tensor], Tensor]

    @torch.inference_mode()
    def __call__(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """The probability of every label for each clip, (clips, len(labels))."""
        logits = self.scores(torch.stack([self.look(clip) for clip in clips]))
        return logits.float().softmax(-1).cpu().numpy()


def labels(path: Path, classes: int) -> tuple[str, ...]:
    """What the classes of a weights file are called: as it says itself, or ImageNet's words where they are 1000.

    Raises ConfigError where neither is so.
    """
    names = tuple(json.loads(weights.metadata(path).get("labels", "[]")))
    words = tuple(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
    wordless = not names or all(re.fullmatch(r"n\d{8}", name) for name in names)
    if classes == len(words) and wordless:
        return words
    if len(names) != classes:
        raise ConfigError(f"{path} does not say what its {classes} classes are called")
    return names


def is_picture(path: Path) -> bool:
    """Whether a path is a picture, or a folder, which is taken to hold some."""
    return path.is_dir() or path.suffix.lower() in IMG_EXTENSIONS


@torch.inference_mode()
def extract(encoder: Encoder, sources: Sequence[Path], out: Path) -> int:
    """Writes the vectors of a film's frames, one a second, or of pictures and folders of them, to an .npz file, which
    appears when it is whole; returns how many there are.

    `features` is (n, width) float32, with `seconds` (n,) of a film's frames or `files` (n,) of the pictures. A picture
    that cannot be read is passed over and told on stderr. Raises ConfigError for another ending and for films among
    others, DataError where nothing can be read.
    """
    if out.suffix != ".npz":
        raise ConfigError(f"features are written to .npz, not to {out.name}")
    film = not all(map(is_picture, sources))
    if film and len(sources) > 1:
        raise ConfigError("give one film, or pictures and folders of them")
    shown = frames(sources[0]) if film else pictures(sources)
    places: list[float | str] = []
    rows, waiting = [], []
    for place, picture in shown:
        places.append(place)
        waiting.append(encoder.look(picture))
        if len(waiting) == BATCH:
            rows.append(encoder.encode(torch.stack(waiting)).float().cpu().numpy())
            waiting = []
    if waiting:
        rows.append(encoder.encode(torch.stack(waiting)).float().cpu().numpy())
    if not rows:
        raise DataError("none of the pictures can be read")
    where: dict[str, Any] = {"seconds": np.array(places, float)} if film else {"files": np.array(places, str)}
    beside = out.with_name(f"{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    with beside.open("wb") as file:
        np.savez(file, features=np.concatenate(rows), **where)
    os.replace(beside, out)
    return len(places)


def frames(film: Path) -> Iterator[tuple[float, Image.Image]]:
    """A film's frames, one for each second, and when they are shown, in seconds."""
    video = Video(film)
    begins = video.times()[:, 0]
    numbers = np.unique(np.searchsorted(begins, np.arange(begins[0], begins[-1] + 1e-6)))
    for first in range(0, len(numbers), BATCH):
        part = numbers[first : first + BATCH]
        for number, frame in zip(part, video.frames(part), strict=True):
            yield float(begins[number]), Image.fromarray(frame)


def pictures(sources: Sequence[Path]) -> Iterator[tuple[str, Image.Image]]:
    """The pictures of files and folders that can be read, and their paths; the others are told on stderr."""
    for source in sources:
        for picture in images.found(source) if source.is_dir() else [Picture(source)]:
            try:
                yield str(picture), images.read(picture)
            except UnreadableError as error:
                print(f"skipped: {error}", file=sys.stderr)
