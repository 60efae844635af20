"""What one clip costs the published video encoder, in multiply-accumulates."""

from __future__ import annotations

from avmodels.tvts_v2.model import Size


def video(size: Size, frames: int, kept: int) -> int:
    """The encoder as published: it embeds all patches, keeps `kept` of every frame, computes every row of every
    block, and projects every token, though only the sorter reads them."""
    width, tokens = size.width, 1 + frames * kept
    embedding = frames * size.patches * width * 3 * size.patch**2
    maps = 16 * tokens * width**2
    time, space = kept * frames * (frames + 1), frames * kept * (kept + 1)
    products = 2 * width * (time + space + 2 * tokens)
    return embedding + size.depth * (maps + products) + tokens * width * size.text.embedding
