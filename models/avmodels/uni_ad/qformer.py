"""Frames' tokens as a few tokens of the language model's width: the mapping network of CMD-AD and TV-AD.

Video-LLaMA's video Q-Former (arXiv 2306.02858): learned queries that read, in post-norm BERT layers, what BLIP-2's
image Q-Former (arXiv 2301.12597) found in each frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-12


@dataclass(frozen=True)
class QFormerSize:
    """The numbers of one video Q-Former; `frames` is the most it can place."""

    queries: int = 32
    width: int = 768
    heads: int = 12
    hidden: int = 3072
    depth: int = 2
    frames: int = 32
    dropout: float = 0.1


class Attention(nn.Module):
    """Multi-head attention, added to its input and normalised."""

    def __init__(self, size: QFormerSize):
        super().__init__()
        self.heads, self.drop = size.heads, size.dropout
        self.query = nn.Linear(size.width, size.width)
        self.key = nn.Linear(size.width, size.width)
        self.value = nn.Linear(size.width, size.width)
        self.dense = nn.Linear(size.width, size.width)
        self.norm = nn.LayerNorm(size.width, eps=EPS)

    def forward(self, x: Tensor, read: Tensor) -> Tensor:
        """x (batch, queries, width) reads `read` (batch, tokens, width) -> the shape of x."""
        parts = (self.query(x), self.key(read), self.value(read))
        split = [part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts]
        drop = self.drop if self.training else 0.0
        mixed = F.scaled_dot_product_attention(*split, dropout_p=drop).transpose(1, 2).flatten(2)
        return self.norm(x + F.dropout(self.dense(mixed), self.drop, self.training))


class Layer(nn.Module):
    """The queries look at each other, then at the frames, then are transformed each."""

    def __init__(self, size: QFormerSize):
        super().__init__()
        self.drop = size.dropout
        self.attention = Attention(size)
        self.crossattention = Attention(size)
        self.intermediate = nn.Linear(size.width, size.hidden)
        self.output = nn.Linear(size.hidden, size.width)
        self.norm = nn.LayerNorm(size.width, eps=EPS)

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        """x (batch, queries, width), frames (batch, tokens, width) -> the shape of x."""
        x = self.attention(x, x)
        x = self.crossattention(x, frames)
        changed = self.output(F.gelu(self.intermediate(x)))
        return self.norm(x + F.dropout(changed, self.drop, self.training))


class VideoQFormer(nn.Module):
    """From frames' tokens to the language model's."""

    def __init__(self, size: QFormerSize, language_width: int):
        super().__init__()
        self.drop = size.dropout
        self.query_tokens = nn.Parameter(torch.zeros(1, size.queries, size.width))
        self.frame_position = nn.Embedding(size.frames, size.width)
        self.norm = nn.LayerNorm(size.width, eps=EPS)
        self.layers = nn.ModuleList(Layer(size) for _ in range(size.depth))
        self.llama_proj = nn.Linear(size.width, language_width)
        nn.init.normal_(self.query_tokens, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """x (batch, frames, tokens, width) -> (batch, queries, language width)."""
        read, x = self.read(x), self.queries(len(x))
        for layer in self.layers:
            x = layer(x, read)
        return self.llama_proj(x)

    def read(self, x: Tensor) -> Tensor:
        """x (batch, frames, tokens, width) -> (batch, frames * tokens, width), each frame with its position."""
        return (x + self.frame_position.weight[: x.shape[1], None]).flatten(1, 2)

    def queries(self, batch: int) -> Tensor:
        """The normalised queries (batch, queries, width)."""
        return F.dropout(self.norm(self.query_tokens), self.drop, self.training).expand(batch, -1, -1)
