"""The text transformer of OpenAI's CLIP, under its parameter names (arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avmodels.nn.clip_blocks import QuickGELU, Transformer
from avmodels.nn.clip_tokens import CONTEXT, VOCABULARY


@dataclass(frozen=True)
class TextSize:
    """The numbers of one text transformer; `embedding` is the width of its output."""

    embedding: int
    width: int
    depth: int
    heads: int
    vocabulary: int = VOCABULARY
    context: int = CONTEXT


# The text towers of ViT-B/32 and ViT-B/16, and of ViT-H/14 (which has an exact GELU).
BASE = TextSize(embedding=512, width=512, depth=12, heads=8)
HUGE = TextSize(embedding=1024, width=1024, depth=24, heads=16)


class TextEncoder(nn.Module):
    """A sentence's embedding, read where the sentence ends."""

    def __init__(self, size: TextSize, activation: Callable[[], nn.Module] = QuickGELU):
        super().__init__()
        self.token_embedding = nn.Embedding(size.vocabulary, size.width)
        self.positional_embedding = nn.Parameter(torch.empty(size.context, size.width))
        self.transformer = Transformer(size.width, size.depth, size.heads, activation)
        self.ln_final = nn.LayerNorm(size.width)
        self.text_projection = nn.Parameter(torch.empty(size.width, size.embedding))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=size.width**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (batch, length <= context) of int64 -> (batch, embedding), not normalised.

        A sentence ends at the first of its largest token ids. What stands after it changes nothing, so that
        `trim`med tokens give the same embeddings sooner.
        """
        ends = tokens.argmax(-1)
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        x = self.ln_final(self.transformer(x, causal=True))
        rows = torch.arange(len(tokens), device=tokens.device)
        return x[rows, ends] @ self.text_projection


def trim(tokens: Tensor) -> Tensor:
    """tokens (batch, context) without the columns after the end of the longest sentence."""
    return tokens[:, : int(tokens.argmax(-1).max()) + 1] if len(tokens) else tokens
