"""Published checkpoints of SNCLR and MoCo v3 into our models, and encoders out of them for others.

The networks keep the published parameter names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from avmodels.engine import weights
from avmodels.engine.weights import State
from avmodels.errors import WeightsError
from avmodels.snclr.detection import Detector
from avmodels.snclr.model import SNCLR, Probe

# Where an encoder lies, in pre-training and in our probes.
ENCODERS = ("base_encoder.", "encoder.")
# What stands on a ViT, and on a ResNet.
TOPS = ("head.", "fc.")
# What a distributed or compiled model puts before every name.
WRAPPERS = ("module.", "_orig_mod.")


def state_of(document: Mapping[str, Any]) -> State:
    """The tensors of a checkpoint in float32, whatever wrapped them; counters stay integers.

    Raises WeightsError where there are none.
    """
    state = document.get("state_dict", document.get("model", document))
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError("the checkpoint holds no state dict under `state_dict`, `model` or at its top")
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor.long()
        for name, tensor in state.items()
    }


def backbone(state: State) -> State:
    """The encoder alone, under the names of timm and torchvision: neither projector nor classifier, copy, predictor
    and bank. It may lie under `base_encoder.` (pre-training), `encoder.` (our probes) or at the top."""
    for place in ENCODERS:
        if any(name.startswith(place) for name in state):
            state = {
                name.removeprefix(place): tensor for name, tensor in state.items() if name.startswith(place)
            }
    return {name: tensor for name, tensor in state.items() if not name.startswith(TOPS)}


def published(state: State) -> State:
    """The state of one of our networks under published names: pre-training as MoCo v3 has it, which does without
    the bank; a probe as timm and torchvision have a classifier, without a head where several were tried."""
    if not any(name.startswith("heads.") for name in state):
        return {name: tensor for name, tensor in state.items() if not name.startswith("bank.")}
    top = TOPS[0] if "encoder.cls_token" in state else TOPS[1]
    one = "heads.1.weight" not in state
    head = {top + part: state[f"heads.0.{part}"] for part in ("weight", "bias")} if one else {}
    return backbone(state) | head


def start(model: nn.Module, state: State, what: str) -> None:
    """Starts pre-training from pre-training, its bank where there is one, and any other network from the encoder
    of whatever there is.

    Raises WeightsError that names what differs for another variant.
    """
    if isinstance(model, SNCLR):
        weights.fit(model, state, what, missing=("bank.",))
    else:
        trunk = model.encoder if isinstance(model, (Probe, Detector)) else model
        weights.fit(trunk, backbone(state), what)


def load(model: nn.Module, state: State, what: str) -> None:
    """Puts a checkpoint into a network whole: a probe needs its classifier, a detector all of it.

    Raises WeightsError that names what differs for another variant.
    """
    if isinstance(model, Detector):
        weights.fit(model, state, what)
        return
    start(model, state, what)
    if isinstance(model, Probe):
        places = {"heads.": "", "head.": "0.", "fc.": "0."}
        heads = {
            ours + name.removeprefix(place): tensor
            for place, ours in places.items()
            for name, tensor in state.items()
            if name.startswith(place)
        }
        weights.fit(model.heads, heads, what)
