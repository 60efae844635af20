"""SoftInfoNCE: contrast between sight and sound in which the other speed of a clip counts as partly right.

Rows go view by view: those of N clips at their first speeds, then of the same clips at their second.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.nn.functional import all_gather

Form = Literal["log_of_sum", "sum_of_logs", "sum_of_logs_normalised"]


def soft_infonce(logits: Tensor, targets: Tensor, form: Form) -> Tensor:
    """The loss of every row of logits (R, C) for any targets (R, C) >= 0 -> (R,).

    With p the softmax of a row and W its targets: `log_of_sum` is -log sum W p; `sum_of_logs` is -sum W log p,
    `sum_of_logs_normalised` the same with W summing to 1.
    """
    everything = logits.logsumexp(1)
    if form == "log_of_sum":
        return everything - (logits + targets.log()).logsumexp(1)
    if form == "sum_of_logs_normalised":
        targets = targets / targets.sum(1, keepdim=True)
    return targets.sum(1) * everything - (targets * logits).sum(1)


def partner_infonce(logits: Tensor, own: Tensor, partner: Tensor, weight: Tensor, form: Form) -> Tensor:
    """`soft_infonce` for targets of 1 in the column `own` (R,) and `weight` (R,) in the column `partner` (R,),
    without making them."""
    everything = logits.logsumexp(1)
    right = logits.gather(1, own[:, None])[:, 0]
    partly = logits.gather(1, partner[:, None])[:, 0]
    if form == "log_of_sum":
        return everything - torch.logaddexp(right, partly + weight.log())
    loss = (1 + weight) * everything - right - weight * partly
    return loss / (1 + weight) if form == "sum_of_logs_normalised" else loss


def co_augmented(
    sight: Tensor,
    sound: Tensor,
    sight_weight: Tensor,
    sound_weight: Tensor,
    temperature: float,
    form: Form,
) -> Tensor:
    """The mean loss of sights finding their sounds and of sounds finding their sights, among all processes' rows.

    sight, sound (2N, E): unit vectors of this process; the weights (2N,) are those of the partners, for rows of
    sights and of sounds.
    """
    first = dist.get_rank() * len(sight) if dist.is_initialized() else 0
    own = first + torch.arange(len(sight), device=sight.device)
    with torch.autocast(sight.device.type, enabled=False):
        sight, sound = sight.float(), sound.float()
        finds_sound = sight @ everywhere(sound).T / temperature
        finds_sight = sound @ everywhere(sight).T / temperature
        losses = (
            partner_infonce(finds_sound, own, mate(own), sight_weight, form),
            partner_infonce(finds_sight, own, mate(own), sound_weight, form),
        )
    return torch.stack(losses).mean()


def everywhere(x: Tensor) -> Tensor:
    """x (R, E) of every process one after the other, (processes * R, E), with gradients to each."""
    return torch.cat(all_gather(x)) if dist.is_initialized() else x


def mate(rows: Tensor) -> Tensor:
    """Each row's partner, the same clip at its other speed: (2N, ...) -> (2N, ...)."""
    return rows.roll(len(rows) // 2, 0)


def attention_weight(query: Tensor, other: Tensor, scale: float) -> Tensor:
    """How much each partner counts, by how like it is to the row beside the row's own counterpart.

    query, other (2N, width): features of the modality that seeks and of the one that is sought; no gradient
    passes, else a network would lower its own targets. The ratio of two softmax attention weights, at most 1.
    """
    query, other = (F.normalize(features.detach().float(), dim=1) for features in (query, other))
    own, partly = (query * other).sum(1), (query * mate(other)).sum(1)
    return (scale * (partly - own)).exp().clamp(max=1)


def ratio_weight(speed: Tensor) -> Tensor:
    """How much each partner counts, the slower of two speeds over the faster: (2N,) -> (2N,) float32."""
    speed = speed.float()
    return torch.minimum(speed, mate(speed)) / torch.maximum(speed, mate(speed))
