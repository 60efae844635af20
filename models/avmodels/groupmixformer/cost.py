"""Multiply-accumulates of the published network, from its sizes."""

from __future__ import annotations

from avmodels.groupmixformer.attention import HEADS, HEADS_OF_KERNELS, KERNELS, SEGMENTS
from avmodels.groupmixformer.model import STRIDES, Size


def network(size: Size, side: int, classes: int) -> int:
    """Those of one image of `side` x `side` pixels. Norms count, as many operations a value as fvcore says;
    activations, softmax and additions do not."""
    half, first = -(-side // 2), size.widths[0]
    stem = half**2 * first // 2 * (27 + 2) + (-(-side // 4)) ** 2 * first * (9 * first // 2 + 2)
    before, total, count = first, stem, 0
    for width, depth, ratio, stride in zip(size.widths, size.depths, size.mlp_ratios, STRIDES, strict=True):
        count = (-(-side // stride)) ** 2
        total += count * (9 * before + before * width + 2 * width)
        total += depth * block(count, width, ratio)
        before = width
    return total + count * 2 * before + before * classes


def block(count: int, width: int, mlp_ratio: float) -> int:
    """Those of one block over `count` tokens."""
    segment, head = width // SEGMENTS, width * (SEGMENTS - 1) // (SEGMENTS * HEADS)
    linear = count * (4 * width**2 + 2 * width * int(width * mlp_ratio))
    place = count * 9 * width
    groups = 3 * count * sum(segment * kernel**2 + segment**2 for kernel in KERNELS)
    local = count * (27 * segment + 3 * segment**2)
    relative = (
        count * head * sum(heads * kernel**2 for heads, kernel in zip(HEADS_OF_KERNELS, KERNELS, strict=True))
    )
    attention = 2 * count * HEADS * head**2
    norms = count * (2 * 5 * width + 5 * segment + 3 * 4 * 2 * segment)
    return linear + place + groups + local + relative + attention + norms
