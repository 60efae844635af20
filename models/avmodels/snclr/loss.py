"""The objective: tell an image's other view and, in part, that view's neighbours from all else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from avmodels.snclr.bank import NeighbourBank
from avmodels.snclr.model import Views


@dataclass(frozen=True)
class Objective:
    """What is a positive, and how sharply it is told apart.

    `neighbours` of the bank are positives in part; with `threshold` only those above the average weight. `form`
    has one logarithm for each positive, as the code, or one for all together, as the paper writes.
    """

    temperature: float = 0.2
    neighbours: int = 30
    threshold: bool = False
    form: Literal["code", "paper"] = "code"


class Candidates(NamedTuple):
    """What predictions are compared with: for every sample of all processes its key, then the key's neighbours,
    (W * B, 1 + K, width), each of length 1; and where this process's samples begin."""

    rows: Tensor
    first: int

    def own(self, count: int) -> Tensor:
        """Those of this process's `count` samples."""
        return self.rows[self.first : self.first + count]


def both_directions(views: Views, bank: NeighbourBank, how: Objective) -> Tensor:
    """The loss of a pair of views: each predicts the other's key and its neighbours.

    The second view's keys go into the bank afterwards, those of all processes alike.
    """
    candidates = [find(keys, bank, how.neighbours) for keys in views.keys]
    bank.put(gathered(views.keys[1]))
    losses = [
        direction(prediction, projection, other, how)
        for prediction, projection, other in zip(
            views.predictions, views.projections, reversed(candidates), strict=True
        )
    ]
    return losses[0] + losses[1]


def find(keys: Tensor, bank: NeighbourBank, count: int) -> Candidates:
    """The candidates that keys (B, width) of this process, and those of the others, bring in.

    Only the neighbours' numbers go round: the bank is the same everywhere.
    """
    numbers, _ = bank.nearest(keys, count)
    neighbours = bank.directions(gathered(numbers))
    keys = F.normalize(gathered(keys).to(neighbours.dtype), dim=-1)
    return Candidates(torch.cat([keys.unsqueeze(1), neighbours], dim=1), rank() * len(numbers))


def direction(prediction: Tensor, projection: Tensor, candidates: Candidates, how: Objective) -> Tensor:
    """The loss of one view against the other's candidates; prediction and projection (B, width)."""
    neighbours = candidates.own(len(prediction))[:, 1:]
    weights = positiveness(projection, neighbours, how.threshold)
    return soft_neighbour_loss(prediction, candidates, weights, how)


def positiveness(projections: Tensor, neighbours: Tensor, threshold: bool = False) -> Tensor:
    """How far each neighbour counts as positive, (B, K): the softmax over its cosines with the projection.

    projections (B, width) of one view; neighbours (B, K, width), of length 1, of the other's keys. A row sums to
    1; with `threshold` weights that are not above 1 / K are 0.
    """
    cosines = torch.einsum("bd,bkd->bk", F.normalize(projections.float(), dim=-1), neighbours)
    weights = cosines.softmax(dim=-1)
    return weights * (weights > 1 / neighbours.shape[1]) if threshold else weights


def soft_neighbour_loss(
    predictions: Tensor, candidates: Candidates, weights: Tensor, how: Objective
) -> Tensor:
    """The mean over the samples, times twice the temperature, of the negative log-likelihood of the key and,
    as far as `weights` (B, K) say, of its neighbours.

    predictions (B, width). No gradient flows through the candidates. Neighbours of other samples count as
    negatives even where they are the same row of the bank.
    """
    predictions = F.normalize(predictions.float(), dim=-1) / how.temperature
    total = (predictions @ candidates.rows.flatten(0, 1).T).logsumexp(dim=1)
    scores = torch.einsum("bd,bkd->bk", predictions, candidates.own(len(predictions)))
    shares = torch.cat([weights.new_ones(len(weights), 1), weights], dim=1)
    if how.form == "code":
        losses = shares.sum(1) * total - (shares * scores).sum(1)
    else:
        losses = total - (scores + shares.log()).logsumexp(dim=1)
    return 2 * how.temperature * losses.mean()


@torch.no_grad()
def gathered(x: Tensor) -> Tensor:
    """The rows (B, ...) of all processes in the order of their ranks, (W * B, ...), without gradients."""
    if not spread():
        return x.detach()
    everyone = x.new_empty(dist.get_world_size() * len(x), *x.shape[1:])
    dist.all_gather_into_tensor(everyone, x.detach().contiguous())
    return everyone


def rank() -> int:
    """This process's number."""
    return dist.get_rank() if spread() else 0


def spread() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized()
