"""Names for clips without training on them."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from avmodels.metrics.accuracy import hits
from avmodels.tvts_v2.loss import similarity

# The published sentence for HMDB-51, UCF-101 and Kinetics-400.
TEMPLATE = "a person {}"
SCALE = 100.0


def classes(text: Tensor) -> Tensor:
    """Embeddings (classes, templates, E) -> one unit vector a class, (classes, E)."""
    return F.normalize(F.normalize(text, dim=-1).mean(1), dim=-1)


def logits(video: Tensor, text: Tensor) -> Tensor:
    """100 x the cosine of each video (B, E) with each text: (n, E), or each video's own choices (n, B, E).

    Returns (B, n).
    """
    if text.ndim == 3:
        return SCALE * F.cosine_similarity(video, text, dim=-1).T
    return SCALE * similarity(video, text)


def accuracy(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Top-1 and top-5 in per cent."""
    return {f"top{k}": 100 * float(hits(scores, labels, k).mean()) for k in (1, 5)}
