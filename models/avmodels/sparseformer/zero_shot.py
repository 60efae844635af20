"""Images against words: a bootstrapped network in place of the vision tower of its CLIP parent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels.engine import weights
from avmodels.engine.weights import State
from avmodels.errors import WeightsError
from avmodels.nn.clip_blocks import HEAD_WIDTH, QuickGELU
from avmodels.nn.clip_text import TextEncoder, TextSize, trim
from avmodels.nn.clip_tokens import tokenize

PROMPTS = ("a photo of a {}.",)
TEXT_PARTS = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection")


def text_tower(state: State, what: str, heads: int | None = None, quick_gelu: bool = True) -> TextEncoder:
    """The text tower of an OpenAI or open_clip model, in evaluation mode.

    `state` may hold the whole model; sizes are read from it. `heads` is the number of attention heads, one for
    every 64 channels if None. OpenAI's models have `quick_gelu`. Raises WeightsError where `what` holds no such
    tower.
    """
    state = {name: tensor for name, tensor in state.items() if name.startswith(TEXT_PARTS)}
    blocks = [
        int(found[1]) for name in state if (found := re.match(r"transformer\.resblocks\.(\d+)\.", name))
    ]
    if not blocks or "token_embedding.weight" not in state or "text_projection" not in state:
        raise WeightsError(f"{what} holds no text tower of CLIP")
    width, embedding = state["text_projection"].shape
    size = TextSize(
        embedding=embedding,
        width=width,
        depth=max(blocks) + 1,
        heads=heads or width // HEAD_WIDTH,
        vocabulary=len(state["token_embedding.weight"]),
        context=len(state["positional_embedding"]),
    )
    tower = TextEncoder(size, QuickGELU if quick_gelu else nn.GELU)
    weights.fit(tower, state, what)
    return tower.eval()


def class_vectors(tower: nn.Module, names: Iterable[str], prompts: Sequence[str] = PROMPTS) -> Tensor:
    """Unit vectors (classes, embedding): for each name the mean direction of the prompts it is put into."""
    means = [
        unit(tower(trim(tokenize([prompt.format(name) for prompt in prompts])))).mean(0) for name in names
    ]
    return unit(torch.stack(means))


def unit(vectors: Tensor) -> Tensor:
    """vectors (..., embedding) of length 1."""
    return F.normalize(vectors, dim=-1)


def similarities(images: Tensor, texts: Tensor, log_scale: float | Tensor) -> Tensor:
    """Logits (images, texts) of unit vectors (images, embedding) and (texts, embedding): exp(log_scale) cosine."""
    return torch.as_tensor(log_scale).exp() * images @ texts.T


def recall(scores: Tensor, k: int) -> float:
    """Retrieval: the share of the rows of scores (n, n) whose own number is among their k best."""
    best = scores.topk(k, dim=1).indices
    return float((best == torch.arange(len(scores), device=best.device)[:, None]).any(1).float().mean())
