"""What Uni-AD learns from: the right description, and that it is likelier than the one before."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from avmodels.uni_ad.model import UniAD

IGNORED = -100


def labels(ids: Tensor, last_of_prompt: Tensor, pad: int) -> Tensor:
    """ids (batch, length), the prompt's last place (batch,) -> what is to be said there, -100 where nothing is."""
    places = torch.arange(ids.shape[1], device=ids.device)
    return ids.masked_fill((places <= last_of_prompt[:, None]) | (ids == pad), IGNORED)


def said(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy over all targets of the batch, each said by the place before it."""
    return F.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), targets[:, 1:].flatten(), ignore_index=IGNORED
    )


def description_losses(
    model: UniAD, right: Tensor, before: Tensor, last_of_prompt: Tensor, frames: Tensor, exemplars: Tensor
) -> tuple[Tensor, Tensor]:
    """How unlikely the right description is, and that of the clip before in its place.

    right (batch, length) and before (batch, other length): the same prompt, then a description and eos, filled up
    with pads. Frames and characters are mapped once. No attention mask is needed: pads stand at the end.
    """
    video, characters = model.map_video(frames), model.map_characters(exemplars)
    losses = []
    for ids in (right, before):
        hidden = model.read(model.embed(ids, video, characters), use_cache=False).last_hidden_state
        losses.append(said(model.logits(hidden), labels(ids, last_of_prompt, model.extra.pad)))
    return losses[0], losses[1]


def contrast(right: Tensor, before: Tensor) -> Tensor:
    """A hinge on the batch's means: the description before must not be likelier than the right one."""
    return (right - before).clamp(min=0)
