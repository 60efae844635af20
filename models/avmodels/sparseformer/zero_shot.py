"""Images against words: a bootstrapped network in place of the vision tower of its CLIP parent."""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels.engine import weights
from avmodels.engine.weights import State

# open_clip's names of a text tower, and those of transformers.
TEXT_NAMES = (
    (r"^token_embedding\.", "text_model.embeddings.token_embedding."),
    (r"^positional_embedding$", "text_model.embeddings.position_embedding.weight"),
    (r"^transformer\.resblocks\.", "text_model.encoder.layers."),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.attn\.", ".self_attn."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"^ln_final\.", "text_model.final_layer_norm."),
)


def text_tower(state: State, what: str, heads: int | None = None, quick_gelu: bool = True) -> nn.Module:
    """The text tower of an open_clip model, as transformers' CLIPTextModelWithProjection, in evaluation mode.

    `state` may hold the whole model under open_clip's names; sizes are read from it. `heads` is the number of
    attention heads, one for every 64 channels if None. OpenAI's models have `quick_gelu`.

    Raises WeightsError where the tensors are not those of such a tower.
    """
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    state = {name: tensor for name, tensor in state.items() if _of_text(name)}
    words, width = state["token_embedding.weight"].shape
    depth = 1 + max(int(found[1]) for name in state if (found := re.search(r"resblocks\.(\d+)\.", name)))
    config = CLIPTextConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=len(state["transformer.resblocks.0.mlp.c_fc.weight"]),
        projection_dim=state["text_projection"].shape[1],
        num_hidden_layers=depth,
        num_attention_heads=heads or width // 64,
        max_position_embeddings=len(state["positional_embedding"]),
        hidden_act="quick_gelu" if quick_gelu else "gelu",
        # With this number transformers reads a text's vector where its largest token stands, as open_clip does.
        eos_token_id=2,
    )
    tower = CLIPTextModelWithProjection(config)
    weights.fit(tower, _transformers_names(state), what)
    return tower.eval()


def encode_text(tower: nn.Module, tokens: Tensor) -> Tensor:
    """tokens (n, length), each text ending with the largest number -> unit vectors (n, dimensions)."""
    return F.normalize(tower(input_ids=tokens).text_embeds, dim=-1)


def encode_images(network: nn.Module, images: Tensor) -> Tensor:
    """images (B, 3, H, W), normalised as the parent's -> unit vectors (B, dimensions)."""
    return F.normalize(network(images), dim=-1)


def class_vectors(tower: nn.Module, prompts: list[Tensor]) -> Tensor:
    """For each class the mean direction of its prompts (n, length): unit vectors (classes, dimensions)."""
    means = [encode_text(tower, tokens).mean(0) for tokens in prompts]
    return F.normalize(torch.stack(means), dim=-1)


def similarities(images: Tensor, texts: Tensor, log_scale: float | Tensor) -> Tensor:
    """Logits (B, n) of unit vectors: images (B, dimensions), texts (n, dimensions); exp(log_scale) multiplies."""
    return torch.as_tensor(log_scale).exp() * images @ texts.T


def recall(scores: Tensor, k: int) -> float:
    """Retrieval: the share of rows of scores (n, n) whose own number is among their k best."""
    best = scores.topk(k, dim=1).indices
    return float((best == torch.arange(len(scores), device=best.device)[:, None]).any(1).float().mean())


def _of_text(name: str) -> bool:
    starts = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection")
    return name.startswith(starts)


def _transformers_names(state: State) -> State:
    """open_clip's tensors under the names and in the parts of transformers."""
    renamed: State = {"text_projection.weight": state["text_projection"].t()}
    for name, tensor in state.items():
        for pattern, replacement in TEXT_NAMES:
            name = re.sub(pattern, replacement, name)
        if ".in_proj_" in name:
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                renamed[name.replace("in_proj_", f"{part}_proj.")] = rows
        elif name != "text_projection":
            renamed[name] = tensor
    return renamed
