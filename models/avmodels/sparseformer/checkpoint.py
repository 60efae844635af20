"""Published checkpoints into our models. The networks keep the names of the published library."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from avmodels.engine import weights
from avmodels.engine.weights import State
from avmodels.errors import WeightsError
from avmodels.sparseformer.inflate import inflate
from avmodels.sparseformer.model import SparseFormer

# What a compiled or distributed model puts before every name.
WRAPPERS = ("_orig_mod.", "module.")
# Names of the code that trained the published weights, and those of the library.
RENAMED = (
    (r"^token_roi\.", "initial_roi."),
    (r"^token_embedding\.", "initial_embedding."),
    (r"^global_embedding\.", "cls_embedding."),
    (r"\.ln_attn\.", ".norm1."),
    (r"\.attn\.in_proj_(weight|bias)$", r".attn.qkv.\1"),
    (r"\.attn\.out_proj\.", ".attn.proj."),
    (r"\.ffn\.0\.", ".norm2."),
    (r"\.ffn\.1\.", ".mlp.fc1."),
    (r"\.ffn\.3\.", ".mlp.fc2."),
    (r"\.tuo_proj\.", ".out_proj."),
    (r"^(head\.norm|ln_post)\.", "norm."),
    (r"^(head\.classifier|cls_head)\.", "proj."),
)
# The library's names, and those of the code that trained version 1.
TRAINING_NAMES = (
    (r"^initial_roi\.", "token_roi."),
    (r"^initial_embedding\.", "token_embedding."),
    (r"\.norm1\.", ".ln_attn."),
    (r"\.attn\.qkv\.", ".attn.in_proj_"),
    (r"\.attn\.proj\.", ".attn.out_proj."),
    (r"\.norm2\.", ".ffn.0."),
    (r"\.mlp\.fc1\.", ".ffn.1."),
    (r"\.mlp\.fc2\.", ".ffn.3."),
    (r"\.adaptive_mixing\.out_proj\.", ".adaptive_mixing.tuo_proj."),
    (r"^norm\.", "head.norm."),
    (r"^proj\.", "head.classifier."),
)
# The class token once had a region, which nothing read.
DROPPED = ("global_roi.weight",)


def state_of(document: Mapping[str, Any]) -> State:
    """The tensors of a checkpoint in float32, whatever wrapped them; those of the averaged model if it has such.

    Raises WeightsError where there are none.
    """
    state = document.get("model_ema", document.get("model", document))
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError("the checkpoint holds no state dict under `model_ema`, `model` or at its top")
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return {name: tensor.float() for name, tensor in state.items()}


def numerics_of(names: Iterable[str]) -> str | None:
    """The numerics that weights of these names need; None where the names do not tell."""
    return "training" if "token_roi.weight" in names else None


def library_names(names: Iterable[str]) -> dict[str, str]:
    """The library's name of each tensor; those of other codes that nothing reads are left out.

    The blocks that a bootstrapped network inherited are counted on from its own layers.
    """
    names = [name for name in names if name not in DROPPED]
    layers = [int(found[1]) for name in names if (found := re.match(r"layers\.(\d+)\.", name))]
    own = max(layers, default=-1) + 1

    def renamed(name: str) -> str:
        if block := re.match(r"blocks\.(\d+)\.", name):
            name = f"layers.{own + int(block[1])}.{name[block.end() :]}"
        for pattern, replacement in RENAMED:
            name = re.sub(pattern, replacement, name)
        return name

    return {name: renamed(name) for name in names}


def library_state(state: State) -> State:
    """The tensors under the library's names, regions as corners; a state that has them already is unchanged."""
    state = dict(state)
    if "token_roi_cc.weight" in state and "token_roi_wh.weight" in state:
        centre, half = state.pop("token_roi_cc.weight"), state.pop("token_roi_wh.weight") / 2
        state["initial_roi.weight"] = torch.cat([centre - half, centre + half], dim=-1)
    return {new: state[old] for old, new in library_names(state).items()}


def training_state(state: State) -> State:
    """The tensors of a network of version 1 under the names of the code that trained it."""

    def renamed(name: str) -> str:
        for pattern, replacement in TRAINING_NAMES:
            name = re.sub(pattern, replacement, name)
        return name

    return {renamed(name): tensor for name, tensor in state.items()}


def start(model: SparseFormer, state: State, what: str) -> list[str]:
    """Starts a network from a checkpoint of either code; a video network also from an image's, inflated.

    Returns the names that keep their initial value: the head, where the classes differ. Raises WeightsError
    that names what differs for another variant.
    """
    needed = numerics_of(state)
    if needed and needed != model.design.numerics:
        raise WeightsError(
            f"{what} is of the code that trained the published weights, which rounds otherwise than the library; "
            f"use it with model.numerics={needed}"
        )
    state = library_state(state)
    missing = [name for name in model.state_dict() if "stage_embedding" in name and name not in state]
    if missing:
        raise WeightsError(
            f"{what} has no {missing[0]}, which the published converter drops and the network needs; "
            "use the unconverted checkpoint"
        )
    conv = state.get("feat_extractor.conv1.weight")
    if model.replicates is not None and conv is not None and conv.ndim == 4:
        state = inflate(state, model.design, model.replicates)
    head = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("proj.")}
    if any(name in state and state[name].shape != tensor.shape for name, tensor in head.items()):
        state = {name: tensor for name, tensor in state.items() if name not in head}
    return weights.fit(model, state, what, missing=("proj.",))
