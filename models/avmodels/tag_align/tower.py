"""CLIP's image transformer with patches that keep to their place (CLIP Surgery, arXiv 2304.05653)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels.nn.attention import attend
from avmodels.nn.clip_blocks import HEAD_WIDTH, Attention, Block, Transformer
from avmodels.nn.positions import resize_space

# How the patches come about: `surgery` on a second path of value-value attention beside the last blocks, `plain`
# as CLIP's own, `maskclip` as CLIP's own but for the last attention, where each token sees itself only.
Patches = Literal["surgery", "plain", "maskclip"]

# Surgery adds the second path to so many blocks at the end.
DUAL_BLOCKS = 6


@dataclass(frozen=True)
class ImageSize:
    """The numbers of one image tower, trained on square pictures of `side` pixels."""

    patch: int
    width: int
    depth: int
    side: int = 224

    @property
    def grid(self) -> int:
        """Patches along a side of the pictures it was trained on."""
        return self.side // self.patch


class ImageTower(nn.Module):
    """Tokens of a picture of any size: a class token, and one token a patch. Final norm and projection are apart."""

    def __init__(self, size: ImageSize, patches: Patches = "surgery"):
        super().__init__()
        self.size = size
        self.patches: Patches = patches
        self.conv1 = nn.Conv2d(3, size.width, size.patch, stride=size.patch, bias=False)
        self.class_embedding = nn.Parameter(size.width**-0.5 * torch.randn(size.width))
        self.positional_embedding = nn.Parameter(size.width**-0.5 * torch.randn(size.grid**2 + 1, size.width))
        self.ln_pre = nn.LayerNorm(size.width)
        self.transformer = Transformer(size.width, size.depth, size.width // HEAD_WIDTH)

    def forward(self, image: Tensor) -> Tensor:
        """image (B, 3, H, W), normalised -> (B, 1 + h * w, width), h = H // patch, the class token first.

        With surgery the patches are those of the second path, the class token that of the first.
        """
        x = self.ln_pre(self.embed(image))
        if self.patches == "surgery":
            return self.second_path(x)
        if self.patches == "plain":
            return self.transformer(x)
        *blocks, final = self.transformer.blocks
        for block in blocks:
            x = block(x)
        return without_mixing(final, x)

    def embed(self, image: Tensor) -> Tensor:
        """image (B, 3, H, W) -> tokens with their positions, (B, 1 + h * w, width); pixels beyond the last
        whole patch are dropped."""
        maps = self.conv1(image)
        first = self.class_embedding.to(maps.dtype).expand(len(maps), 1, -1)
        tokens = torch.cat([first, maps.flatten(2).transpose(1, 2)], dim=1)
        return tokens + self.positions(maps.shape[2], maps.shape[3]).to(maps.dtype)

    def positions(self, high: int, wide: int) -> Tensor:
        """The position table (1 + high * wide, width), resized bicubically for another grid than the trained."""
        grid = self.size.grid
        if (high, wide) == (grid, grid):
            return self.positional_embedding
        first, table = self.positional_embedding.split([1, grid * grid])
        return torch.cat([first, resize_space(table, (1, grid, grid), (high, wide))])

    def second_path(self, x: Tensor) -> Tensor:
        """The blocks of surgery over x (B, 1 + N, width). Of the last one only the class token is taken from the
        first path, so that no other row of it is computed."""
        for block in self.transformer.blocks[:-DUAL_BLOCKS]:
            x = block(x)
        *blocks, final = self.transformer.blocks[-DUAL_BLOCKS:]
        new = original = x
        for block in blocks:
            new, original = two_paths(block, new, original)
        new, original = two_paths(final, new, original, rows=1)
        return torch.cat([original, new[:, 1:]], dim=1)


def two_paths(block: Block, new: Tensor, original: Tensor, rows: int | None = None) -> tuple[Tensor, Tensor]:
    """One block with two streams, each (B, N, width); of the original only the first `rows` come back, all for None.

    The new stream adds up value-value attention over the original one, and never meets an MLP.
    """
    values_mixed, mixed = two_attentions(block.attn, block.ln_1(original), rows)
    original = original[:, :rows] + mixed
    return new + values_mixed, original + block.mlp(block.ln_2(original))


def two_attentions(attention: Attention, y: Tensor, rows: int | None = None) -> tuple[Tensor, Tensor]:
    """Value-value and ordinary attention over y (B, N, width), through the same output projection with its bias.

    Returns (B, N, width), and its like with the first `rows` rows (all for None).
    """
    if rows is None:
        queries, keys, values = attention.project(y)
    else:
        queries, keys, values = attention.project_rows(y, rows)
    return attention.merge(attend(values, values, values)), attention.merge(attend(queries, keys, values))


def without_mixing(block: Block, x: Tensor) -> Tensor:
    """A block where every token attends to itself alone: x (B, N, width) -> the same shape."""
    attention = block.attn
    width = x.shape[-1]
    values = F.linear(
        block.ln_1(x), attention.in_proj_weight[2 * width :], attention.in_proj_bias[2 * width :]
    )
    x = x + attention.out_proj(values)
    return x + block.mlp(block.ln_2(x))
