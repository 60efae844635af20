"""What a clip and a sentence cost the published encoders, in multiply-accumulates."""

from __future__ import annotations

from avmodels.nn.clip_text import TextSize
from avmodels.tvts_v2.model import Size


def video(size: Size, frames: int, kept: int) -> int:
    """The video encoder as published: it embeds all patches, keeps `kept` of every frame, computes every row of every
    block, and projects every token, though only the sorter reads them."""
    width, tokens = size.width, 1 + frames * kept
    embedding = frames * size.patches * width * 3 * size.patch**2
    maps = 16 * tokens * width**2
    time, space = kept * frames * (frames + 1), frames * kept * (kept + 1)
    products = 2 * width * (time + space + 2 * tokens)
    return embedding + size.depth * (maps + products) + tokens * width * size.text.embedding


def sentence(size: TextSize) -> int:
    """The text encoder as published: every sentence is as long as the longest may be."""
    tokens, width = size.context, size.width
    return size.depth * (12 * tokens * width**2 + 2 * tokens**2 * width) + width * size.embedding
