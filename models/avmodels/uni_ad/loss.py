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


def description_losses(
    model: nn.Module, batch: Mapping[str, Tensor], pad: int, contrasted: bool = True
) -> tuple[Tensor, Tensor]:
    """How unlikely the right description is, and that of the clip before in its place (0 unless `contrasted`).

    The batch is batches.training_batch's: the same prompts, then a description and eos, filled up with pads. Both
    are read together, frames and characters mapped once, and logits made of targets only. No attention mask is needed: pads stand at the end.
    """
    kinds = ("right", "before") if contrasted else ("right",)
    longest = max(batch[kind].shape[1] for kind in kinds)
    ids = torch.cat([F.pad(batch[kind], (0, longest - batch[kind].shape[1]), value=pad) for kind in kinds])
    targets = labels(ids, batch["last_of_prompt"].repeat(len(kinds)), pad)
    # A place says the next one's token; the last says none.
    targets = F.pad(targets[:, 1:], (0, 1), value=IGNORED)
    places = targets != IGNORED
    logits = model(ids, batch["frames"], batch["exemplars"], places).float()
    parts = [int(part.sum()) for part in places.chunk(len(kinds))]
    pairs = zip(logits.split(parts), targets[places].split(parts), strict=True)
    losses = [F.cross_entropy(*pair) for pair in pairs]
    return losses[0], losses[1] if contrasted else torch.zeros_like(losses[0])


def contrast(right: Tensor, before: Tensor) -> Tensor:
    """A hinge on the batch's means: the description before must not be likelier than the right one."""
    return (right - before).clamp(min=0)
