"""Published checkpoints into our models and back; the networks keep the published parameter names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from torch import Tensor

from avmodels.engine import weights
from avmodels.engine.weights import State
from avmodels.errors import WeightsError
from avmodels.videomae_v2.model import Classifier

# What a compiled model, and the Hugging Face packages, put before every name.
WRAPPERS = ("_orig_mod.", "model.")
# What pre-training leaves behind: the decoder, and the norm after the encoder (the classifier has its own).
PRETRAINING_ONLY = ("decoder.", "encoder_to_decoder.", "mask_token", "norm.")


@cache
def labels() -> dict[str, Any]:
    """Class names of the Kinetics sets in the published order (`k400` ... `k710`), and for each smaller set the
    row of the 710-way head that serves each of its classes (`710to400` ...)."""
    return json.loads(files("avmodels.videomae_v2").joinpath("labels.json").read_text(encoding="utf-8"))


def class_names(label_set: str) -> list[str] | None:
    """The names of a Kinetics set such as `kinetics-400`; None for another set."""
    return labels().get(label_set.replace("kinetics-", "k"))


def state_of(document: Mapping[str, Any]) -> State:
    """The tensors of a checkpoint in float32, under the published names, whatever wrapped them."""
    state = document.get("model", document.get("module", document))
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError("the checkpoint holds no state dict under `model`, `module` or at its top")
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return {name: tensor.float() for name, tensor in state.items()}


def fit_head(state: State, classes: int, label_set: str) -> State:
    """The state with its head cut to `classes` classes.

    A 710-way head gives a Kinetics set its own rows; any other head of another width is dropped.
    """
    head = state.get("head.weight")
    if head is None or len(head) == classes:
        return state
    rows = labels().get(label_set.replace("kinetics-", "710to"))
    parts = ("head.weight", "head.bias")
    if len(head) == 710 and rows is not None and len(rows) == classes:
        return state | {name: state[name][rows] for name in parts}
    return {name: tensor for name, tensor in state.items() if name not in parts}


def start_classifier(model: Classifier, state: State, label_set: str, what: str) -> list[str]:
    """Starts a classifier from a pre-training or classification checkpoint.

    Returns the names that keep their initial value: the head and final norm after pre-training, the head
    alone where the classes differ. Raises WeightsError that names what differs for another system or size.
    """
    state = fit_head(state, model.head.out_features, label_set)
    pretrained = "mask_token" in state
    state = {_without(name, ("backbone.", "encoder.")): tensor for name, tensor in state.items()}
    return weights.fit(
        model,
        state,
        what,
        missing=("head.", "fc_norm.") if pretrained else ("head.",),
        unused=PRETRAINING_ONLY if pretrained else (),
    )


def _without(name: str, prefixes: tuple[str, ...]) -> str:
    for prefix in prefixes:
        name = name.removeprefix(prefix)
    return name
