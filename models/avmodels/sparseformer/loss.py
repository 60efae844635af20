"""What the networks are trained for."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Classification: logits and target (B, classes), each target row adding up to 1; the mean over the batch."""
    return F.cross_entropy(logits.float(), target)


def alignment(student: Tensor, teacher: Tensor) -> Tensor:
    """Bootstrapping: 1 - the cosine of student and teacher, both (B, width); the mean over the batch."""
    return (1 - F.cosine_similarity(student.float(), teacher.float(), dim=-1)).mean()
