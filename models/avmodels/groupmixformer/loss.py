"""What the networks are trained for."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from avmodels.data.mixup import soft_labels


def mixed_target(labels: Tensor, classes: int, share: float, smoothing: float) -> Tensor:
    """The target of images mixed with the batch reversed: labels (B,) -> (B, classes), `share` of it their own.

    A class's own value is 1 - smoothing, and `smoothing` is spread over all.
    """
    soft = soft_labels(labels, classes, smoothing)
    return share * soft + (1 - share) * soft.flip(0)


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Classification: logits and target (B, classes), each target row adding up to 1; the mean over the batch."""
    return F.cross_entropy(logits.float(), target)


def segmentation_loss(scores: list[Tensor], truth: Tensor, auxiliary: float = 0.4) -> Tensor:
    """Segmentation: the mean cross entropy of the pixels with a class, and `auxiliary` of that of further heads.

    scores (B, classes, H, W) each, of the head and then of others; truth (B, H, W), -1 where no class is given.
    """
    losses = [F.cross_entropy(of_head.float(), truth, ignore_index=-1, reduction="sum") for of_head in scores]
    counted = (truth >= 0).sum().clamp(min=1)
    return (losses[0] + auxiliary * sum(losses[1:], losses[0].new_zeros(()))) / counted
