"""The video transformer, which drops tokens that little attention falls on, never those of the keyframe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from timm.layers.drop import DropPath
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avmodels.nn.attention import Attention, Block
from avmodels.nn.embedding import TubeletEmbedding
from avmodels.nn.positions import resize_space, sinusoid

# Attention of one clip that is held at once, in all heads: 16 MB of float32, which stay near the processor.
SCORES = 2**22


@dataclass(frozen=True)
class EncoderSize:
    """The numbers of one encoder: a token covers `tubelet` frames x patch x patch pixels.

    `maps` are the blocks after which the pyramid reads the keyframe, from fine to coarse; the position table
    is that of frames of `trained_side` pixels.
    """

    width: int
    depth: int
    heads: int
    maps: tuple[int, ...]
    mlp_ratio: float = 4.0
    frames: int = 16
    tubelet: int = 2
    patch: int = 16
    trained_side: int = 224
    bias: bool = True

    @property
    def steps(self) -> int:
        """Time slices of a clip."""
        return self.frames // self.tubelet


class Encoded(NamedTuple):
    """What the encoder makes of B clips of a grid of (steps, h, w) tokens.

    tokens (B, h * w + n, width): those of the keyframe, then the n kept of the other slices. kept (B, n):
    which these are among the non-key tokens in order of time. maps: the keyframe after some blocks,
    (B, width, h, w) each.
    """

    tokens: Tensor
    kept: Tensor
    maps: list[Tensor]
    grid: tuple[int, int, int]

    @property
    def key_tokens(self) -> int:
        """Tokens of one slice."""
        return self.grid[1] * self.grid[2]


class Positions(nn.Module):
    """The fixed sinusoid table of the trained grid, resized in space to that of a clip; (tokens, width).

    As published, a grid of as many cells as the trained one keeps the table as it is, square or not.
    """

    trained: Tensor

    def __init__(self, steps: int, side: int, width: int):
        super().__init__()
        self.grid = (steps, side, side)
        self.register_buffer("trained", sinusoid(steps * side * side, width), persistent=False)
        self._last: tuple[tuple[int, int], Tensor] | None = None

    def forward(self, high: int, wide: int) -> Tensor:
        """The table of steps x high x wide tokens, made once for clips of equal size."""
        if high * wide == self.grid[1] * self.grid[2]:
            return self.trained
        if self._last is None or self._last[0] != (high, wide) or self._last[1].device != self.trained.device:
            self._last = (high, wide), resize_space(self.trained, self.grid, (high, wide))
        return self._last[1]


def key_first(steps: int) -> list[int]:
    """The order in which slices enter the encoder: the keyframe's, which is the middle one, then the rest."""
    key = steps // 2
    return [key, *range(key), *range(key + 1, steps)]


class WeighingAttention(Attention):
    """Attention that also tells how much of it falls on each token that is not of the keyframe."""

    def mix_and_weigh(self, x: Tensor, key_tokens: int, key_weight: float) -> tuple[Tensor, Tensor]:
        """x (B, N, width) -> the mixed values before their projection, (B, N, width), and the importance of
        the tokens after the first `key_tokens`, (B, N - key_tokens), in float32.

        Importance is the mean attention over heads and queries, those of the keyframe counting `key_weight`
        times (yet divided by N, not by the sum of weights). Never holds attention between all tokens.
        """
        queries, keys, values = self._project(x, 0)
        queries, keys = queries.float() * queries.shape[-1] ** -0.5, keys.float().contiguous()
        values = values.contiguous()
        tokens = x.shape[1]
        rows = max(SCORES // (self.heads * tokens), 1)
        weights = torch.ones(tokens, device=x.device)
        weights[:key_tokens] = key_weight
        # Recomputed in the backward pass, so that training holds no more than a tile either.
        attend: Any = partial(checkpoint, _tile, use_reentrant=False) if torch.is_grad_enabled() else _tile
        mixed, importance = [], torch.zeros(len(x), tokens, device=x.device)
        for tile, weight in zip(queries.split(rows, dim=2), weights.split(rows), strict=True):
            part, weighed = attend(tile, keys, values, weight)
            mixed.append(part)
            importance = importance + weighed
        together = torch.cat(mixed, dim=2).transpose(1, 2).flatten(2)
        return together, importance[:, key_tokens:] / tokens


def _tile(queries: Tensor, keys: Tensor, values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Attention of some queries, and its mean over heads, summed over queries with weights: (B, N)."""
    # Tensors without data, of which only the cost is counted, have no autocast of their own.
    kind = "cpu" if queries.is_meta else queries.device.type
    with torch.autocast(kind, enabled=False):
        attention = (queries @ keys.transpose(-2, -1)).softmax(-1)
        weighed = (weights @ attention.detach()).mean(1)
        return attention.to(values.dtype) @ values, weighed


class TokenDropout(nn.Module):
    """Chooses the tokens to keep: a share `keep_rate` of all, the keyframe's counted and always kept."""

    def __init__(self, keep_rate: float):
        super().__init__()
        self.keep_rate = keep_rate

    def forward(self, importance: Tensor, key_tokens: int) -> Tensor:
        """importance (B, n) of the non-key tokens -> which are kept, (B, k), in order of falling importance.

        Where the share rounds up to all of them, they stay in their order.
        """
        tokens = key_tokens + importance.shape[1]
        keep = math.ceil(self.keep_rate * tokens)
        if keep == tokens:
            return torch.arange(importance.shape[1], device=importance.device).expand(importance.shape)
        return importance.topk(keep - key_tokens, dim=1).indices


class DroppingBlock(nn.Module):
    """A Block whose MLP and followers see only the tokens that its attention shows to matter."""

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_ratio: float,
        drop_path: float,
        bias: bool,
        keep_rate: float,
        key_weight: float,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = WeighingAttention(width, heads, bias)
        self.dropout = TokenDropout(keep_rate)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, int(width * mlp_ratio))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.key_weight = key_weight

    def forward(self, x: Tensor, kept: Tensor, key_tokens: int) -> tuple[Tensor, Tensor]:
        """x (B, key_tokens + n, width), kept (B, n): the numbers of the last n -> what remains of both."""
        mixed, importance = self.attn.mix_and_weigh(self.norm1(x), key_tokens, self.key_weight)
        chosen = self.dropout(importance, key_tokens)
        # Only what remains is projected.
        mixed = self.attn.proj(_survivors(mixed, chosen, key_tokens))
        x = _survivors(x, chosen, key_tokens) + self.drop_path(mixed)
        return x + self.drop_path(self.mlp(self.norm2(x))), kept.gather(1, chosen)


def _survivors(x: Tensor, chosen: Tensor, key_tokens: int) -> Tensor:
    """The rows of the keyframe, and after them the chosen ones of the others."""
    others = x[:, key_tokens:].gather(1, chosen[..., None].expand(-1, -1, x.shape[-1]))
    return torch.cat([x[:, :key_tokens], others], dim=1)


class Encoder(nn.Module):
    """Tubelet embedding, positions, and blocks of which some drop tokens.

    `keep_rates` has one share for each block (1: drops none); `key_weight` is how much the keyframe's queries
    count in what is dropped.
    """

    def __init__(
        self,
        size: EncoderSize,
        keep_rates: tuple[float, ...],
        key_weight: float = 1.0,
        drop_path: float = 0.0,
    ):
        super().__init__()
        if size.steps % 2:
            raise ValueError(f"{size.frames} frames make {size.steps} time slices; their number must be even")
        self.size = size
        self.checkpointing = False
        self.patch_embed = TubeletEmbedding(size.width, size.patch, size.tubelet)
        self.positions = Positions(size.steps, size.trained_side // size.patch, size.width)
        blocks = []
        for keep, rate in zip(keep_rates, np.linspace(0, drop_path, size.depth).tolist(), strict=True):
            shape = (size.width, size.heads, size.mlp_ratio, rate, size.bias)
            blocks.append(Block(*shape) if keep == 1 else DroppingBlock(*shape, keep, key_weight))
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(size.width, eps=1e-6)

    def forward(self, video: Tensor) -> Encoded:
        """video (B, 3, frames, H, W), normalised, H and W multiples of the patch."""
        high, wide = (side // self.size.patch for side in video.shape[3:])
        return self.encode(self.patch_embed(video), high, wide)

    def encode(self, x: Tensor, high: int, wide: int) -> Encoded:
        """x (B, steps * high * wide, width), embedded tubelets without positions, in order of time."""
        steps, key_tokens = self.size.steps, high * wide
        x = x + self.positions(high, wide).to(x.dtype)
        x = x.unflatten(1, (steps, key_tokens))[:, key_first(steps)].flatten(1, 2)
        kept = torch.arange((steps - 1) * key_tokens, device=x.device).expand(len(x), -1)
        maps = {}
        for number, block in enumerate(self.blocks):
            if isinstance(block, DroppingBlock):
                x, kept = self._again(block)(x, kept, key_tokens)
            else:
                x = self._again(block)(x)
            if number in self.size.maps:
                maps[number] = x[:, :key_tokens].transpose(1, 2).unflatten(2, (high, wide))
        return Encoded(self.norm(x), kept, [maps[number] for number in self.size.maps], (steps, high, wide))

    def _again(self, call: Any) -> Any:
        """The call, its activations computed again in the backward pass where that is asked for."""
        again = self.checkpointing and torch.is_grad_enabled()
        return partial(checkpoint, call, use_reentrant=False) if again else call
