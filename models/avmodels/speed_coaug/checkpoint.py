"""Checkpoints into our networks; their names are those that checkpoints of the method have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from avmodels.engine import weights
from avmodels.engine.weights import State
from avmodels.errors import WeightsError
from avmodels.speed_coaug.model import Recogniser, SightAndSound

SIGHT = "video_encoder."


def state_of(document: Mapping[str, Any]) -> State:
    """The tensors of a checkpoint in float32; torchvision's R(2+1)D gets our prefix and loses its classifier.

    Raises WeightsError where there are none.
    """
    state = document.get("state_dict", document.get("model", document))
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError("the checkpoint holds no state dict under `state_dict`, `model` or at its top")
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    if "stem.0.weight" in state:
        state = {SIGHT + name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    # Counts of batches are integers, and stay so.
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def start(model: SightAndSound | Recogniser, state: State, what: str) -> list[str]:
    """Starts a network from a checkpoint; returns the names that keep their initial values.

    A pre-trained or torchvision's encoder of sight starts either; a classifier of other classes is left out.
    Raises WeightsError that names what differs: `what` is of another system or size.
    """
    if isinstance(model, Recogniser):
        head = state.get("classifier.weight")
        if head is not None and head.shape != model.classifier.weight.shape:
            state = {name: tensor for name, tensor in state.items() if not name.startswith("classifier.")}
        unused = ("audio_encoder.", "audio_head.", "video_head.")
        return weights.fit(model, state, what, missing=("classifier.",), unused=unused)
    of_sight_alone = all(name.startswith(SIGHT) for name in state)
    return weights.fit(model, state, what, missing=("audio_", "video_head.") if of_sight_alone else ())
