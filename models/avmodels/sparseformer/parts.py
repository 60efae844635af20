"""What SparseFormer has beside attention and MLPs: the stem, the decoding of samples, the numerics of two codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels.sparseformer.regions import precise


@dataclass(frozen=True)
class Numerics:
    """What the two published code bases compute differently. Weights belong to one of them.

    The differences in the order of operations are kept too: five samplings one after the other make much of the
    last digit. `biased`: the stem divides by the number of channels, not by one less, for the variance.
    `fused_attention`: attention is one operation, not the product of a softmax.
    """

    biased: bool
    fused_attention: bool
    channel_eps: float
    generator_eps: float
    offset_eps: float


NUMERICS = {
    "library": Numerics(
        biased=True, fused_attention=True, channel_eps=1e-5, generator_eps=1e-5, offset_eps=1e-5
    ),
    "training": Numerics(
        biased=False, fused_attention=False, channel_eps=1e-7, generator_eps=1e-6, offset_eps=1e-7
    ),
}


def normalise_channels(x: Tensor, numerics: Numerics) -> Tensor:
    """x (B, C, ...) with mean 0 and variance 1 over the channels of every position."""
    if numerics.biased:
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        x = x - mean
    else:
        x = x - x.mean(1, keepdim=True)
        variance = x.var(1, keepdim=True)
    return x / (variance + numerics.channel_eps).sqrt()


class Attention(nn.Module):
    """Multi-head self-attention with biases on queries, keys and values."""

    def __init__(self, width: int, heads: int, fused: bool):
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, N, width) -> the same shape."""
        parts = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts.unbind(0)
        if self.fused:
            mixed = F.scaled_dot_product_attention(queries, keys, values)
        else:
            scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
            mixed = scores.softmax(-1) @ values
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Stem(nn.Module):
    """An early convolution: the feature map the tokens sample, a quarter of the input's height and width."""

    def __init__(self, channels: int, axes: int, numerics: Numerics):
        super().__init__()
        self.numerics = numerics
        if axes == 2:
            self.conv1 = nn.Conv2d(3, channels, 7, stride=2, padding=3)
        else:
            self.conv1 = nn.Conv3d(3, channels, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, 3, H, W) -> (B, C, H/4, W/4), or (B, 3, T, H, W) -> (B, C, T, H/4, W/4)."""
        x = self.conv1(x).relu()
        if x.ndim == 4:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        else:
            x = F.max_pool3d(x, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        return normalise_channels(precise(x), self.numerics)


class AdaptiveDecoding(nn.Module):
    """Turns what a token sampled into its next content, by two mixings whose weights the token generates.

    The C channels of a sample are mixed, then its P points into `out_points`. Without `bias` there is no
    activation between the two.
    """

    def __init__(
        self, width: int, channels: int, points: int, out_points: int, inner: int, bias: bool, eps: float
    ):
        super().__init__()
        self.channels, self.points, self.out_points = channels, points, out_points
        self.m_beta = nn.Parameter(torch.zeros(channels)) if bias else None
        self.s_beta = nn.Parameter(torch.zeros(out_points)) if bias else None
        self.parameter_generator = nn.Sequential(
            nn.LayerNorm(width, eps=eps),
            nn.Linear(width, inner),
            nn.Linear(inner, channels * channels + out_points * points),
        )
        self.out_proj = nn.Linear(channels * out_points, width)

    def generate(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens (B, N, width) -> the channel mixing (B, N, C, C) and the mixing of points (B, N, out_points, P)."""
        channels, points = self.parameter_generator(tokens).split(
            [self.channels**2, self.out_points * self.points], dim=-1
        )
        return channels.unflatten(-1, (self.channels, -1)), points.unflatten(-1, (self.out_points, -1))

    def forward(self, sampled: Tensor, tokens: Tensor) -> Tensor:
        """sampled (B, N, P, C), tokens (B, N, width) -> (B, N, width)."""
        mix_channels, mix_points = self.generate(tokens)
        x = sampled.to(mix_channels.dtype) @ mix_channels
        if self.m_beta is not None:
            x = F.gelu(x + self.m_beta)
        x = mix_points @ x
        if self.s_beta is not None:
            x = x + self.s_beta[:, None]
        return self.out_proj(F.gelu(x).flatten(2))

    @torch.no_grad()
    def initialise(self) -> None:
        """The published start: mixings that do not depend on the token yet."""
        generator: Any = self.parameter_generator
        norm, _, last = generator
        nn.init.constant_(norm.weight, norm.normalized_shape[0] ** -0.5)
        nn.init.zeros_(last.weight)
        channels, points = last.bias.split([self.channels**2, self.out_points * self.points])
        nn.init.xavier_uniform_(channels.view(self.channels, self.channels))
        nn.init.xavier_uniform_(points.view(self.points, self.out_points))
