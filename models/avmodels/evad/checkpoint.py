"""Published checkpoints into our networks and back, and networks started from VideoMAE's pre-training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from avmodels.engine import weights
from avmodels.engine.weights import State
from avmodels.errors import WeightsError

# The beginnings of names, published and ours; the first that fits counts.
NAMES = (
    ("patch_embed.", "encoder.patch_embed."),
    ("blocks.", "encoder.blocks."),
    ("norm.", "encoder.norm."),
    ("fpn_lateral", "pyramid.lateral."),
    ("fpn_output", "pyramid.output."),
    ("init_proposal_", "proposals."),
    ("det_head.s0_headseries.", "stages."),
    ("det_head.decoder.blocks.", "context.blocks."),
    ("det_head.", "context."),
)
# The weights of the two classes of a proposal, which published files hold beside the parameters.
CLASS_WEIGHTS = "criterion.empty_weight"
# What a pre-training file has and a detector has not: the pixel predictor, or a classifier's head.
PRETRAINING_ONLY = ("mask_token", "context.decoder.", "fc_norm.", "head.")


def state_of(document: Mapping[str, Any]) -> State:
    """The tensors of a published checkpoint or of ours in float32, under our names, whatever wrapped them."""
    state = _unwrapped(document)
    return {our_name(name): tensor.float() for name, tensor in state.items() if name != CLASS_WEIGHTS}


def published(state: Mapping[str, Tensor], nobody: float = 0.1) -> State:
    """Our tensors under their published names; `nobody` is the weight of a proposal that matches no one."""
    renamed = {published_name(name): tensor for name, tensor in state.items()}
    return renamed | {CLASS_WEIGHTS: torch.tensor([1.0, nobody])}


def our_name(name: str) -> str:
    """Our name of a published parameter; a name of ours stays as it is."""
    for theirs, ours in NAMES:
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def published_name(name: str) -> str:
    """The published name of one of our parameters."""
    for theirs, ours in NAMES:
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def start(model: nn.Module, document: Mapping[str, Any], what: str) -> list[str]:
    """Starts a detector from VideoMAE or VideoMAE V2: the encoder, and the context decoder from the blocks
    that reconstructed pixels where the file has them.

    Returns the names that keep their initial values. Raises WeightsError where the file is of another size.
    """
    state = {}
    for name, tensor in _unwrapped(document).items():
        name = name.removeprefix("backbone.").removeprefix("encoder.")
        if name.startswith(("decoder.", "encoder_to_decoder.")):
            name = f"det_head.{name}"
        state[our_name(name)] = tensor.float()
    fresh = ("encoder.norm.", "pyramid.", "proposals.", "stages.", "context.")
    return weights.fit(model, state, what, missing=fresh, unused=PRETRAINING_ONLY)


def _unwrapped(document: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """The tensors by name: PySlowFast keeps them under `model_state`, others under `model` or `module`."""
    state = document
    for key in ("model_state", "model", "module"):
        if key in document:
            state = document[key]
            break
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(
            "the checkpoint holds no tensors under `model_state`, `model`, `module` or at its top"
        )
    return state
