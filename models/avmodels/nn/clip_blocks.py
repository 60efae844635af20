"""The transformer blocks of OpenAI's CLIP, under its parameter names (arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels.nn.attention import attend

# Every head of a CLIP tower is this wide.
HEAD_WIDTH = 64


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        return x * torch.sigmoid(1.702 * x)


class Attention(nn.Module):
    """Multi-head self-attention with one packed projection of queries, keys and values.

    `in_proj_weight` holds the three projections one after the other, (3 width, width).
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, causal: bool = False) -> Tensor:
        """x (batch, tokens, width) -> the same shape; with `causal` no token sees a later one."""
        parts = self.project(x)
        mixed = F.scaled_dot_product_attention(*parts, is_causal=True) if causal else attend(*parts)
        return self.merge(mixed)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (batch, tokens, width) -> queries, keys and values, each (batch, heads, tokens, width / heads)."""
        queries, keys, values = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        return self.split(queries), self.split(keys), self.split(values)

    def project_rows(self, x: Tensor, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """The same with the queries of the first `rows` tokens only."""
        width = x.shape[-1]
        weight, bias = self.in_proj_weight, self.in_proj_bias
        queries = F.linear(x[:, :rows], weight[:width], bias[:width])
        keys, values = F.linear(x, weight[width:], bias[width:]).chunk(2, dim=-1)
        return self.split(queries), self.split(keys), self.split(values)

    def split(self, x: Tensor) -> Tensor:
        """x (batch, tokens, width) -> (batch, heads, tokens, width / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def merge(self, mixed: Tensor) -> Tensor:
        """mixed (batch, heads, tokens, width / heads) -> (batch, tokens, width), through the output projection."""
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear maps around an activation, four times as wide in between."""

    def __init__(self, width: int, activation: Callable[[], nn.Module]):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.gelu = activation()
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., width) -> the same shape."""
        return self.c_proj(self.gelu(self.c_fc(x)))


class Block(nn.Module):
    """Attention and MLP, each after a LayerNorm (eps 1e-5) and added to its input."""

    def __init__(self, width: int, heads: int, activation: Callable[[], nn.Module] = QuickGELU):
        super().__init__()
        self.attn = Attention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = Mlp(width, activation)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, causal: bool = False) -> Tensor:
        """x (batch, tokens, width) -> the same shape; with `causal` no token sees a later one."""
        x = x + self.attn(self.ln_1(x), causal)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """Blocks one after the other."""

    def __init__(self, width: int, depth: int, heads: int, activation: Callable[[], nn.Module] = QuickGELU):
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads, activation) for _ in range(depth))

    @property
    def blocks(self) -> list[Block]:
        """The blocks in order."""
        return cast("list[Block]", list(self.resblocks))

    def forward(self, x: Tensor, causal: bool = False) -> Tensor:
        """x (batch, tokens, width) -> the same shape."""
        for block in self.blocks:
            x = block(x, causal)
        return x
