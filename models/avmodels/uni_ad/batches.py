"""Samples as items of ids, frames and exemplars, and items as batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from avmodels.uni_ad.films import Clip, Sample, read_frames


@dataclass(frozen=True)
class Item:
    """What the network reads of one sample: the prompt's ids, the frames of both clips, the shown characters.

    `said` is, in training, the right description and that of the clip before, each with eos at its end.
    """

    prompt: list[int]
    frames: np.ndarray
    exemplars: list[np.ndarray]
    said: list[list[int]] = field(default_factory=list)


def clip_frames(film: np.ndarray, sample: Sample, drawn: bool) -> np.ndarray:
    """The frames of the clip before and of the clip (16, width) of a film's features (frames, width).

    In training the clip is drawn first, though it stands behind.
    """

    def part(clip: Clip) -> np.ndarray:
        return read_frames(film[clip.first : clip.last + 1], drawn, fill=drawn)

    now = part(sample.clip)
    return np.concatenate([part(sample.before), now])


def item(
    prompt: list[int], frames: np.ndarray, exemplars: list[np.ndarray], said: Sequence[list[int]], eos: int
) -> Item:
    """One sample's item; `said` are descriptions without eos."""
    return Item(prompt, frames, exemplars, [[*ids, eos] for ids in said])


def training_batch(items: Sequence[Item], pad: int) -> dict[str, Tensor]:
    """Items as tensors, whole sequences with pads at their end.

    right and before (batch, their length), last_of_prompt (batch,), and what `seen` gives.
    """
    sequences = {
        name: padded([[*one.prompt, *one.said[which]] for one in items], pad)
        for which, name in enumerate(("right", "before"))
    }
    last = torch.tensor([len(one.prompt) - 1 for one in items])
    return {**sequences, "last_of_prompt": last, **seen(items)}


def evaluation_batch(items: Sequence[Item], pad: int) -> dict[str, Tensor]:
    """Items as tensors, prompts with pads in front: ids and mask (batch, length), and what `seen` gives."""
    ids = padded([one.prompt[::-1] for one in items], pad).flip(1)
    return {"ids": ids, "mask": (ids != pad).long(), **seen(items)}


def seen(items: Sequence[Item]) -> dict[str, Tensor]:
    """frames (batch, 16, ...), exemplars (characters of all samples in order, ...), and each one's sample."""
    people = [(number, one) for number, item in enumerate(items) for one in item.exemplars]
    frames = torch.from_numpy(np.stack([item.frames for item in items]))
    shown = (
        torch.from_numpy(np.stack([one for _, one in people]))
        if people
        else frames.new_zeros(0, *frames.shape[2:])
    )
    samples = torch.tensor([number for number, _ in people], dtype=torch.long)
    return {"frames": frames, "exemplars": shown.float(), "sample": samples}


def padded(rows: Sequence[list[int]], pad: int) -> Tensor:
    """Rows of ids (n, longest) with pads at their end."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])


def shared_places(items: Sequence[Item], video: int, image: int) -> int:
    """How many tokens all prompts begin with: ids that are the same, and characters who are shown the same.

    `video` and `image` are the ids of the places of video and of characters.
    """
    first, *others = items
    shared = 0
    for places in zip(*(one.prompt[:-1] for one in items), strict=False):
        if len(set(places)) > 1 or places[0] == video:
            break
        shared += 1
    each = first.prompt.count(image) // max(len(first.exemplars), 1)
    for number in range(first.prompt[:shared].count(image)):
        person = number // each
        if any(not np.array_equal(first.exemplars[person], other.exemplars[person]) for other in others):
            starts = [place for place, token in enumerate(first.prompt) if token == image]
            return starts[person * each]
    return shared
