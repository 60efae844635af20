"""The two objectives: clips and texts find each other, and transcripts find their places."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 0.05
SORTING_WEIGHT = 2.0
# Lengths below it count as this: embeddings of zeros have similarity 0.
SHORTEST = 1e-8


def similarity(one: Tensor, other: Tensor) -> Tensor:
    """Cosines of one (n, E) with other (m, E): (n, m)."""
    return F.normalize(one, dim=-1, eps=SHORTEST) @ F.normalize(other, dim=-1, eps=SHORTEST).T


def contrastive(similarities: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """The cross-entropy of each row's own column, plus that of each column's own row; similarities (n, n)."""
    own = torch.arange(len(similarities), device=similarities.device)
    logits = similarities.float() / temperature
    return F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)


def sorting(logits: Tensor, places: Tensor | None = None, weight: float = SORTING_WEIGHT) -> Tensor:
    """The weighted mean cross-entropy of every transcript's place: logits (B, K, places), places (B, K).

    Transcripts come in order unless `places` says otherwise.
    """
    if places is None:
        places = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[:2])
    return weight * F.cross_entropy(logits.float().flatten(0, 1), places.flatten())


def in_order(logits: Tensor, places: Tensor) -> Tensor:
    """Whether all transcripts of a clip are put in their places: logits (B, K, places), places (B, K) -> (B,)."""
    return (logits.argmax(-1) == places).all(-1)


def gathered(embeddings: Tensor) -> Tensor:
    """The embeddings of all processes, in the order of their ranks; gradients reach this process's own."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return embeddings
    parts = [torch.empty_like(embeddings) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, embeddings.detach().contiguous())
    parts[dist.get_rank()] = embeddings
    return torch.cat(parts)
