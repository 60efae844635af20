"""The network as it is used, not trained: the same numbers from fewer, larger steps.

The stem's map has its channels last, and what a token samples are weighted sums of its rows. All that comes before
the first sample is the same for every image, and computed once. Weights may be bfloat16; regions, points and the
weights of interpolation are float32 always.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels.sparseformer import regions
from avmodels.sparseformer.model import Layer, SparseFormer, State, Unit
from avmodels.sparseformer.parts import AdaptiveDecoding, Stem

# What is kept in the precision of the network; all else is of regions.
CAST = (nn.Conv2d, nn.Embedding, nn.LayerNorm, nn.Linear)


def folded(model: SparseFormer, dtype: torch.dtype = torch.float32) -> Folded:
    """A network in the form for use, its weights in `dtype`; later changes of `model` do not reach it."""
    with torch.no_grad():
        return Folded(copy.deepcopy(model).eval(), dtype).eval().requires_grad_(False)


class Table(NamedTuple):
    """A batch of maps as rows (B * positions, C) in float32, with a border of one zero all around.

    `size` is that of one map within its border, (H, W) or (T, H, W).
    """

    rows: Tensor
    size: tuple[int, ...]


class Look(NamedTuple):
    """Where tokens look, (..., N, P, axes), and how they mix what they see: (..., N, C, C) and (..., N, points, P).

    N may be 1 for mixings that all tokens share.
    """

    points: Tensor
    mix_channels: Tensor
    mix_points: Tensor


class Folded(nn.Module):
    """A SparseFormer in evaluation mode."""

    tokens: Tensor
    boxes: Tensor

    def __init__(self, model: SparseFormer, dtype: torch.dtype):
        super().__init__()
        design = model.design
        self.class_token_before, self.head = design.class_token_before, design.head
        self.stem = FoldedStem(model.feat_extractor)
        self.layers = nn.ModuleList(
            FoldedLayer(layer, self.stem.scale) if isinstance(layer, Layer) else layer
            for layer in model.layers
        )
        first, last = self.layers[0], self.layers[-1]
        assert isinstance(first, FoldedLayer) and isinstance(last, FoldedLayer)
        tokens, boxes = first.foresee(model.begin(torch.empty(1)), dtype)
        self.register_buffer("tokens", tokens.to(dtype), persistent=False)
        self.register_buffer("boxes", boxes, persistent=False)
        if last.layer.unit == Unit(design.units[-1].width, ("ATTN", "MLP")):
            self.layers[-1] = Last(last.layer, design.head)
        self.cls_embedding = model.cls_embedding if design.class_token_before is not None else None
        self.norm, self.proj = model.norm, model.proj
        for module in self.modules():
            if isinstance(module, CAST):
                module.to(dtype)

    def forward(self, x: Tensor, projected: bool = True) -> Tensor:
        """As SparseFormer's."""
        table, unit = self.stem(x), 0
        state = State(self.tokens.expand(len(x), -1, -1), self.boxes.expand(len(x), -1, -1))
        for layer in self.layers:
            if isinstance(layer, nn.Sequential):  # to another width
                state = State(layer(state.tokens), state.regions)
                continue
            if unit == self.class_token_before:
                assert self.cls_embedding is not None
                front = self.cls_embedding.weight.expand(len(x), 1, -1)
                state = State(torch.cat([front, state.tokens], dim=1), state.regions)
            state = layer(state, table)
            unit += 1
        features = self.norm(state.tokens.mean(1) if self.head == "mean" else state.tokens[:, 0])
        return self.proj(features) if projected else features


class Last(nn.Module):
    """The last unit, of attention and MLP, for what the head reads alone: one token, or the mean of all."""

    def __init__(self, layer: Layer, head: str):
        super().__init__()
        self.layer, self.head = layer, head

    def forward(self, state: State, table: Table) -> State:
        """The state with one token, (B, 1, width)."""
        layer, (tokens, boxes) = self.layer, state
        if self.head == "first":
            tokens = tokens[:, :1] + self.first(layer.norm1(tokens))
            return State(tokens + layer.mlp(layer.norm2(tokens)), boxes)
        tokens = tokens + layer.attn(layer.norm1(tokens))
        inner = layer.mlp.act(layer.mlp.fc1(layer.norm2(tokens)))
        return State(tokens.mean(1, keepdim=True) + layer.mlp.fc2(inner.mean(1, keepdim=True)), boxes)

    def first(self, x: Tensor) -> Tensor:
        """Attention of the first token to all: x (B, N, width) -> (B, 1, width)."""
        attention, width = self.layer.attn, x.shape[-1]
        weight, bias = attention.qkv.weight, attention.qkv.bias
        queries = F.linear(x[:, :1], weight[:width], bias[:width])
        keys, values = F.linear(x, weight[width:], bias[width:]).chunk(2, dim=-1)
        queries, keys, values = (
            part.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for part in (queries, keys, values)
        )
        return attention.proj(
            F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2)
        )


class FoldedStem(nn.Module):
    """The stem over channels that come last; frames of a video are images.

    The published map is `scale` times this one: its variance may be over one channel less.
    """

    def __init__(self, stem: Stem):
        super().__init__()
        conv, channels = stem.conv1, stem.conv1.out_channels
        self.conv = nn.Conv2d(3, channels, 7, stride=2, padding=3)
        self.conv.weight.data.copy_(conv.weight.view_as(self.conv.weight))
        self.conv.bias = conv.bias
        self.conv.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        share = 1.0 if stem.numerics.biased else (channels - 1) / channels
        self.scale, self.eps = share**0.5, stem.numerics.channel_eps * share

    def forward(self, x: Tensor) -> Table:
        """x (B, 3, H, W) or (B, 3, T, H, W), normalised."""
        frames = x.transpose(1, 2).flatten(0, 1) if x.ndim == 5 else x
        frames = frames.to(self.conv.weight.dtype).contiguous(memory_format=torch.channels_last)
        # The greatest commutes with the activation, and leaves a quarter of the work.
        made = F.max_pool2d(self.conv(frames), 3, stride=2, padding=1).relu().permute(0, 2, 3, 1)
        size = (*x.shape[2:-2], *made.shape[1:3])
        made = F.layer_norm(regions.precise(made), made.shape[3:], eps=self.eps).view(len(x), *size, -1)
        return Table(F.pad(made, (0, 0, *[1, 1] * len(size))).flatten(0, -2), size)


class FoldedLayer(nn.Module):
    """A unit. `foresee` does once what the first pass does before its first look."""

    first_points: Tensor
    first_channels: Tensor
    first_mixed: Tensor

    def __init__(self, layer: Layer, scale: float):
        super().__init__()
        self.layer = layer
        self.foreseen: int | None = None
        if "SAMPLING_M" in layer.unit.ops:
            # The map that is sampled lacks this factor.
            generator: Any = layer.adaptive_mixing.parameter_generator[2]
            for part in (generator.weight, generator.bias):
                part.data[: layer.adaptive_mixing.channels**2] *= scale

    def foresee(self, state: State, dtype: torch.dtype) -> State:
        """The state of the first pass before the first operation that sees an image."""
        layer, ops = self.layer, self.layer.unit.ops
        state = layer.begin(state, 0)
        self.foreseen = ops.index("SAMPLING_M") if "SAMPLING_M" in ops else 0
        for op in ops[: self.foreseen]:
            state = layer.step(op, state, torch.empty(0), 0, None)
        if "SAMPLING_M" in ops:
            alike = bool((state.tokens == state.tokens[:, :1]).all())
            mixings = layer.adaptive_mixing.generate(state.tokens[:, :1] if alike else state.tokens)
            self.register_buffer("first_points", layer.points(state), persistent=False)
            self.register_buffer("first_channels", mixings[0].to(dtype), persistent=False)
            self.register_buffer("first_mixed", mixings[1].to(dtype), persistent=False)
        return state

    def forward(self, state: State, table: Table) -> State:
        """All passes over the state."""
        layer = self.layer
        for number in range(layer.unit.passes):
            ops, look = layer.unit.ops, None
            if number == 0 and self.foreseen is not None:
                ops = ops[self.foreseen :]
                look = (
                    Look(self.first_points, self.first_channels, self.first_mixed)
                    if "SAMPLING_M" in ops
                    else None
                )
            else:
                state = layer.begin(state, number)
            for op in ops:
                if op == "SAMPLING_M":
                    look = look or Look(layer.points(state), *layer.adaptive_mixing.generate(state.tokens))
                    where = look.points.expand(len(state.tokens), -1, -1, -1)
                    seen = gather(table, where, layer.design.padding)
                    state = State(state.tokens + decoded(layer.adaptive_mixing, seen, look), state.regions)
                    look = None
                else:
                    state = layer.step(op, state, table.rows, number, None)
        return state


def decoded(mixing: AdaptiveDecoding, seen: Tensor, look: Look) -> Tensor:
    """What tokens make of what they see: seen (B, N, P, C) -> (B, N, width); see AdaptiveDecoding."""
    weight = mixing.out_proj.weight
    x = seen.to(weight.dtype) @ look.mix_channels
    if mixing.m_beta is not None:
        x = F.gelu(x.add_(mixing.m_beta))
    x = look.mix_points @ x
    if mixing.s_beta is not None:
        x = x.add_(mixing.s_beta[:, None])
    return mixing.out_proj(F.gelu(x).flatten(2))


def gather(table: Table, where: Tensor, padding: str) -> Tensor:
    """The map at points, by linear interpolation: where (B, N, P, axes) in [0, 1] -> (B, N, P, C); see regions.sample."""
    size = torch.tensor(table.size[::-1], device=where.device)  # x, y, t
    around = (size + 2).cumprod(0)
    strides = around // (size + 2)
    edge = 0 if padding == "border" else 1
    place = torch.minimum((where * size - 0.5).clamp(min=-edge), size - 1 + edge)
    low = torch.minimum(place.floor(), size - 1)
    share = place - low
    index = ((low.long() + 1) * strides).sum(-1)
    index = index + torch.arange(len(where), device=where.device).view(-1, 1, 1) * around[-1]
    index, weight = index.unsqueeze(-1), torch.ones_like(share[..., :1])
    for axis in range(len(size)):  # both neighbours on every axis
        index = torch.cat([index, index + strides[axis]], dim=-1)
        part = share[..., axis, None]
        weight = torch.cat([weight * (1 - part), weight * part], dim=-1)
    count = index.shape[-1]
    summed = F.embedding_bag(
        index.view(-1, count), table.rows, per_sample_weights=weight.view(-1, count), mode="sum"
    )
    return summed.view(*where.shape[:-1], -1)
