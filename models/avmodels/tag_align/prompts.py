"""Words put into sentences, and sentences into embeddings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import torch
from torch import Tensor

from avmodels.errors import ConfigError
from avmodels.nn.clip_text import TextEncoder, trim
from avmodels.nn.clip_tokens import tokenize

# Sentences encoded at a time.
CHUNK = 1024


@cache
def templates(name: str) -> tuple[str, ...]:
    """The sentences of a published set of templates; `subset+maskclip` and its like are one after the other.

    Raises ConfigError for another name.
    """
    sets = json.loads(files("avmodels.tag_align").joinpath("templates.json").read_text(encoding="utf-8"))
    parts = name.split("+")
    unknown = [part for part in parts if part not in sets]
    if unknown:
        raise ConfigError(f"there are no templates {unknown[0]!r}, only {', '.join(sets)} and sums of them")
    return tuple(sentence for part in parts for sentence in sets[part])


@torch.no_grad()
def embed_words(encoder: TextEncoder, words: Sequence[str], template: str) -> Tensor:
    """words -> (words, embedding): the mean over the templates of embeddings that are not normalised."""
    sentences = [form.format(word) for word in words for form in templates(template)]
    return embed_tokens(encoder, tokenize(sentences)).unflatten(0, (len(words), -1)).mean(1)


def embed_tokens(encoder: TextEncoder, tokens: Tensor) -> Tensor:
    """tokens (n, context) -> (n, embedding), short sentences beside short ones so that little is padded."""
    order = tokens.argmax(-1).argsort()
    device = encoder.positional_embedding.device
    embedded = torch.cat([encoder(trim(some).to(device)) for some in tokens[order].split(CHUNK)])
    return embedded[order.argsort().to(device)]
