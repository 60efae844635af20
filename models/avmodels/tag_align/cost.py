"""What one picture costs the published networks, in multiply-accumulates."""

from __future__ import annotations

from avmodels.tag_align.model import Size
from avmodels.tag_align.projector import GatedSize, TransformerSize
from avmodels.tag_align.tower import DUAL_BLOCKS, ImageSize, Patches


def blocks(tokens: int, width: int, depth: int, mlp_ratio: float = 4.0) -> int:
    """Transformer blocks: projections, the two products of attention, and the MLP."""
    projections = tokens * width * (4 * width + 2 * int(width * mlp_ratio))
    return depth * (projections + 2 * tokens**2 * width)


def tower(size: ImageSize, places: int, patches: Patches) -> int:
    """The image tower over `places` patches; surgery adds attention and an output projection to its blocks."""
    tokens, width = places + 1, size.width
    second = DUAL_BLOCKS * (2 * tokens**2 * width + tokens * width**2) if patches == "surgery" else 0
    return places * width * 3 * size.patch**2 + blocks(tokens, width, size.depth) + second


def projector(size: GatedSize | TransformerSize, places: int, width: int, embedding: int) -> int:
    """The trained network and its projection."""
    if isinstance(size, GatedSize):
        stack = size.layers * (1 + size.double) * places * size.kernel**2 * width**2
    else:
        stack = blocks(places, width, size.layers, size.mlp_ratio)
    return stack + places * width * embedding


def picture(size: Size, trained: GatedSize | TransformerSize, side: int, patches: Patches) -> int:
    """The tower and the projector for a square picture of `side` pixels."""
    places = (side // size.image.patch) ** 2
    return tower(size.image, places, patches) + projector(
        trained, places, size.image.width, size.text.embedding
    )
