"""The network: a few tokens, each with a region of the image or video that it samples, moves and understands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from timm.layers.activations import QuickGELU
from timm.layers.drop import drop_path
from timm.layers.mlp import Mlp
from torch import Tensor, nn

from avmodels.sparseformer import regions
from avmodels.sparseformer.parts import NUMERICS, AdaptiveDecoding, Attention, Stem

# The operations of a unit, by their published names: attention and MLP are those of a transformer; the others
# move the regions, sample and decode, and add an encoding of the regions.
Op = Literal["ATTN", "MLP", "ROI_ADJ", "SAMPLING_M", "PE_INJECT"]
OPS: tuple[Op, ...] = get_args(Op)
REGION_OPS = ("ROI_ADJ", "SAMPLING_M", "PE_INJECT")
# The decoding has at least so many points, in all but the code that trained version 1.
LEAST_OUT_POINTS = 32
HEAD_WIDTH = 64


@dataclass(frozen=True)
class Unit:
    """One layer of the network: its width, its operations in order, and how often it is passed through."""

    width: int
    ops: tuple[Op, ...]
    passes: int = 1

    @staticmethod
    def parse(text: str) -> Unit:
        """A unit in words, such as `256x4 ATTN ROI_ADJ SAMPLING_M MLP` (width, passes, operations) or `512 MLP`.

        Raises ValueError for other words.
        """
        found = re.fullmatch(r"(\d+)(?:x(\d+))?((?: [A-Z_]+)+)", text)
        if not found:
            raise ValueError(f"{text!r} is no unit; write WIDTHxPASSES OP OP ..., with {', '.join(OPS)}")
        ops: Any = tuple(found[3].split())
        return Unit(int(found[1]), ops, int(found[2] or 1))


@dataclass(frozen=True)
class Design:
    """Everything that makes a network.

    `tokens` does not count the class token, which stands before the others from unit `class_token_before` on.
    `heads` is the number of attention heads of every unit; None: one for every 64 channels.
    `generator`: the inner width of the mixings' generator, or a fraction of the unit's.
    `quick_gelu`: the activation of the MLPs in units of one pass. `clamp`: whether the gradients of the sampled
    points are clamped to one pixel of the feature map. `video_encoding`: what encodes the regions of a video:
    `nothing`, as published, so that all tokens get the same, or their `space`, as in an image. `numerics`:
    `library` or `training`, see parts.NUMERICS.

    Raises ValueError where the parts do not fit together.
    """

    units: tuple[Unit, ...]
    tokens: int
    points: int
    channels: int
    shared_embedding: bool = False
    class_token_before: int | None = None
    head: Literal["mean", "first"] = "mean"
    heads: int | None = 64
    adjustment: Literal["linear", "mlp"] = "linear"
    generator: int | float = 0.25
    mixing_bias: bool = True
    transition_norm: bool = True
    stage_embedding: bool = False
    padding: Literal["zeros", "border"] = "zeros"
    quick_gelu: bool = False
    clamp: bool = False
    video_encoding: Literal["nothing", "space"] = "nothing"
    eps: float = 1e-6
    numerics: Literal["library", "training"] = "library"

    def __post_init__(self) -> None:
        if not self.units:
            raise ValueError("a network needs a unit")
        if self.class_token_before is not None and not 0 <= self.class_token_before < len(self.units):
            raise ValueError(f"no class token can stand before unit {self.class_token_before}: there is none")
        for number, unit in enumerate(self.units):
            where = f"unit {number}"
            if unit.width < 1 or unit.passes < 1:
                raise ValueError(f"{where}: width and passes are at least 1")
            unknown = [op for op in unit.ops if op not in OPS]
            if unknown:
                raise ValueError(f"{where}: no operation {unknown[0]!r}; there are {', '.join(OPS)}")
            late = self.class_token_before is not None and number >= self.class_token_before
            if late and any(op in REGION_OPS for op in unit.ops):
                raise ValueError(
                    f"{where}: the class token has no region, so regions are of no use from unit "
                    f"{self.class_token_before} on, where it is put in"
                )
            if "ATTN" in unit.ops and unit.width % self.heads_of(unit.width):
                raise ValueError(
                    f"{where}: {self.heads_of(unit.width)} heads cannot share {unit.width} channels"
                )
            if "PE_INJECT" in unit.ops and unit.width % 8:
                raise ValueError(
                    f"{where}: a position encoding needs a multiple of 8 channels, not {unit.width}"
                )

    def heads_of(self, width: int) -> int:
        """The attention heads of a unit of that width."""
        return self.heads or max(width // HEAD_WIDTH, 1)

    def generator_width(self, width: int) -> int:
        """The inner width of the mixings' generator in a unit of that width."""
        return int(width * self.generator) if isinstance(self.generator, float) else self.generator

    @property
    def out_points(self) -> int:
        """The points that decoding mixes the sampled ones into."""
        return self.points if self.numerics == "training" else max(self.points, LEAST_OUT_POINTS)


def version_1(tokens: int, focusing: int, cortex: int, depth: int) -> Design:
    """The published SparseFormer: one unit of width `focusing` passed four times, `depth` of width `cortex`."""
    look: tuple[Op, ...] = ("ATTN", "ROI_ADJ", "SAMPLING_M", "MLP")
    think = Unit(cortex, ("ATTN", "MLP"))
    units = (Unit(focusing, look, 4), Unit(cortex, look), *[think] * (depth - 1))
    return Design(units, tokens, points=36, channels=96)


def bootstrapped(tokens: int, width: int, depth: int, quick_gelu: bool = False) -> Design:
    """The published bootstrapped SparseFormer, whose last `depth` units are blocks of a ViT of that width."""
    think = Unit(width, ("ATTN", "MLP"))
    units = (
        Unit(width // 2, ("SAMPLING_M", "PE_INJECT", "ATTN", "MLP", "ROI_ADJ"), 4),
        Unit(width, ("SAMPLING_M", "PE_INJECT")),
        *[think] * depth,
    )
    return Design(
        units,
        tokens,
        points=16,
        channels=64,
        shared_embedding=True,
        class_token_before=2,
        head="first",
        heads=None,
        adjustment="mlp",
        generator=128,
        mixing_bias=False,
        transition_norm=False,
        stage_embedding=True,
        padding="border",
        quick_gelu=quick_gelu,
        eps=1e-5,
    )


DESIGNS = {
    "v1-tiny": version_1(tokens=49, focusing=256, cortex=512, depth=8),
    "v1-small": version_1(tokens=64, focusing=320, cortex=640, depth=8),
    "v1-base": version_1(tokens=81, focusing=384, cortex=768, depth=10),
    "augreg-base": bootstrapped(tokens=48, width=768, depth=8),
    "augreg-large": bootstrapped(tokens=48, width=1024, depth=16),
    "clip-base": bootstrapped(tokens=48, width=768, depth=8, quick_gelu=True),
    "clip-large": bootstrapped(tokens=63, width=1024, depth=16, quick_gelu=True),
}


class State(NamedTuple):
    """The tokens (B, N, width) and their regions (B, N, 2 * axes); a class token has no region."""

    tokens: Tensor
    regions: Tensor


class Layer(nn.Module):
    """A unit's operations and their weights, which all its passes share.

    `rates`: for each pass, the chance that a sample skips a branch in training.
    """

    def __init__(self, design: Design, unit: Unit, axes: int, rates: list[float]):
        super().__init__()
        self.design, self.unit, self.axes, self.rates = design, unit, axes, rates
        width, ops = unit.width, unit.ops
        numerics = NUMERICS[design.numerics]

        def norm() -> nn.LayerNorm:
            return nn.LayerNorm(width, eps=design.eps)

        if design.stage_embedding and unit.passes > 1:
            self.stage_embedding = nn.Embedding(unit.passes, width)
        if "ATTN" in ops:
            self.norm1 = norm()
            self.attn = Attention(width, design.heads_of(width), numerics.fused_attention)
        if "MLP" in ops:
            quick = design.quick_gelu and unit.passes == 1
            self.norm2 = norm()
            self.mlp = Mlp(width, 4 * width, act_layer=QuickGELU if quick else nn.GELU)
        if "ROI_ADJ" in ops:
            inner = [] if design.adjustment == "linear" else [nn.Linear(width, width), nn.GELU()]
            self.roi_adjust_module = nn.Sequential(norm(), *inner, nn.Linear(width, 2 * axes, bias=False))
        if "SAMPLING_M" in ops:
            self.offset_eps = numerics.offset_eps
            self.roi_offset_bias = nn.Parameter(torch.zeros(axes * design.points))
            self.roi_offset_module = nn.Sequential(norm(), nn.Linear(width, axes * design.points, bias=False))
            self.adaptive_mixing = AdaptiveDecoding(
                width,
                design.channels,
                design.points,
                design.out_points,
                design.generator_width(width),
                design.mixing_bias,
                numerics.generator_eps,
            )
        if "PE_INJECT" in ops:
            self.pe_transition = nn.Sequential(norm(), nn.Linear(width, width))

    def forward(self, state: State, features: Tensor, number: int, limit: float | None) -> State:
        """Pass `number` over the state; features (B, C, ...) is the stem's map.

        The gradients of the sampled points are clamped to `limit`, unless that is None.
        """
        state = self.begin(state, number)
        for op in self.unit.ops:
            state = self.step(op, state, features, number, limit)
        return state

    def begin(self, state: State, number: int) -> State:
        """The state as pass `number` finds it: with the pass's embedding, if the unit has such."""
        if not (self.design.stage_embedding and self.unit.passes > 1):
            return state
        return State(state.tokens + self.stage_embedding.weight[number], state.regions)

    def step(self, op: Op, state: State, features: Tensor, number: int, limit: float | None) -> State:
        """One operation of pass `number`; see forward."""
        tokens, boxes = state

        def dropped(branch: Tensor) -> Tensor:
            return drop_path(branch, self.rates[number], self.training)

        match op:
            case "ATTN":
                return State(tokens + dropped(self.attn(self.norm1(tokens))), boxes)
            case "MLP":
                return State(tokens + dropped(self.mlp(self.norm2(tokens))), boxes)
            case "SAMPLING_M":
                sampled = self.look(state, features, limit)
                return State(tokens + dropped(self.adaptive_mixing(sampled, tokens)), boxes)
            case "PE_INJECT":
                return State(tokens + self.position(state), boxes)
            case "ROI_ADJ":
                change = self.roi_adjust_module(tokens)
                # Published so: a dropped branch keeps the region, but only with the linear adjustment.
                change = dropped(change) if self.design.adjustment == "linear" else change
                return State(tokens, regions.adjust(boxes, change))

    def look(self, state: State, features: Tensor, limit: float | None) -> Tensor:
        """What the tokens sample, (B, N, P, C)."""
        where = self.points(state)
        if limit is not None:
            where = regions.clamp_gradient(where, limit)
        return regions.sample(features, where, self.design.padding)

    def points(self, state: State) -> Tensor:
        """Where the tokens look, (B, N, P, axes)."""
        offsets = self.roi_offset_bias + self.roi_offset_module(state.tokens)
        return regions.points(state.regions, offsets, self.offset_eps)

    def position(self, state: State) -> Tensor:
        """What the encoding of the regions adds to the tokens, (B, N, width)."""
        tokens, boxes = state
        if self.axes == 3 and self.design.video_encoding == "nothing":
            return self.pe_transition(torch.zeros_like(tokens))
        if self.axes == 3:
            boxes = boxes[..., [0, 1, 3, 4]]
        return self.pe_transition(regions.encode(boxes, tokens.shape[-1]).to(tokens.dtype))


class SparseFormer(nn.Module):
    """Classifies images, or videos if `replicates` is given: the number of token sets spread over the time.

    `classes` is the width of the output: classes, or the dimensions of a joint image and text space.
    `drop_path` is the chance to skip a branch in the last pass; it grows from 0 in the first.
    `start`: where the regions start, `spread` (all differ) or `published` (see regions).
    """

    def __init__(
        self,
        design: Design,
        classes: int,
        bias: bool = True,
        replicates: int | None = None,
        drop_path: float = 0.0,
        start: Literal["spread", "published"] = "spread",
    ):
        super().__init__()
        self.design, self.replicates = design, replicates
        self.axes = 2 if replicates is None else 3
        tokens, first, last = design.tokens * (replicates or 1), design.units[0].width, design.units[-1].width
        self.feat_extractor = Stem(design.channels, self.axes, NUMERICS[design.numerics])
        self.initial_roi = nn.Embedding(tokens, 2 * self.axes)
        self.initial_embedding = nn.Embedding(1 if design.shared_embedding else tokens, first)
        if design.class_token_before is not None:
            self.cls_embedding = nn.Embedding(1, design.units[design.class_token_before].width)
        passes = sum(unit.passes for unit in design.units)
        rates = iter(np.linspace(0, drop_path, passes).tolist())
        self.layers = nn.ModuleList()
        for number, unit in enumerate(design.units):
            before = design.units[number - 1].width if number else unit.width
            if before != unit.width:
                norm = [nn.LayerNorm(unit.width, eps=design.eps)] if design.transition_norm else []
                self.layers.append(nn.Sequential(nn.Linear(before, unit.width), *norm))
            self.layers.append(Layer(design, unit, self.axes, [next(rates) for _ in range(unit.passes)]))
        self.norm = nn.LayerNorm(last, eps=design.eps)
        self.proj = nn.Linear(last, classes, bias=bias)
        self._initialise(start)

    def forward(self, x: Tensor, loss_scale: float = 1.0, projected: bool = True) -> Tensor:
        """x (B, 3, H, W), or (B, 3, T, H, W) for videos, normalised, of any size -> (B, classes).

        `loss_scale`: what the loss will be multiplied by before the backward pass, for the clamping of gradients.
        Not `projected`, the vector before the last linear map: (B, width).
        """
        features = self.features(x, loss_scale)
        return self.proj(features) if projected else features

    def features(self, x: Tensor, loss_scale: float = 1.0) -> Tensor:
        """The vector that is classified, (B, width): the norm of the mean token, or of the class token."""
        tokens = self.tokens(x, loss_scale).tokens
        return self.norm(tokens.mean(1) if self.design.head == "mean" else tokens[:, 0])

    def tokens(self, x: Tensor, loss_scale: float = 1.0) -> State:
        """The tokens before the last norm, and their regions."""
        *_, last = self.passes(x, loss_scale)
        return last

    def passes(self, x: Tensor, loss_scale: float = 1.0) -> Iterator[State]:
        """The state after each pass of each unit, in order."""
        features = self.feat_extractor(x)
        limit = loss_scale / features.shape[-2] if self.design.clamp else None
        state, unit = self.begin(x), 0
        for layer in self.layers:
            if not isinstance(layer, Layer):
                state = State(layer(state.tokens), state.regions)
                continue
            if unit == self.design.class_token_before:
                front = self.cls_embedding.weight.expand(len(x), 1, -1)
                state = State(torch.cat([front, state.tokens], dim=1), state.regions)
            for number in range(layer.unit.passes):
                state = layer(state, features, number, limit)
                yield state
            unit += 1

    def begin(self, x: Tensor) -> State:
        """The tokens and regions before the first unit, for a batch like x."""
        boxes, rows = self.initial_roi.weight, self.initial_embedding.weight
        rows = rows.expand(len(boxes), -1)
        # Copies: views of parameters ask for gradients even where none are wanted.
        return State(rows.repeat(len(x), 1, 1), regions.precise(boxes.repeat(len(x), 1, 1)))

    @torch.no_grad()
    def _initialise(self, start: str) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, Layer):
                initialise_regions(module)
        conv = self.feat_extractor.conv1
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        nn.init.trunc_normal_(self.initial_embedding.weight)
        count = self.design.tokens
        boxes = regions.published_regions(count) if start == "published" else regions.spread_regions(count)
        self.initial_roi.weight.copy_(
            boxes if self.replicates is None else regions.over_time(boxes, self.replicates)
        )


def initialise_regions(layer: Layer) -> None:
    """The published start of a unit's region operations: regions stay, points on a grid whatever the token."""
    for name, module in layer.named_children():
        if not name.startswith("roi_"):
            continue
        parts: Any = module
        norm, *_, last = parts
        nn.init.constant_(norm.weight, layer.unit.width**-0.5)
        nn.init.zeros_(last.weight)
    if "SAMPLING_M" in layer.unit.ops:
        grid = regions.offset_grid(layer.design.points)
        if layer.axes == 3:
            # Equal times would have no deviation, and a gradient thousands of times too great.
            grid = torch.cat([grid, torch.rand(len(grid), 1) - 0.5], dim=-1)
        layer.roi_offset_bias.copy_(grid.flatten())
        layer.adaptive_mixing.initialise()
