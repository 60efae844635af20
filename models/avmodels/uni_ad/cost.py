"""What one description costs, in multiply-accumulates of the published network."""

from __future__ import annotations

from typing import Any

from avmodels.uni_ad.model import Size
from avmodels.uni_ad.qformer import QFormerSize


def perceiver(size: Size, width: int, frames: int, latents: int) -> int:
    """One mapping of MAD over so many frames."""
    rows = latents + frames
    block = 12 * rows * width**2 + 2 * rows**2 * width
    return frames * size.features * width + size.depth * block


def qformer(size: QFormerSize, width: int, tokens: int) -> int:
    """The mapping of CMD-AD and TV-AD over so many tokens of frames."""
    looks = 6 * size.queries * size.width**2 + 2 * size.queries**2 * size.width
    reads = 2 * tokens * size.width**2 + 2 * size.queries * tokens * size.width
    changes = 2 * size.queries * size.width * size.hidden
    return size.depth * (looks + reads + changes) + size.queries * size.width * width


def video(size: Size, width: int, frames: int = 16) -> int:
    """The mapping of both clips."""
    if size.form == "mad":
        return perceiver(size, width, frames, size.video)
    how = size.qformer or QFormerSize()
    return qformer(how, width, frames * size.image)


def character(size: Size, width: int) -> int:
    """The mapping of one character."""
    if size.form == "mad":
        return perceiver(size, width, 1, size.image)
    return size.image * size.features * width


def language(config: Any, tokens: int) -> int:
    """Reading so many tokens with a LLaMA-shaped model, every place's logits and all."""
    width, layers = config.hidden_size, config.num_hidden_layers
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    queries = 2 * width**2
    keys = 2 * width * width * heads // config.num_attention_heads
    inner = getattr(config, "intermediate_size", None)
    mlp = 3 * width * inner if inner else 8 * width**2
    return (
        tokens * (layers * (queries + keys + mlp) + width * config.vocab_size)
        + layers * 2 * tokens**2 * width
    )


def recogniser(how: Any, frames: int) -> int:
    """Telling who of so many candidates is in so many frames."""
    width, most = how.features, how.most
    looks = 4 * most * width**2 + 2 * most**2 * width
    reads = 2 * (most + frames) * width**2 + 2 * most * frames * width
    changes = 8 * most * width**2
    projected = (most + frames) * width**2 if how.project else 0
    return projected + how.depth * (looks + reads + changes) + most * width
