"""Pre-norm transformer blocks over fused attention."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from timm.layers.drop import DropPath
from timm.layers.mlp import Mlp
from torch import Tensor, nn

# Scores held at once by the path for bf16 on the CPU: 4 MB, which stay in the cache.
SCORES = 2**21


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(queries keys^T / sqrt(d)) values, for (batch, heads, rows, d) each, without ever holding all scores.

    PyTorch's fused kernel, except for bf16 on the CPU without gradients: there it is no faster than the plain
    products, and those, head by head, are 2.7 times as fast (1568 tokens, AVX512-BF16).
    """
    if queries.dtype != torch.bfloat16 or queries.device.type != "cpu" or torch.is_grad_enabled():
        return F.scaled_dot_product_attention(queries, keys, values)
    mixed = torch.empty_like(queries)
    rows = max(SCORES // keys.shape[-2], 1)
    buffer = queries.new_empty(min(rows, queries.shape[-2]), keys.shape[-2])
    for place in np.ndindex(queries.shape[:2]):
        scaled = queries[place] * queries.shape[-1] ** -0.5
        for part, out in zip(scaled.split(rows), mixed[place].split(rows), strict=True):
            scores = buffer[: len(part)]
            torch.mm(part, keys[place].T, out=scores)
            torch.softmax(scores, -1, out=scores)
            out.copy_(scores @ values[place])
    return mixed


class Attention(nn.Module):
    """Multi-head self-attention whose keys have no bias, as in BEiT and VideoMAE.

    `qkv.weight` holds the queries', keys' and values' projections one after the other, (3 width, width);
    `q_bias` and `v_bias` are (width,).
    """

    def __init__(self, width: int, heads: int, bias: bool = True):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width)) if bias else None
        self.v_bias = nn.Parameter(torch.zeros(width)) if bias else None
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, last: int = 0) -> Tensor:
        """x (batch, tokens, width) -> the same shape; with `last`, only the rows of the last `last` tokens,
        which still attend to all."""
        queries, keys, values = self._project(x, last)
        mixed = attend(queries, keys, values)
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def _project(self, x: Tensor, last: int) -> list[Tensor]:
        """Queries, keys and values, each (batch, heads, rows, width / heads)."""
        bias = None
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        if not last:
            parts = F.linear(x, self.qkv.weight, bias).chunk(3, dim=-1)
        else:
            width = x.shape[-1]
            query_bias, other_bias = (None, None) if bias is None else (bias[:width], bias[width:])
            queries = F.linear(x[:, -last:], self.qkv.weight[:width], query_bias)
            parts = (queries, *F.linear(x, self.qkv.weight[width:], other_bias).chunk(2, dim=-1))
        return [part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts]


class Block(nn.Module):
    """Attention and MLP, each after a LayerNorm (eps 1e-6) and added to its input.

    `drop_path` is the chance that a sample skips a branch in training, drawn once for each branch.
    """

    def __init__(
        self, width: int, heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0, bias: bool = True
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, bias)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, int(width * mlp_ratio))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor, last: int = 0) -> Tensor:
        """x (batch, tokens, width) -> the same shape; with `last`, only the last `last` rows are computed."""
        x = x[:, -last:] + self.drop_path(self.attn(self.norm1(x), last))
        return x + self.drop_path(self.mlp(self.norm2(x)))
