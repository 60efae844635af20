"""Published checkpoints into our models. The networks keep the published names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avmodels.engine import weights
from avmodels.engine.weights import State
from avmodels.errors import WeightsError
from avmodels.groupmixformer.model import Size, Trunk

# What a compiled or distributed model puts before every name.
WRAPPERS = ("_orig_mod.", "module.")
# What a classifier has besides the trunk.
CLASSIFIER_ONLY = ("norm4.", "head.")


def state_of(document: Mapping[str, Any]) -> State:
    """The tensors of a checkpoint in float32 (counts stay whole), whatever wrapped them.

    Raises WeightsError where there are none.
    """
    state = document.get("model", document)
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError("the checkpoint holds no state dict under `model` or at its top")
    for prefix in WRAPPERS:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def size_of(state: Mapping[str, Tensor]) -> Size | None:
    """The size of the network whose weights these are; None where they are of no GroupMixFormer."""
    try:
        widths = [len(state[f"patch_embed_layers.{stage}.norm.weight"]) for stage in range(4)]
        blocks = [
            {found[1] for name in state if (found := re.match(rf"groupmixformer_backbone\.{stage}\.gma_stage\.(\d+)\.", name))}
            for stage in range(4)
        ]  # fmt: skip
        inner = [
            len(state[f"groupmixformer_backbone.{stage}.gma_stage.0.mlp.fc1.weight"]) for stage in range(4)
        ]
    except KeyError:
        return None
    ratios = [hidden / width for hidden, width in zip(inner, widths, strict=True)]
    bias = "groupmixformer_backbone.0.gma_stage.0.att.qkv.bias" in state
    return Size(tuple(widths), tuple(map(len, blocks)), tuple(ratios), bias)


def start(model: Trunk, state: State, what: str) -> list[str]:
    """Starts a network from a checkpoint; a backbone leaves the classifier's own parts aside.

    Returns the names that keep their initial value: the head, where the classes differ. The published fine-tuning
    starts such a head from zero, and so does this. Raises WeightsError that names what differs for another variant.
    """
    size = size_of(state)
    if size is None:
        raise WeightsError(f"{what} holds no weights of GroupMixFormer")
    if (size.widths, size.depths, size.mlp_ratios) != (
        model.size.widths,
        model.size.depths,
        model.size.mlp_ratios,
    ):
        settings = f"model.widths={list(size.widths)} model.depths={list(size.depths)}"
        raise WeightsError(
            f"{what} is of another size: give {settings} model.mlp_ratios={list(size.mlp_ratios)}"
        )
    own = model.state_dict()
    if not any(name.startswith(CLASSIFIER_ONLY) for name in own):
        return weights.fit(model, state, what, unused=CLASSIFIER_ONLY)
    if "head.weight" in state and state["head.weight"].shape != own["head.weight"].shape:
        state = {name: tensor for name, tensor in state.items() if not name.startswith("head.")}
    left = weights.fit(model, state, what, missing=("head.",))
    for name in left:
        torch.nn.init.zeros_(model.get_parameter(name))
    return left
