"""The networks: a video classifier, and the masked autoencoder that pre-trains its trunk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avmodels.nn.attention import Block
from avmodels.nn.embedding import TubeletEmbedding
from avmodels.nn.positions import resize_space, resize_time, sinusoid


@dataclass(frozen=True)
class Size:
    """The numbers of one model: a token covers 2 frames x patch x patch pixels."""

    patch: int
    width: int
    depth: int
    heads: int
    decoder_width: int
    decoder_heads: int
    mlp_ratio: float = 4.0
    tubelet: int = 2


SIZES = {
    "vit-tiny": Size(patch=8, width=96, depth=4, heads=3, decoder_width=48, decoder_heads=3),
    "vit-s": Size(patch=16, width=384, depth=12, heads=6, decoder_width=192, decoder_heads=3),
    "vit-b": Size(patch=16, width=768, depth=12, heads=12, decoder_width=384, decoder_heads=6),
    "vit-l": Size(patch=16, width=1024, depth=24, heads=16, decoder_width=512, decoder_heads=8),
    "vit-h": Size(patch=16, width=1280, depth=32, heads=16, decoder_width=512, decoder_heads=8),
    "vit-g": Size(
        patch=14, width=1408, depth=40, heads=16, decoder_width=512, decoder_heads=8, mlp_ratio=48 / 11
    ),
}

# The grid every published model was trained on is that of 16 frames of 224 x 224.
TRAINED_FRAMES = 16
TRAINED_SIDE = 224


def grid(size: Size, frames: int, side: int) -> tuple[int, int, int]:
    """Tokens along time, height and width of a clip of `frames` square frames of `side` pixels."""
    return frames // size.tubelet, side // size.patch, side // size.patch


class Trunk(nn.Module):
    """Tubelet embedding, positions and blocks: what the classifier and the autoencoder's encoder share."""

    positions: Tensor

    def __init__(self, size: Size, frames: int, side: int, drop_path: float = 0.0, bias: bool = True):
        super().__init__()
        if side % size.patch or frames % size.tubelet:
            raise ValueError(
                f"{frames} frames of {side} x {side} cannot be cut into "
                f"{size.tubelet} x {size.patch} x {size.patch} tubelets"
            )
        self.grid = grid(size, frames, side)
        self.checkpointing = False
        self.patch_embed = TubeletEmbedding(size.width, size.patch, size.tubelet)
        rates = np.linspace(0, drop_path, size.depth).tolist()
        self.blocks = nn.ModuleList(
            Block(size.width, size.heads, size.mlp_ratio, rate, bias) for rate in rates
        )
        tokens = self.grid[0] * self.grid[1] * self.grid[2]
        self.register_buffer("positions", sinusoid(tokens, size.width), persistent=False)

    def set_checkpointing(self, on: bool) -> None:
        """Whether the backward pass computes activations again instead of keeping them."""
        self.checkpointing = on

    def trunk(self, video: Tensor, tokens: Tensor | None = None) -> Tensor:
        """video (B, 3, T, H, W) -> (B, N, width); with `tokens` (B, n), of those tokens alone: (B, n, width)."""
        positions = self.positions if tokens is None else self.positions[tokens]
        x = self.patch_embed(video, tokens)
        return run(self.blocks, x + positions.to(x.dtype), self.checkpointing)


def run(blocks: nn.ModuleList, x: Tensor, checkpointing: bool, last: int = 0) -> Tensor:
    """x (B, N, width) through the blocks; the final one computes only the last `last` rows (0: all).

    With `checkpointing`, activations inside a block are computed again in the backward pass, not kept.
    """
    final = len(blocks) - 1
    for number, block in enumerate(blocks):
        rows = last if number == final else 0
        again = checkpointing and torch.is_grad_enabled()
        call: Any = partial(checkpoint, block, use_reentrant=False) if again else block
        x = call(x, rows)
    return x


class Classifier(Trunk):
    """A clip's class, or its feature vector, from the mean over all tokens.

    With `mean_pooling` off the feature is that of the first patch (there is no class token), and the final
    norm is called `norm` instead of `fc_norm`.
    """

    def __init__(
        self,
        size: Size,
        classes: int,
        frames: int = TRAINED_FRAMES,
        side: int = TRAINED_SIDE,
        drop_path: float = 0.0,
        head_dropout: float = 0.0,
        head_scale: float = 0.001,
        mean_pooling: bool = True,
        bias: bool = True,
    ):
        super().__init__(size, frames, side, drop_path, bias)
        final = nn.LayerNorm(size.width, eps=1e-6)
        self.norm = nn.Identity() if mean_pooling else final
        self.fc_norm = final if mean_pooling else None
        self.head_dropout = nn.Dropout(head_dropout)
        self.head = nn.Linear(size.width, classes)
        self._initialise(head_scale)

    def features(self, video: Tensor) -> Tensor:
        """video (B, 3, T, H, W) -> (B, width)."""
        x = self.norm(self.trunk(video))
        return x[:, 0] if self.fc_norm is None else self.fc_norm(x.mean(1))

    def forward(self, video: Tensor) -> Tensor:
        """video (B, 3, T, H, W), normalised -> logits (B, classes)."""
        return self.head(self.head_dropout(self.features(video)))

    @torch.no_grad()
    def _initialise(self, head_scale: float) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                # Cut off at +-2, a hundred deviations: what the published code does, though it hardly ever bites.
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.head.weight.mul_(head_scale)
        self.head.bias.mul_(head_scale)


class Encoder(Trunk):
    """The trunk over visible tokens, with a norm on every token."""

    def __init__(self, size: Size, frames: int, side: int, bias: bool = True):
        super().__init__(size, frames, side, bias=bias)
        self.norm = nn.LayerNorm(size.width, eps=1e-6)

    def forward(self, video: Tensor, tokens: Tensor) -> Tensor:
        """video (B, 3, T, H, W), tokens (B, n) -> (B, n, width)."""
        return self.norm(self.trunk(video, tokens))


class Decoder(nn.Module):
    """A narrow transformer that predicts the pixels of the tokens at its end."""

    def __init__(self, size: Size, depth: int, bias: bool = True):
        super().__init__()
        width = size.decoder_width
        self.checkpointing = False
        self.blocks = nn.ModuleList(
            Block(width, size.decoder_heads, size.mlp_ratio, bias=bias) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, 3 * size.tubelet * size.patch**2)

    def forward(self, x: Tensor, last: int) -> Tensor:
        """x (B, N, width) -> the pixels of its last `last` tokens, (B, last, 3 * tubelet * patch * patch)."""
        return self.head(self.norm(run(self.blocks, x, self.checkpointing, last)))


class MaskedAutoencoder(nn.Module):
    """Encodes the visible tokens of a clip and reconstructs those the decoder's mask keeps.

    A kept position that the encoder saw enters the decoder twice, encoded and as a mask token: both take
    part in attention.
    """

    positions: Tensor

    def __init__(
        self,
        size: Size,
        frames: int = TRAINED_FRAMES,
        side: int = TRAINED_SIDE,
        decoder_depth: int = 4,
        bias: bool = True,
    ):
        super().__init__()
        self.size = size
        self.encoder = Encoder(size, frames, side, bias)
        self.encoder_to_decoder = nn.Linear(size.width, size.decoder_width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, size.decoder_width))
        self.decoder = Decoder(size, decoder_depth, bias)
        table = sinusoid(len(self.encoder.positions), size.decoder_width)
        self.register_buffer("positions", table, persistent=False)
        self._initialise()

    def set_checkpointing(self, on: bool) -> None:
        """Whether the backward pass computes activations again instead of keeping them."""
        self.encoder.checkpointing = self.decoder.checkpointing = on

    def forward(self, video: Tensor, visible: Tensor, kept: Tensor) -> Tensor:
        """The predicted pixels of the kept tokens.

        video (B, 3, T, H, W), normalised; visible (B, v) and kept (B, k): increasing flat token numbers the
        encoder sees and the decoder reconstructs. Returns (B, k, 3 * tubelet * patch * patch).
        """
        seen = self.encoder_to_decoder(self.encoder(video, visible))
        positions = self.positions.to(seen.dtype)
        queries = self.mask_token.to(seen.dtype) + positions[kept]
        return self.decoder(torch.cat([seen + positions[visible], queries], dim=1), kept.shape[1])

    def _initialise(self) -> None:
        for part in (self.encoder, self.decoder):
            for module in part.modules():
                if isinstance(module, nn.Linear):
                    nn.init.xavier_uniform_(module.weight)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.02, b=0.02)


def interpolated_positions(size: Size, frames: int, side: int) -> Tensor:
    """The table of the trained grid, resized in space and time to that of `frames` and `side`."""
    time, high, wide = grid(size, TRAINED_FRAMES, TRAINED_SIDE)
    steps, rows, _ = grid(size, frames, side)
    table = sinusoid(time * high * wide, size.width)
    table = resize_space(table, (time, high, wide), rows) if rows != high else table
    return resize_time(table, (time, rows, rows), steps) if steps != time else table


def official_positions(size: Size, frames: int, side: int) -> Tensor:
    """What the published loader leaves for other inputs than 16 frames of 224 x 224.

    It resizes the table of the new grid as if that were of 8 time steps, so that 288-pixel frames get a fresh
    table, 64 frames of 266 pixels (the giant's best published result) a doubly resized one, and most others
    fail: ValueError where the published code fails or leaves a table of the wrong length.
    """
    steps, rows, _ = grid(size, frames, side)
    table = sinusoid(steps * rows * rows, size.width)
    assumed = TRAINED_FRAMES // size.tubelet
    try:
        if side != TRAINED_SIDE:
            seen = int((len(table) // assumed) ** 0.5)
            table = resize_space(table, (assumed, seen, seen), rows)
        if frames != TRAINED_FRAMES:
            seen = int((len(table) // assumed) ** 0.5)
            table = resize_time(table, (assumed, seen, seen), steps)
    except RuntimeError as error:
        raise ValueError(
            f"the published loader cannot make positions for {frames} frames of {side}"
        ) from error
    return table


def positions_for(mode: str, size: Size, frames: int, side: int) -> Tensor:
    """The position table (tokens, width) of a clip: mode `fresh`, `interpolate` or `official`.

    Raises ValueError where the published procedure gives no table that fits.
    """
    if mode == "interpolate":
        return interpolated_positions(size, frames, side)
    time, high, wide = grid(size, frames, side)
    if mode == "fresh":
        return sinusoid(time * high * wide, size.width)
    table = official_positions(size, frames, side)
    if len(table) != time * high * wide:
        raise ValueError(
            f"the published positions for {frames} frames of {side} have {len(table)} rows, "
            f"the clip has {time * high * wide} tokens"
        )
    return table
