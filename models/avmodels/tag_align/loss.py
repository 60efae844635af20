"""The two objectives: pictures find their captions, and name the tags of their captions."""

from __future__ import annotations

import math

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather

# CLIP's temperature at first, and the largest factor of a cosine.
FIRST_SCALE = math.log(1 / 0.07)
LARGEST_SCALE = 100.0
# Probabilities count as no less than this.
LEAST = 1e-8


def normalise(x: Tensor) -> Tensor:
    """x (..., E) with each vector of length 1 (one shorter than 1e-6 is divided by 1e-6)."""
    return F.normalize(x, dim=-1, eps=1e-6)


class Scaled(nn.Module):
    """Cosines times a learned factor, exp(logit_scale) and no more than 100, where its gradient stops."""

    def __init__(self):
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(FIRST_SCALE))

    def logits(self, some: Tensor, others: Tensor) -> Tensor:
        """some (n, E), others (m, E), normalised -> (n, m)."""
        return self.logit_scale.exp().clamp(max=LARGEST_SCALE) * some @ others.T


class Contrastive(Scaled):
    """Each picture and caption of a batch must find the other among all of all processes (InfoNCE)."""

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """image, text (B, E) -> the mean of the two cross-entropies."""
        image, text = normalise(image), normalise(text)
        first = dist.get_rank() * len(image) if dist.is_initialized() else 0
        own = torch.arange(first, first + len(image), device=image.device)
        to_text = F.cross_entropy(self.logits(image, everywhere(text)), own)
        to_image = F.cross_entropy(self.logits(text, everywhere(image)), own)
        return (to_text + to_image) / 2


class MultiTag(Scaled):
    """A softmax over all tags whose target is spread evenly over those a caption names; all others are wrong."""

    def forward(self, image: Tensor, tags: Tensor, present: Tensor) -> Tensor:
        """image (B, E), tags (K, E); present (B, n) int64: the numbers of each picture's tags, none twice, filled
        up with -1. A picture without tags adds nothing and counts in the mean."""
        logits = self.logits(normalise(image), normalise(tags)).float()
        likely = logits.log_softmax(-1).clamp(min=math.log(LEAST))
        given = present >= 0
        chosen = likely.gather(1, present.clamp(min=0)) * given
        return -(chosen.sum(-1) / given.sum(-1).clamp(min=1)).mean()


def everywhere(x: Tensor) -> Tensor:
    """x (B, E) of every process one after the other, (processes * B, E), with gradients to each."""
    return torch.cat(all_gather(x)) if dist.is_initialized() else x
