"""What one clip costs the published network, in multiply-accumulates."""

from __future__ import annotations

import math

from avmodels.evad.model import Size
from avmodels.evad.proposals import ProposalSize


def detector(size: Size, classes: int, keep_rates: tuple[float, ...], high: int, wide: int) -> float:
    """The whole network for a clip of frames of `high` x `wide` pixels (after padding)."""
    shape = size.encoder
    slice_tokens = (high // shape.patch) * (wide // shape.patch)
    tokens = shape.steps * slice_tokens
    embedding = tokens * shape.width * 3 * shape.tubelet * shape.patch**2
    blocks, remaining = encoder_blocks(size, keep_rates, tokens)
    decoder = context(size, classes, shape.width, remaining)
    return embedding + blocks + pyramid(size, slice_tokens) + stages(size.proposals) + decoder


def encoder_blocks(size: Size, keep_rates: tuple[float, ...], tokens: int) -> tuple[float, int]:
    """The encoder's blocks, and how many tokens remain: attention sees those before a block's dropout, the
    MLP those after."""
    shape, cost = size.encoder, 0.0
    for keep in keep_rates:
        cost += attention(tokens, shape.width)
        tokens = math.ceil(keep * tokens)
        cost += tokens * 2 * shape.mlp_ratio * shape.width**2
    return cost, tokens


def attention(tokens: int, width: int) -> int:
    """Projections, and the two products of attention."""
    return 4 * width**2 * tokens + 2 * width * tokens**2


def pyramid(size: Size, slice_tokens: int) -> float:
    """The pyramid's convolutions, at 16, 4, 1 and 1/4 pixels a token."""
    pixels = slice_tokens * (16 + 4 + 1 + 1 / 4)
    width = size.proposals.width
    return pixels * (width * size.encoder.width + 9 * width**2)


def stages(size: ProposalSize) -> float:
    """All stages on all proposals."""
    width, cells = size.width, size.cells**2
    dynamic = width * 2 * width * size.dynamic_width + 2 * cells * width * size.dynamic_width
    interaction = dynamic + cells * width * width
    judged = (size.class_layers + size.box_layers) * width**2 + (2 + 4) * width
    apart = size.count * (interaction + 2 * width * size.feedforward + judged)
    return size.stages * (apart + attention(size.count, width))


def context(size: Size, classes: int, width_in: int, visible: int) -> float:
    """The context decoder on `visible` tokens and one for each proposal, with the heads of all blocks."""
    shape, people = size.context, size.proposals.count
    tokens = visible + people
    block = attention(tokens, shape.width) + tokens * 2 * shape.mlp_ratio * shape.width**2
    layers = shape.width + (shape.judge_layers - 1) * shape.judge_width + classes
    return visible * width_in * shape.width + shape.depth * (block + people * shape.judge_width * layers)
