"""CLIP's parameters under OpenAI's names, from the names the transformers library gives them."""

from __future__ import annotations

import re

import torch
from torch import Tensor

State = dict[str, Tensor]

# Patterns of the library's names, and OpenAI's, tried in order; a projection is transposed.
RENAMED = (
    (r"text_model\.embeddings\.token_embedding\.weight", "token_embedding.weight"),
    (r"text_model\.embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"text_model\.final_layer_norm\.", "ln_final."),
    (r"text_projection\.weight", "text_projection"),
    (r"vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
    (r"vision_model\.embeddings\.position_embedding\.weight", "visual.positional_embedding"),
    (r"vision_model\.embeddings\.class_embedding", "visual.class_embedding"),
    (r"vision_model\.pre_layrnorm\.", "visual.ln_pre."),
    (r"vision_model\.post_layernorm\.", "visual.ln_post."),
    (r"visual_projection\.weight", "visual.proj"),
    (r"text_model\.encoder\.layers\.", "transformer.resblocks."),
    (r"vision_model\.encoder\.layers\.", "visual.transformer.resblocks."),
)
IN_BLOCK = (
    (".self_attn.out_proj.", ".attn.out_proj."),
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
)
QUERIES = re.compile(r"\.self_attn\.q_proj\.(weight|bias)$")


def openai_names(state: State) -> State:
    """The state of a CLIP under OpenAI's names; one that has them already comes back as it is."""
    if "visual_projection.weight" not in state:
        return state
    renamed: State = {}
    for name, tensor in state.items():
        if name.endswith("position_ids") or re.search(r"\.self_attn\.[kv]_proj\.", name):
            continue
        new = openai_name(name)
        if QUERIES.search(name):
            others = (name.replace(".q_proj.", f".{part}_proj.") for part in "kv")
            tensor = torch.cat([tensor, *(state[other] for other in others)])
        renamed[new] = tensor.T.contiguous() if new in ("text_projection", "visual.proj") else tensor
    return renamed


def openai_name(name: str) -> str:
    """One parameter's name; the queries' is that of queries, keys and values together."""
    for pattern, ours in RENAMED:
        if re.match(pattern, name):
            name = re.sub(f"^{pattern}", ours, name)
            break
    for theirs, ours in IN_BLOCK:
        name = name.replace(theirs, ours)
    return QUERIES.sub(r".attn.in_proj_\1", name)
