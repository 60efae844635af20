"""Multiply-accumulates of the networks, from their sizes."""

from __future__ import annotations

from torchvision.models.resnet import Bottleneck

from avmodels.snclr.encoder import ResNetSize, Size, ViTSize
from avmodels.snclr.model import Head


def trunk(size: Size, side: int) -> int:
    """An encoder's for one image of `side` x `side`: projections, convolutions and attention's two products."""
    return vit(size, side) if isinstance(size, ViTSize) else resnet(size, side)


def vit(size: ViTSize, side: int) -> int:
    """Patches, and blocks over them and the class token."""
    patches, width = (side // size.patch) ** 2, size.width
    tokens = patches + 1
    of_a_block = 12 * tokens * width**2 + 2 * tokens**2 * width
    return patches * 3 * size.patch**2 * width + size.depth * of_a_block


def resnet(size: ResNetSize, side: int) -> int:
    """The stem at half the side, and bottlenecks from a quarter of it on, halved in the second convolution."""
    pixels = -(-side // 2)
    total, side, into = 3 * 64 * 7**2 * pixels**2, -(-pixels // 2), 64
    for stage, blocks in enumerate(size.blocks):
        narrow = 64 * 2**stage
        wide = narrow * Bottleneck.expansion
        for block in range(blocks):
            before, side = side, -(-side // 2) if stage and not block else side
            total += into * narrow * before**2 + (9 * narrow**2 + narrow * wide) * side**2
            total += 0 if block else into * wide * side**2
            into = wide
    return total


def pyramid(side: int, width: int = 256) -> int:
    """A feature pyramid on the four stages of a ResNet: a map of each at `width` channels, smoothed by 3 x 3."""
    sides = [-(-side // 2**halvings) for halvings in (2, 3, 4, 5)]
    return sum((256 * 2**stage + 9 * width) * width * side**2 for stage, side in enumerate(sides))


def heads(size: Size, head: Head) -> int:
    """Four projections and two predictions of a pair of views."""
    layers = 2 if isinstance(size, ViTSize) else 1
    projector = (size.width + head.width) * head.hidden + (layers - 1) * head.hidden**2
    return 4 * projector + 2 * 2 * head.width * head.hidden
