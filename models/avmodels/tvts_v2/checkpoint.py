"""Published checkpoints into our models and back, and the start from CLIP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from avmodels.engine import weights
from avmodels.engine.weights import State
from avmodels.errors import WeightsError
from avmodels.tvts_v2.model import TVTS, VideoEncoder
from avmodels.tvts_v2.probe import Probe

# Published beginnings of names and ours, of the whole model ...
PUBLISHED = {
    "video_model.": "video.",
    "text_model.": "text.transformer.",
    "text_token_embedding.": "text.token_embedding.",
    "text_positional_embedding": "text.positional_embedding",
    "text_ln_final.": "text.ln_final.",
    "text_projection": "text.text_projection",
    "pred_model.": "sorter.",
}
# ... and of the video encoder's blocks.
BLOCKS = ("transformer.resblocks.", "blocks.")
# The parts of CLIP that become ours.
CLIP = {
    "visual.": "video.",
    "transformer.": "text.transformer.",
    "token_embedding.": "text.token_embedding.",
    "positional_embedding": "text.positional_embedding",
    "ln_final.": "text.ln_final.",
    "text_projection": "text.text_projection",
}
# CLIP's temperature, and what its files say of their sizes.
NOT_OURS = ("logit_scale", "attn_mask", "input_resolution", "context_length", "vocab_size")
# What CLIP does not have.
NEW = ("temporal_embedding", ".timeattn.", ".ln_3.")


def state_of(document: Mapping[str, Any]) -> State:
    """The tensors of a checkpoint in float32, under our names; those of ours pass as they are.

    Raises WeightsError where the document holds no state dict.
    """
    state = document.get("state_dict", document)
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError("the checkpoint holds no state dict under `state_dict` or at its top")
    return {ours(name.replace("module.", "")): tensor.float() for name, tensor in state.items()}


def ours(name: str) -> str:
    """A published name as ours."""
    name = _begun(name, PUBLISHED)
    return name.replace(*BLOCKS) if name.startswith("video.") else name


def published(state: Mapping[str, Tensor]) -> State:
    """Our tensors under their published names."""
    back = {own: theirs for theirs, own in PUBLISHED.items()}
    return {
        _begun(name.replace("video." + BLOCKS[1], "video." + BLOCKS[0]), back): tensor
        for name, tensor in state.items()
    }


def start_from(model: TVTS, state: State, what: str) -> list[str]:
    """Loads a checkpoint, with or without the sorter on either side; returns the names that keep their values.

    Raises WeightsError that names what differs for another system or size.
    """
    return weights.fit(model, state, what, missing=("sorter.",), unused=("sorter.",))


def start_probe(model: Probe, state: State, what: str) -> list[str]:
    """Loads a video encoder alone or with a classifier; returns the names that keep their values."""
    return weights.fit(model, state, what, missing=("head.",), unused=("text.", "sorter."))


def start_from_clip(model: TVTS, state: Mapping[str, Tensor], what: str) -> list[str]:
    """Starts both encoders from OpenAI's or OpenCLIP's weights, under CLIP's own names.

    Returns the names that keep their values: time is new, and the sorter. Raises WeightsError that names what
    differs for another size.
    """
    kept = {name: tensor.float() for name, tensor in state.items() if name not in NOT_OURS}
    named = {_image(_begun(name, CLIP)): tensor for name, tensor in kept.items()}
    return weights.fit(model, named, what, missing=(*new_of_video(model.video, "video."), "sorter."))


def start_video_from_clip(video: VideoEncoder, state: Mapping[str, Tensor], what: str) -> list[str]:
    """The same of CLIP's image encoder alone, whose names begin with `visual.`."""
    named = {_image(_begun(name, CLIP)).removeprefix("video."): tensor for name, tensor in state.items()}
    return weights.fit(video, named, what, missing=new_of_video(video))


def new_of_video(video: VideoEncoder, prefix: str = "") -> tuple[str, ...]:
    """The names of the video encoder's parameters that CLIP does not have."""
    names = (prefix + name for name, _ in video.named_parameters())
    return tuple(name for name in names if any(part in name for part in NEW))


def is_clip(state: Mapping[str, Any]) -> bool:
    """Whether a state dict has the names of a whole CLIP."""
    return "visual.conv1.weight" in state


def _image(name: str) -> str:
    """A name of CLIP's image encoder as the video encoder's."""
    if not name.startswith("video."):
        return name
    return name.replace(*BLOCKS).replace("in_proj_", "qkv.").replace("out_proj.", "proj.")


def _begun(name: str, beginnings: Mapping[str, str]) -> str:
    """The name with its beginning changed."""
    for old, new in beginnings.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
