"""What one clip costs the published networks, in multiply-accumulates."""

from __future__ import annotations

from avmodels.videomae_v2.model import Size


def blocks(tokens: int, width: int, depth: int, mlp_ratio: float) -> int:
    """Transformer blocks: projections, the two products of attention, and the MLP."""
    projections = tokens * width * (4 * width + 2 * int(width * mlp_ratio))
    return depth * (projections + 2 * tokens**2 * width)


def embedding(size: Size, tokens: int) -> int:
    """The tubelet embedding."""
    return tokens * size.width * 3 * size.tubelet * size.patch**2


def classifier(size: Size, tokens: int, classes: int) -> int:
    """The classifier over `tokens` tokens."""
    trunk = embedding(size, tokens) + blocks(tokens, size.width, size.depth, size.mlp_ratio)
    return trunk + size.width * classes


def autoencoder(size: Size, tokens: int, visible: int, kept: int, decoder_depth: int) -> int:
    """The autoencoder as published: it embeds all tokens, keeps `visible`, and computes every row of every
    decoder block for the `kept` tokens it predicts."""
    width = size.decoder_width
    encoder = embedding(size, tokens) + blocks(visible, size.width, size.depth, size.mlp_ratio)
    decoder = blocks(visible + kept, width, decoder_depth, size.mlp_ratio)
    head = kept * width * 3 * size.tubelet * size.patch**2
    return encoder + visible * size.width * width + decoder + head
