"""Frames, or a character's picture, as a few tokens of the language model's width: the mapping network of MAD."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avmodels.nn.clip_blocks import Block, Transformer

# Rows of the table of positions: no more frames than that.
FRAMES = 58
HEAD_WIDTH = 128


class Perceiver(nn.Module):
    """Learned latent tokens that read frames in a transformer over both."""

    def __init__(
        self, latents: int, width: int, depth: int = 2, heads: int | None = None, frames: int = FRAMES
    ):
        super().__init__()
        self.latent = nn.Parameter(torch.randn(latents, width))
        self.temporal_pos_embed = nn.Parameter(torch.randn(frames, width))
        self.visual_prenorm = nn.LayerNorm(width)
        self.encoder = Transformer(width, depth, heads or max(width // HEAD_WIDTH, 1))
        for block in self.encoder.blocks:
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=width**-0.5 * (2 * depth) ** -0.5)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=width**-0.5 * (2 * depth) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """x (batch, frames, width) -> (batch, latents, width), not normalised.

        In the last block only the latents' rows are computed.
        """
        *blocks, last = self.encoder.blocks
        x = self.sequence(x)
        for block in blocks:
            x = block(x)
        return first_rows(last, x, len(self.latent))

    def sequence(self, x: Tensor) -> Tensor:
        """x (batch, frames, width) -> latents, then normalised frames with their positions."""
        frames = self.visual_prenorm(x) + self.temporal_pos_embed[: x.shape[1]]
        return torch.cat([self.latent.to(frames.dtype).expand(len(x), -1, -1), frames], dim=1)


def first_rows(block: Block, x: Tensor, rows: int) -> Tensor:
    """A block's output for the first `rows` tokens of x (batch, tokens, width), which attend to all."""
    mixed = torch.nn.functional.scaled_dot_product_attention(*block.attn.project_rows(block.ln_1(x), rows))
    x = x[:, :rows] + block.attn.merge(mixed)
    return x + block.mlp(block.ln_2(x))
