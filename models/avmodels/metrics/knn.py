"""Nearest neighbours as a classifier: how well a space of features tells classes apart without any training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# Queries compared with all references at once.
QUERIES = 1024


@torch.inference_mode()
def weighted_votes(
    references: Tensor, labels: Tensor, queries: Tensor, counts: Sequence[int], temperature: float = 0.07
) -> Tensor:
    """The class that the nearest references vote for, (len(counts), Q), for each number of neighbours.

    references (N, width) with labels (N,), queries (Q, width). A neighbour's vote weighs exp(cosine /
    temperature) (Wu et al., arXiv 1805.01978); of classes with equal votes the first wins. Raises ValueError
    where there are fewer references than neighbours.
    """
    if max(counts) > len(references):
        raise ValueError(f"{len(references)} references have no {max(counts)} neighbours")
    references, classes = F.normalize(references.float(), dim=1), int(labels.max()) + 1
    voted = []
    for part in F.normalize(queries.float(), dim=1).split(QUERIES):
        cosines, nearest = (part @ references.T).topk(max(counts), dim=1)
        weights, votes = (cosines / temperature).exp(), labels[nearest]
        voted.append(
            torch.stack(
                [
                    cosines.new_zeros(len(part), classes)
                    .scatter_add_(1, votes[:, :count], weights[:, :count])
                    .argmax(1)
                    for count in counts
                ]
            )
        )
    return torch.cat(voted, dim=1)


def accuracy(
    references: Tensor, labels: Tensor, queries: Tensor, truth: Tensor, counts: Sequence[int]
) -> dict[str, float]:
    """The percentage of queries whose neighbours name their class, `knn<count>`, for every count that the
    references suffice for. truth (Q,) are the queries' labels.
    """
    enough = [count for count in counts if count <= len(references)]
    voted = weighted_votes(references, labels, queries, enough)
    return {
        f"knn{count}": 100 * (found == truth).float().mean().item()
        for count, found in zip(enough, voted, strict=True)
    }
