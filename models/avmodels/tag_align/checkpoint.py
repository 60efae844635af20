"""Published checkpoints into our network and back; the network has the names of a fresh published model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from avmodels.engine import weights
from avmodels.engine.weights import State
from avmodels.errors import WeightsError
from avmodels.nn.clip_names import openai_names
from avmodels.tag_align.model import TagAlign

TOWERS = ("clip_text_encoder.", "clip_image_encoder.", "label_embedding", "cl_loss.", "ce_loss.")

# What the surgery of the published code calls the parts of a block's attention, and what CLIP calls them.
SURGERY = {
    "attn.qkv.weight": "attn.in_proj_weight",
    "attn.qkv.bias": "attn.in_proj_bias",
    "attn.proj.weight": "attn.out_proj.weight",
    "attn.proj.bias": "attn.out_proj.bias",
}
# Second names the published code leaves for the parts of the last attention it replaced.
ALIAS = re.compile(r"clip_image_encoder\.clip_visual\.attn\.(qkv|proj)\.(weight|bias)$")
# The later published branch calls the projector a decoder.
DECODER = {
    "decoder.decoder.": "projector.projector.",
    "decoder.image_proj.": "projector.clip_proj.",
    "decoder.clip_proj.": "projector.clip_proj.",
}


def state_of(document: Mapping[str, Any]) -> State:
    """The tensors of a TagAlign checkpoint in float32, under the names of a fresh model, whatever its spelling."""
    state = document.get("model", document)
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError("the checkpoint holds no state dict under `model` or at its top")
    state = openai_names(dict(state))
    names = {name: spelling(name.removeprefix("module.")) for name in state}
    return {new: state[name].float() for name, new in names.items() if not ALIAS.search(new)}


def spelling(name: str) -> str:
    """A published parameter's name as a fresh model on the main branch has it."""
    for theirs, ours in DECODER.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    if name.startswith("projector."):
        return name
    for theirs, ours in SURGERY.items():
        if ".resblocks." in name and name.endswith(f".{theirs}"):
            return name.removesuffix(theirs) + ours
    return name


def start(model: TagAlign, state: State, what: str) -> list[str]:
    """Loads TagAlign's own weights, or CLIP's alone; returns the names that keep their initial values.

    The projector must fit whole; frozen parts may lack in the file. From CLIP alone the projector starts as the
    published one does: the gated form is then the identity. Raises WeightsError that names what differs.
    """
    if "visual.conv1.weight" in state:
        state = from_clip(state)
    elif not any(name.startswith("projector.") for name in state):
        state = projected_alike(state)
    else:
        return weights.fit(model, state, what, missing=TOWERS)
    missing = ("projector.projector.", "label_embedding", "cl_loss.", "ce_loss.")
    return weights.fit(model, state, what, missing=missing)


def from_clip(state: State) -> State:
    """CLIP's parameters under TagAlign's names, with those of the projector's projection."""
    ours: State = {}
    for name, tensor in state.items():
        tensor = tensor.float()
        if name in ("visual.proj", "visual.ln_post.weight", "visual.ln_post.bias"):
            part = name.removeprefix("visual.").replace("ln_post", "ln")
            ours[f"clip_image_encoder.clip_proj.{part}"] = tensor
        elif name.startswith("visual."):
            ours["clip_image_encoder.clip_visual." + name.removeprefix("visual.")] = tensor
        elif name not in ("logit_scale", "input_resolution", "context_length", "vocab_size"):
            ours["clip_text_encoder." + name] = tensor
    return projected_alike(ours)


def projected_alike(state: State) -> State:
    """CLIP's towers under TagAlign's names, and the projector's projection as a copy of CLIP's."""
    own = "clip_image_encoder.clip_proj."
    copied = {name: tensor for name, tensor in state.items() if name.startswith(own)}
    return state | {f"projector.clip_proj.{name.removeprefix(own)}": it for name, it in copied.items()}
