"""From pixels to tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def tubelets(video: Tensor, tubelet: int, patch: int) -> Tensor:
    """A view of the video as tubelets: (B, C, T, H, W) -> (B, T', H', W', C, tubelet, patch, patch)."""
    batch, colours, time, height, width = video.shape
    cut = video.view(batch, colours, time // tubelet, tubelet, height // patch, patch, width // patch, patch)
    return cut.permute(0, 2, 4, 6, 1, 3, 5, 7)


def pick_tubelets(video: Tensor, tokens: Tensor, tubelet: int, patch: int) -> Tensor:
    """The pixels of some tokens, read without touching the others.

    tokens (B, n): flat token numbers, t * (H' * W') + h * W' + w. Returns (B, n, C, tubelet, patch, patch).
    """
    cut = tubelets(video, tubelet, patch)
    high, wide = cut.shape[2:4]
    rows = torch.arange(len(tokens), device=tokens.device)[:, None]
    return cut[rows, tokens // (high * wide), tokens // wide % high, tokens % wide]


class TubeletEmbedding(nn.Module):
    """A linear map of space-time patches, held as the Conv3d that published checkpoints hold."""

    def __init__(self, width: int, patch: int, tubelet: int = 2, colours: int = 3):
        super().__init__()
        size = (tubelet, patch, patch)
        self.proj = nn.Conv3d(colours, width, kernel_size=size, stride=size)

    def forward(self, video: Tensor, tokens: Tensor | None = None) -> Tensor:
        """video (B, C, T, H, W) -> (B, T' * H' * W', width) in (t, h, w) order; with `tokens` (B, n), flat
        token numbers, only those are read and embedded: (B, n, width)."""
        if tokens is None:
            return self.proj(video).flatten(2).transpose(1, 2)
        tubelet, patch, _ = self.proj.kernel_size
        pixels = pick_tubelets(video, tokens, int(tubelet), int(patch))
        return F.linear(pixels.flatten(2), self.proj.weight.flatten(1), self.proj.bias)
