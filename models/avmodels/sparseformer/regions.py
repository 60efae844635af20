"""Regions of interest: where they start, how they move, which points they sample, how they are encoded.

A region is (x1, y1, x2, y2) in an image and (x1, y1, t1, x2, y2, t2) in a video, every axis running from 0 to 1
over the input. Regions are never clipped: they may leave the input, or be inverted. `D` below is the number of
axes, 2 or 3. All of this is computed in float32 or better, whatever the network's precision.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# The highest frequency of the position encoding, in half turns over the input.
MAX_FREQUENCY = 128


def precise(x: Tensor) -> Tensor:
    """The tensor in float32, or in float64 if it is that already."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def adjust(regions: Tensor, change: Tensor) -> Tensor:
    """Regions moved and resized: regions and change (..., 2D) -> (..., 2D).

    The first D numbers of `change` shift the centre, in units of the region's size; the last D are the
    logarithms of the growth. The result is never inverted.
    """
    low, high = precise(regions).chunk(2, dim=-1)
    shift, growth = precise(change).chunk(2, dim=-1)
    size = (high - low).abs()
    centre = (low + high) / 2 + shift * size
    half = size * growth.exp() / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def points(regions: Tensor, offsets: Tensor, eps: float) -> Tensor:
    """The points a region looks at: regions (..., 2D), raw offsets (..., P * D) -> (..., P, D).

    The offsets of a region are made to have mean 0 and deviation 1/3 on every axis, in units of its size.
    """
    low, high = precise(regions).chunk(2, dim=-1)
    spread = precise(offsets).unflatten(-1, (-1, low.shape[-1]))
    spread = (spread - spread.mean(-2, keepdim=True)) / (3 * (spread.std(-2, keepdim=True) + eps))
    return ((low + high) / 2).unsqueeze(-2) + spread * (high - low).unsqueeze(-2)


class _ClampGradient(torch.autograd.Function):
    """The identity, whose gradient is clamped element by element."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, limit: float) -> Tensor:
        ctx.limit = limit
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].clamp(-ctx.limit, ctx.limit), None


def clamp_gradient(x: Tensor, limit: float) -> Tensor:
    """x itself; its gradient will lie within +-limit."""
    return _ClampGradient.apply(x, limit)  # pyright: ignore[reportReturnType]


def sample(features: Tensor, where: Tensor, padding: str) -> Tensor:
    """Features at points, by linear interpolation between pixel centres.

    features (B, C, H, W) and where (B, N, P, 2), or (B, C, T, H, W) and (B, N, P, 3) -> (B, N, P, C).
    `padding`: what lies outside the map, `zeros` or the nearest pixel of the `border`.
    """
    grid = 2 * where - 1
    if where.shape[-1] == 3:
        grid = grid.unsqueeze(3)
    sampled = F.grid_sample(
        features.to(grid.dtype), grid, mode="bilinear", padding_mode=padding, align_corners=False
    )
    return (
        sampled.flatten(4).squeeze(-1).permute(0, 2, 3, 1) if grid.ndim == 5 else sampled.permute(0, 2, 3, 1)
    )


@torch.no_grad()
def encode(regions: Tensor, width: int) -> Tensor:
    """The position encoding of image regions: (..., 4) -> (..., width), without gradient.

    Each coordinate gets width / 4 numbers over frequencies from 1 to 128 half turns: the sines of every second
    frequency from the first, then the cosines of every second from the second. `width` is divisible by 8.
    """
    per_coordinate = width // 4
    logarithms = torch.linspace(0, math.log(MAX_FREQUENCY), per_coordinate, device=regions.device)
    phases = (precise(regions) * math.pi).unsqueeze(-1) * logarithms.exp()
    return torch.cat([phases[..., 0::2].sin(), phases[..., 1::2].cos()], dim=-1).flatten(-2)


def offset_grid(count: int) -> Tensor:
    """Where `count` points of a region start, as (count, 2) offsets within +-0.5: a grid, x running fastest.

    A count that is no square gives random points.
    """
    root = math.isqrt(count)
    if root * root != count:
        return torch.rand(count, 2) - 0.5
    steps = (torch.arange(root) + 0.5) / root - 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], dim=-1).flatten(0, 1)


def published_regions(count: int) -> Tensor:
    """Where the published networks' `count` regions start, (count, 4).

    Boxes of half the image's size on a square grid, x running slowest; those that the grid has no place for
    are all the whole image. Where tokens also share one embedding, those stay identical for ever.
    """
    side = math.isqrt(count)
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(count - side * side, 4)
    return torch.cat([_column_boxes([side] * side), whole])


def spread_regions(count: int) -> Tensor:
    """Like published_regions, but all `count` regions differ: the columns of the grid share the remainder."""
    columns = max(round(math.sqrt(count)), 1)
    return _column_boxes([count // columns + (number < count % columns) for number in range(columns)])


def over_time(boxes: Tensor, replicates: int) -> Tensor:
    """Image regions (N, 4) as video regions (replicates * N, 6), each set covering its share of the time."""
    edges = torch.arange(replicates + 1, dtype=boxes.dtype) / replicates
    starts, ends = (edge.repeat_interleave(len(boxes))[:, None] for edge in (edges[:-1], edges[1:]))
    low, high = boxes.repeat(replicates, 1).chunk(2, dim=-1)
    return torch.cat([low, starts, high, ends], dim=-1)


def _column_boxes(rows: list[int]) -> Tensor:
    """Boxes of half the image's size, evenly spread over columns of so many rows: (sum of rows, 4)."""
    columns = zip(_corners(len(rows)), map(_corners, rows), strict=True)
    low = torch.tensor([(x, y) for x, column in columns for y in column]).view(-1, 2)
    return torch.cat([low, low + 0.5], dim=-1)


def _corners(count: int) -> list[float]:
    """Numbers evenly spread from 0 to 0.5; one alone is 0."""
    return [0.5 * number / max(count - 1, 1) for number in range(count)]
