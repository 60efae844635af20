"""The networks: a video encoder with divided space-time attention, CLIP's text encoder, and the sorter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block as JointBlock
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avmodels.nn.clip_blocks import Mlp, QuickGELU
from avmodels.nn.clip_text import BASE, HUGE, TextEncoder, TextSize
from avmodels.nn.embedding import pick_tubelets

Along = Literal["time", "space"]


@dataclass(frozen=True)
class Size:
    """The numbers of one model: frames of side x side pixels, cut into patches of patch x patch.

    `quick_gelu` is OpenAI's x sigmoid(1.702 x) for the exact GELU, in both encoders. `sorts_normed` says what
    the sorter sees of the video: every token after the final norm, or the patches alone and without it. It tells
    `transcripts` places apart.
    """

    patch: int
    width: int
    depth: int
    heads: int
    text: TextSize
    sort_heads: int
    sort_depth: int = 2
    quick_gelu: bool = True
    sorts_normed: bool = True
    side: int = 224
    frames: int = 12
    transcripts: int = 4

    @property
    def patches(self) -> int:
        """Patches of one frame."""
        return (self.side // self.patch) ** 2


SIZES = {
    "vit-tiny": Size(8, 96, 4, 3, TextSize(64, 64, 4, 2), sort_heads=2, side=32, frames=8),
    "vit-b-32": Size(32, 768, 12, 12, BASE, sort_heads=8),
    "vit-b-16": Size(16, 768, 12, 12, BASE, sort_heads=8),
    "vit-h-14": Size(14, 1280, 32, 16, HUGE, sort_heads=16, quick_gelu=False, sorts_normed=False),
}


def activation(size: Size) -> Callable[[], nn.Module]:
    """What stands between the two maps of an MLP."""
    return QuickGELU if size.quick_gelu else nn.GELU


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(queries keys^T / sqrt(d)) values, for (batch, heads, rows, d) each.

    PyTorch's fused kernel, except for bf16 on the CPU without gradients, where the plain products are faster
    on groups as small as those of divided attention.
    """
    if queries.dtype != torch.bfloat16 or queries.device.type != "cpu" or torch.is_grad_enabled():
        return F.scaled_dot_product_attention(queries, keys, values)
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-2, -1)
    return scores.softmax(-1) @ values


class DividedAttention(nn.Module):
    """Self-attention of a class token to everything, and of each patch to the class token and its group.

    Along time a group is one patch in all frames, in space all patches of one frame (Frozen in Time, arXiv
    2104.00650). Tokens are the class token, then the patches frame by frame.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, frames: int, along: Along) -> Tensor:
        """x (B, 1 + frames * n, width) -> the same shape."""
        batch = len(x)
        parts = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 1, 3, 4)  # (3, B, N, heads, d)
        first = attend(*(part.transpose(1, 2) for part in (parts[0, :, :1], parts[1], parts[2])))
        groups = parts[:, :, 1:].unflatten(2, (frames, -1))  # (3, B, frames, n, heads, d)
        if along == "time":
            groups = groups.transpose(2, 3)
        shared = parts[1:, :, None, :1].expand(-1, -1, groups.shape[2], -1, -1, -1)
        keys, values = torch.cat([shared, groups[1:]], dim=3)
        mixed = attend(*(part.flatten(0, 1).transpose(1, 2) for part in (groups[0], keys, values)))
        mixed = mixed.transpose(1, 2).unflatten(0, (batch, -1))
        if along == "time":
            mixed = mixed.transpose(1, 2)
        joined = torch.cat([first.transpose(1, 2), mixed.flatten(1, 2)], dim=1)
        return self.proj(joined.flatten(2))

    def first(self, x: Tensor) -> Tensor:
        """x (B, N, width) -> what `forward` gives for the class token alone, (B, 1, width)."""
        width = x.shape[-1]
        query = F.linear(x[:, :1], self.qkv.weight[:width], self.qkv.bias[:width])
        keys, values = F.linear(x, self.qkv.weight[width:], self.qkv.bias[width:]).chunk(2, dim=-1)
        parts = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (query, keys, values))
        return self.proj(attend(*parts).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention along time, attention in space, MLP.

    What attention along time adds reaches the result only as the input of attention in space: the sum after
    that is with the block's input.
    """

    def __init__(self, width: int, heads: int, activation: Callable[[], nn.Module]):
        super().__init__()
        self.ln_3 = nn.LayerNorm(width)
        self.timeattn = DividedAttention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.attn = DividedAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, activation)
        # A new model adds nothing along time; the rows of ones are the published start, and tell channels
        # apart only once qkv has learned.
        nn.init.zeros_(self.timeattn.qkv.weight)
        nn.init.zeros_(self.timeattn.qkv.bias)
        nn.init.ones_(self.timeattn.proj.weight)
        nn.init.zeros_(self.timeattn.proj.bias)

    def forward(self, x: Tensor, frames: int, first_only: bool = False) -> Tensor:
        """x (B, 1 + frames * n, width) -> the same shape, or (B, 1, width) of the class token alone."""
        timed = self.ln_1(x + self.timeattn(self.ln_3(x), frames, "time"))
        if first_only:
            x = x[:, :1] + self.attn.first(timed)
        else:
            x = x + self.attn(timed, frames, "space")
        return x + self.mlp(self.ln_2(x))


class VideoEncoder(nn.Module):
    """A clip as one vector: CLIP's image encoder with attention along time put into every block."""

    def __init__(self, size: Size):
        super().__init__()
        if size.side % size.patch:
            raise ValueError(f"frames of {size.side} cannot be cut into patches of {size.patch}")
        self.size = size
        self.checkpointing = False
        width, scale = size.width, size.width**-0.5
        self.conv1 = nn.Conv2d(3, width, size.patch, size.patch, bias=False)
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(1 + size.patches, width))
        self.temporal_embedding = nn.Parameter(scale * torch.randn(size.frames, width))
        self.ln_pre = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, size.heads, activation(size)) for _ in range(size.depth))
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, size.text.embedding))

    def embed(self, video: Tensor, keep: Tensor | None = None) -> Tensor:
        """The tokens that enter the blocks.

        video (B, T, 3, H, W); keep (B, n): the patches kept, in that order, in every frame (all when None).
        Returns (B, 1 + T * n, width). Raises ValueError for more frames than there are positions in time.
        """
        frames = video.shape[1]
        if frames > len(self.temporal_embedding):
            raise ValueError(
                f"a clip has {frames} frames, the model has positions for {len(self.temporal_embedding)}"
            )
        place = self.positional_embedding[1:]
        if keep is None:
            patches = self.conv1(video.flatten(0, 1)).flatten(2).transpose(1, 2).unflatten(0, (-1, frames))
        else:
            patches = self._kept(video, keep)
            place = place[keep][:, None]
        patches = patches + place + self.temporal_embedding[:frames, None]
        first = (self.class_embedding + self.positional_embedding[0]).expand(len(video), 1, -1)
        return self.ln_pre(torch.cat([first.to(patches.dtype), patches.flatten(1, 2)], dim=1))

    def features(self, video: Tensor, keep: Tensor | None = None, first_only: bool = False) -> Tensor:
        """The tokens that leave the blocks, (B, 1 + T * n, width), or the class token alone, (B, 1, width)."""
        frames, final = video.shape[1], len(self.blocks) - 1
        x = self.embed(video, keep)
        for number, block in enumerate(self.blocks):
            alone = first_only and number == final
            again = self.checkpointing and torch.is_grad_enabled()
            call: Any = partial(checkpoint, block, use_reentrant=False) if again else block
            x = call(x, frames, alone)
        return x

    def forward(self, video: Tensor, keep: Tensor | None = None) -> Tensor:
        """video (B, T, 3, H, W) or pictures (B, 3, H, W), normalised -> embeddings (B, E), of any length."""
        video = video[:, None] if video.ndim == 4 else video
        return self.ln_post(self.features(video, keep, first_only=True)[:, 0]) @ self.proj

    def with_tokens(self, video: Tensor, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The embeddings (B, E), and the tokens that the sorter sees: (B, 1 + T * n, E) with the class token
        where the size says `sorts_normed`, else (B, T * n, E)."""
        x = self.features(video, keep)
        if self.size.sorts_normed:
            tokens = self.ln_post(x) @ self.proj
            return tokens[:, 0], tokens
        return self.ln_post(x[:, 0]) @ self.proj, x[:, 1:] @ self.proj

    def _kept(self, video: Tensor, keep: Tensor) -> Tensor:
        """The embedded patches (B, T, n, width) of some places; the others' pixels are not read."""
        start = self.size.patches * torch.arange(video.shape[1], device=keep.device)
        tokens = (start[:, None] + keep[:, None]).flatten(1)
        pixels = pick_tubelets(video.transpose(1, 2), tokens, 1, self.size.patch)
        embedded = F.linear(pixels.flatten(2), self.conv1.weight.flatten(1))
        return embedded.unflatten(1, (video.shape[1], -1))


class Sorter(nn.Module):
    """Tells from a clip at which place each of its transcripts was spoken.

    The transcripts carry no positions: permuted transcripts give permuted answers.
    """

    def __init__(self, width: int, heads: int, depth: int = 2, places: int = 4):
        super().__init__()
        norm: Any = partial(nn.LayerNorm, eps=1e-6)
        self.type_embed = nn.Parameter(torch.zeros(1, 2, width))
        self.blocks = nn.ModuleList(
            JointBlock(width, heads, qkv_bias=True, norm_layer=norm) for _ in range(depth)
        )
        self.norm = norm(width)
        self.head = nn.Linear(width, places)

    def forward(self, text: Tensor, video: Tensor) -> Tensor:
        """text (B, K, E), video tokens (B, M, E) -> the logits of each transcript's place, (B, K, places)."""
        kinds = self.type_embed[:, :, None]
        x = torch.cat([video + kinds[:, 0], text + kinds[:, 1]], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, -text.shape[1] :]))


class Matched(NamedTuple):
    """What training sees of a batch: embeddings (B, E) of any length, and the logits of every transcript's
    place (B, K, places), None where each clip has one text."""

    video: Tensor
    text: Tensor
    places: Tensor | None


class TVTS(nn.Module):
    """A video encoder and a text encoder with one space, and the sorter that trains them.

    A model that is only used needs no sorter.
    """

    def __init__(self, size: Size, sorts: bool = True):
        super().__init__()
        self.size = size
        self.video = VideoEncoder(size)
        self.text = TextEncoder(size.text, activation(size))
        self.sorter = (
            Sorter(size.text.embedding, size.sort_heads, size.sort_depth, size.transcripts) if sorts else None
        )

    def forward(self, video: Tensor, tokens: Tensor, keep: Tensor | None = None, texts: int = 1) -> Matched:
        """video (B, T, 3, H, W), normalised; tokens (texts * B, length), text k of clip b in row k * B + b;
        keep (B, n): the patches kept in every frame.

        A clip's text embedding is the mean over its texts. The sorter's errors do not reach the text encoder.
        """
        text = self.text(tokens).unflatten(0, (texts, -1))
        if texts == 1 or self.sorter is None:
            return Matched(self.video(video, keep), text.mean(0), None)
        embedding, seen = self.video.with_tokens(video, keep)
        return Matched(embedding, text.mean(0), self.sorter(text.detach().transpose(0, 1), seen))
