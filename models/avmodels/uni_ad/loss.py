"""What Uni-AD learns from: the right description, and that it is likelier than the one before."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
    model: nn.Module, batch: Mapping[str, Tensor], pad: int, contrasted: bool = True
) -> tuple[Tensor, Tensor]:
    """How unlikely the right description is, and that of the clip before in its place (0 unless `contrasted`).

    The batch is batches.training_batch's: the same prompts, then a description and eos, filled up with pads. Both
    are read together, and frames and characters mapped once. No attention mask is needed: pads stand at the end.
    """
    kinds = ("right", "before") if contrasted else ("right",)
    longest = max(batch[kind].shape[1] for kind in kinds)
    ids = torch.cat([F.pad(batch[kind], (0, longest - batch[kind].shape[1]), value=pad) for kind in kinds])
    logits = model(ids, batch["frames"], batch["exemplars"])
    targets = labels(ids, batch["last_of_prompt"].repeat(len(kinds)), pad)
    pairs = zip(logits.chunk(len(kinds)), targets.chunk(len(kinds)), strict=True)
    losses = [said(*pair) for pair in pairs]
    return losses[0], losses[1] if contrasted else torch.zeros_like(losses[0])


def contrast(right: Tensor, before: Tensor) -> Tensor:
    """A hinge on the batch's means: the description before must not be likelier than the right one."""
    return (right - before).clamp(min=0)
