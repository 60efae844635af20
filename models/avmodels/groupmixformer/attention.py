"""Group-mix attention: tokens, and neighbourhoods of 3, 5 and 7 pixels, attend to one another at linear cost.

Tokens lie on their grid, (B, H, W, channels), which is a picture whose channels come last: going from the one to the
other is a view. Parameters have their published names.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers.drop import DropPath
from timm.layers.mlp import Mlp
from torch import Tensor, nn

from avmodels.nn.batch_norm import BatchNorm

HEADS = 8
# The width is cut into so many segments: plain tokens, three kinds of neighbourhoods, and the local branch.
SEGMENTS = 5
KERNELS = (3, 5, 7)
# So many heads in turn have a position convolution of each of the kernels; not those that segments end at.
HEADS_OF_KERNELS = (2, 3, 3)


def picture(tokens: Tensor) -> Tensor:
    """Tokens (B, H, W, C) as a picture (B, C, H, W)."""
    return tokens.permute(0, 3, 1, 2)


def tokens(picture: Tensor) -> Tensor:
    """A picture (B, C, H, W) as tokens (B, H, W, C)."""
    return picture.permute(0, 2, 3, 1)


def heads(picture: Tensor) -> Tensor:
    """A picture (B, C, H, W) as the tokens of each head, (B, HEADS, H * W, C / HEADS)."""
    return tokens(picture).flatten(1, 2).unflatten(-1, (HEADS, -1)).transpose(1, 2)


class Separable(nn.Module):
    """A depth-wise convolution over the inputs, then a point-wise one, neither with a bias."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False)
        self.pointwise_conv = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, inputs, H, W) -> (B, outputs, H', W')."""
        return self.pointwise_conv(self.conv1(x))


class Local(nn.Module):
    """The branch that does not attend: queries, keys and values of a segment, mixed where they are."""

    def __init__(self, segment: int):
        super().__init__()
        self.conv = Separable(3 * segment, segment, 3)
        self.norm = nn.LayerNorm(segment)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, 3 segment, H, W), queries, keys, values -> (B, H, W, segment)."""
        return F.hardswish(self.norm(tokens(self.conv(x))))


class Aggregator(nn.Module):
    """Turns queries, keys and values alike into plain ones and proxies of groups of 3, 5 and 7 pixels."""

    def __init__(self, width: int):
        super().__init__()
        segment = width // SEGMENTS
        self.agg0 = Local(segment)
        self.agg1, self.agg2, self.agg3 = (Separable(segment, segment, kernel) for kernel in KERNELS)
        self.norm0, self.norm1, self.norm2, self.norm3 = (BatchNorm(segment) for _ in range(4))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (3B, width, H, W), all queries, all keys, all values, which share their statistics in training.

        Returns the four segments that attend, (3B, 4/5 width, H, W), and the local one, (B, H, W, width / 5).
        """
        *grouped, local = x.chunk(SEGMENTS, dim=1)
        mixed = (
            grouped[0],
            self.agg1(grouped[1]),
            self.agg2(grouped[2]),
            self.agg3(grouped[3]),
        )
        norms = (self.norm0, self.norm1, self.norm2, self.norm3)
        attending = [F.hardswish(norm(part)) for norm, part in zip(norms, mixed, strict=True)]
        return torch.cat(attending, dim=1), self.agg0(torch.cat(local.chunk(3), dim=1))


class RelativePosition(nn.Module):
    """A depth-wise convolution of the values, its kernel growing from head to head."""

    def __init__(self, width: int):
        super().__init__()
        of_kernels = [width // HEADS * count for count in HEADS_OF_KERNELS]
        self.conv_list = nn.ModuleList(
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
            for channels, kernel in zip(of_kernels, KERNELS, strict=True)
        )
        self._channels = of_kernels

    def forward(self, values: Tensor) -> Tensor:
        """values (B, width, H, W) -> the same shape."""
        parts = values.split(self._channels, dim=1)
        return torch.cat([conv(part) for conv, part in zip(self.conv_list, parts, strict=True)], dim=1)


def shares(keys: Tensor) -> Tensor:
    """keys (B, HEADS, N, d) -> each token's share of every channel: a softmax over tokens, in float32."""
    return keys.softmax(dim=-2, dtype=torch.float32).to(keys.dtype)


def linear_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Queries of a summary of the values, (B, HEADS, N, d) each: no map of N x N is made, and nothing is scaled."""
    return queries @ (shares(keys).mT @ values)


class GroupMixAttention(nn.Module):
    """Attention among tokens and group proxies, beside a local branch (section 3 of arXiv 2311.15157).

    The scale is that of heads of width // 8 channels; but one segment does not attend, and they have width / 10.
    """

    def __init__(self, width: int, bias: bool = True, scale: float | None = None):
        super().__init__()
        self.scale = scale or (width // HEADS) ** -0.5
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.aggregator = Aggregator(width)
        self.crpe = RelativePosition(width // SEGMENTS * (SEGMENTS - 1))
        self.proj = nn.Linear(width, width)

    def stacked(self, x: Tensor) -> Tensor:
        """x (B, H, W, width) -> queries, keys and values one after the other in the batch, (3B, width, H, W)."""
        return picture(torch.cat(self.qkv(x).chunk(3, dim=-1)))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, width) -> the same shape."""
        attending, local = self.aggregator(self.stacked(x))
        queries, keys, values = (heads(part) for part in attending.chunk(3))
        place = queries * heads(self.crpe(attending.chunk(3)[2]))
        mixed = self.scale * linear_attention(queries, keys, values) + place
        mixed = mixed.transpose(1, 2).flatten(2).unflatten(1, x.shape[1:3])
        return self.proj(torch.cat([mixed, local], dim=-1))


class PositionEncoding(nn.Module):
    """A depth-wise convolution added to what it sees: the zeros beyond the border tell where that is."""

    def __init__(self, width: int):
        super().__init__()
        self.proj = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, width) -> the same shape."""
        return tokens(self.proj(picture(x))) + x


class Block(nn.Module):
    """Position encoding, group-mix attention and MLP; the latter after a LayerNorm and added to their input.

    `drop_path` is the chance that a sample skips a branch in training, drawn once for each branch.
    """

    def __init__(
        self, width: int, mlp_ratio: float, drop_path: float, bias: bool = True, scale: float | None = None
    ):
        super().__init__()
        self.cpe = PositionEncoding(width)
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.att = GroupMixAttention(width, bias, scale)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, int(width * mlp_ratio))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, width) -> the same shape."""
        x = self.cpe(x)
        x = x + self.drop_path(self.att(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))
