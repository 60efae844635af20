"""Published checkpoints into our network and back.

A checkpoint has what was trained: the mapping, new words, and of the language model low-rank maps and norms. The rest
of the language model comes from its own files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avmodels.engine import weights
from avmodels.engine.weights import State
from avmodels.errors import WeightsError
from avmodels.uni_ad.model import UniAD

LANGUAGE = "gpt."
# Second names of the same tensors, and a table of numbers 0 to 511.
OUTPUT = re.compile(r"(video|image|context)_output_token_embedding\.weight$")
POSITIONS = "perceiver.video_Qformer.bert.embeddings.position_ids"
# Parts of the published language model that only its unused forms have.
UNUSED = ("reg_head.",)

# Parts of the video Q-Former: published name, ours.
QFORMER = (
    ("perceiver.video_query_tokens", "perceiver.query_tokens"),
    ("perceiver.video_frame_position_embedding.", "perceiver.frame_position."),
    ("perceiver.video_Qformer.bert.embeddings.LayerNorm.", "perceiver.norm."),
    ("perceiver.video_Qformer.bert.encoder.layer.", "perceiver.layers."),
)
IN_LAYER = (
    ("attention.self.", "attention."),
    ("attention.output.dense.", "attention.dense."),
    ("attention.output.LayerNorm.", "attention.norm."),
    ("intermediate_query.dense.", "intermediate."),
    ("output_query.dense.", "output."),
    ("output_query.LayerNorm.", "norm."),
)


def state_of(document: Mapping[str, Any]) -> State:
    """The tensors of a checkpoint under our names. Raises WeightsError where it holds none."""
    state = document.get("state_dict", document.get("model", document))
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError("the checkpoint holds no state dict under `state_dict` or at its top")
    names = {name: name.removeprefix("module.") for name in state}
    kept = {name: new for name, new in names.items() if not (OUTPUT.match(new) or new == POSITIONS)}
    return {ours(new): state[name] for name, new in kept.items()}


def ours(name: str) -> str:
    """A published parameter's name as our network has it."""
    return renamed(name, QFORMER, IN_LAYER)


def published_name(name: str) -> str:
    """Our parameter's name as published."""
    # The other way round the most general rule comes last.
    parts = tuple((own, theirs) for theirs, own in reversed(IN_LAYER))
    return renamed(name, tuple((own, theirs) for theirs, own in QFORMER), parts)


def renamed(name: str, starts: tuple[tuple[str, str], ...], parts: tuple[tuple[str, str], ...]) -> str:
    for old, new in starts:
        if name.startswith(old):
            name = new + name.removeprefix(old)
            break
    else:
        return name
    layer = re.match(r"(.*?\.(?:layers|layer)\.\d+\.)(.*)", name)
    if layer is None:
        return name
    head, tail = layer.groups()
    for old, new in parts:
        if tail.startswith((old, f"cross{old}")):
            return head + tail.replace(old, new, 1)
    return head + tail


def published_state(state: State) -> State:
    """All tensors of our network under published names, second names and all."""
    found = {published_name(name): value for name, value in state.items()}
    for name in [name for name in found if name.endswith("_input_token_embedding.weight")]:
        found[name.replace("_input_", "_output_")] = found[name].clone()
    if "perceiver.video_query_tokens" in found:
        found[POSITIONS] = torch.arange(512)[None]
    return found


def trained(state: State) -> State:
    """What of all published tensors a published checkpoint has."""
    return {
        name: value
        for name, value in state.items()
        if LANGUAGE not in name or ".lora_" in name or "norm" in name
    }


def load(model: UniAD, state: State, what: str) -> list[str]:
    """Puts a checkpoint into the network; returns what it left as it was: the language model's own weights.

    Must come before the low-rank maps are merged. Raises WeightsError that names what differs: another form,
    another size, or the checkpoint of another language model.
    """
    left = weights.fit(model, state, what, missing=(LANGUAGE,), unused=UNUSED)
    adapted = [name for name in left if ".lora_" in name]
    if adapted and any(name.startswith(LANGUAGE) for name in state):
        raise WeightsError(f"{what} does not fit the language model: it has no {adapted[0]}")
    return left


def load_adaptation(model: UniAD, state: State, what: str) -> list[str]:
    """Puts what a language model learned of audio description (LLaMA_AD_pretrain.pt) into the network."""
    return weights.fit(
        model,
        {name: value for name, value in state.items() if name.startswith(LANGUAGE)},
        what,
        missing=("",),
    )


def load_mapping(model: UniAD, state: State, what: str) -> list[str]:
    """Puts a mapping that learned of captioned videos into the network: characters start as video does.

    As published, only the transformer of the characters' mapping starts so, not their projection.
    """
    own = {name: value for name, value in state.items() if not name.startswith(LANGUAGE)}
    copies = {
        name.replace("perceiver.", "perceiver_img.", 1): value
        for name, value in own.items()
        if name.startswith("perceiver.")
    }
    return weights.fit(model, copies | own, what, missing=("",))
