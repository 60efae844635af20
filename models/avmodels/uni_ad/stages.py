"""What Uni-AD learns before descriptions of clips: the language of audio description, and to see.

The published stages are AudioVault's descriptions, read as text alone, and WebVid's captioned videos; the script of
the first was not released, of the second only the reader of its files.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels.engine.train import Batch
from avmodels.errors import DataError
from avmodels.uni_ad import films
from avmodels.uni_ad.batches import Item, item, padded
from avmodels.uni_ad.config import Describing
from avmodels.uni_ad.data import bos
from avmodels.uni_ad.language import Words
from avmodels.uni_ad.model import UniAD
from avmodels.uni_ad.prompt import prompt


def texts(path: Path, words: Words, longest: int) -> list[list[int]]:
    """The descriptions of a text file, one a line, as ids; longer ones are left out.

    Raises DataError where the file cannot be read or has none.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the descriptions {path}: {error}") from error
    found = [ids for line in lines if line and len(ids := words.encode(line)) <= longest]
    if not found:
        raise DataError(f"{path} holds no description of at most {longest} tokens")
    return found


def text_loss(model: nn.Module, batch: Batch, pad: int) -> Tensor:
    """The mean cross-entropy of texts' tokens after their first, each with eos at its end."""
    ids = batch["ids"]
    places = F.pad(ids[:, 1:] != pad, (0, 1))
    frames, nobody = batch["frames"], batch["exemplars"]
    return F.cross_entropy(model(ids, frames, nobody, places).float(), ids[:, 1:][places[:, :-1]])


def stack_texts(rows: Sequence[list[int]], model: UniAD) -> dict[str, Tensor]:
    """Texts as ids (batch, length) with pads at their end, and no picture."""
    size = model.size
    shape = (size.features,) if size.form == "mad" else (size.image, size.features)
    return {
        "ids": padded([[*row, model.eos] for row in rows], model.extra.pad),
        "frames": torch.zeros(0, films.FRAMES, *shape),
        "exemplars": torch.zeros(0, *shape),
    }


@dataclass(frozen=True)
class Captioned:
    """One captioned video of a shard: where its features lie, and its caption."""

    shard: Path
    offset: int
    size: int
    caption: str


def shards(folder: Path, pattern: str) -> list[Captioned]:
    """The videos of WebDataset's shards: tar files with NAME.npy, the features of its frames, and NAME.txt.

    Raises DataError where there are none, or a shard is broken.
    """
    found: list[Captioned] = []
    for path in sorted(folder.glob(pattern)):
        features: dict[str, tarfile.TarInfo] = {}
        captions: dict[str, str] = {}
        try:
            with tarfile.open(path) as tar:
                for member in tar:
                    name, _, kind = member.name.rpartition(".")
                    if kind == "npy":
                        features[name] = member
                    elif kind == "txt" and (file := tar.extractfile(member)):
                        captions[name] = file.read().decode("utf-8").strip()
        except (OSError, tarfile.TarError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read the shard {path}: {error}") from error
        found += [
            Captioned(path, one.offset_data, one.size, captions[name])
            for name, one in features.items()
            if name in captions
        ]
    if not found:
        raise DataError(f"{folder / pattern} holds no captioned videos")
    return found


def captions(
    folder: Path, config: Describing, model: UniAD, words: Words
) -> tuple[list[Captioned], partial[Item]]:
    """The captioned videos to learn from, without captions that are too long, and how one becomes an item: nobody
    stands in its prompt. Raises DataError."""
    found = shards(folder, config.data.captions)
    kept = [one for one in found if len(words.encode(one.caption)) <= config.prompt.longest]
    ids, _ = prompt(words.encode, config.form(), model.extra, (), (), bos(model))
    return kept, partial(captioned, ids, model, words)


def captioned(ids: list[int], model: UniAD, words: Words, one: Captioned) -> Item:
    """A captioned video as an item, its frames drawn as in training."""
    with one.shard.open("rb") as file:
        file.seek(one.offset)
        features = np.load(io.BytesIO(file.read(one.size)), allow_pickle=False)
    frames = films.read_frames(features, drawn=True, fill=True)
    said = words.encode(one.caption)
    return item(ids, frames, [], [said, said], model.eos)
