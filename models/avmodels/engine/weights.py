"""Reading and writing weights: safetensors, and what was published."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from avmodels.engine import pickles
from avmodels.errors import SpaceError, WeightsError

State = dict[str, Tensor]


def read(path: Path, system: str) -> dict[str, Any]:
    """What a checkpoint file holds: tensors by name, or the dictionary a training script wrapped them in.

    A folder is DeepSpeed's: its `mp_rank_00_model_states.pt` is read. Tensors are on the CPU.

    Raises WeightsError for a file that is missing, broken, a pickle that would have to run code, or one of our
    own of another system than `system`.
    """
    other = metadata(path).get("system", system)
    if other != system:
        raise WeightsError(f"{path} holds weights of {other}, not of {system}")
    if path.is_dir():
        path = path / "mp_rank_00_model_states.pt"
    if not path.is_file():
        raise WeightsError(f"there is no checkpoint at {path}")
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise WeightsError(f"{path} is not a readable checkpoint: {error}") from error
    document = pickles.read(path)
    if not isinstance(document, dict):
        raise WeightsError(f"{path} holds a {type(document).__name__}, not a dictionary of tensors")
    return document


def metadata(path: Path) -> dict[str, str]:
    """What our own files say of themselves (system, variant, ...); empty for any other file."""
    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a readable checkpoint: {error}") from error


def write(state: Mapping[str, Tensor], path: Path, about: Mapping[str, Any]) -> None:
    """Tensors as safetensors with `about` in the header, written beside and then renamed.

    Raises SpaceError where the disk is full; what was at `path` before is then intact.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    notes = {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
    try:
        save_file(tensors, beside, {"format": "pt", **notes})
        os.replace(beside, path)
    except (OSError, SafetensorError) as error:
        beside.unlink(missing_ok=True)
        raise SpaceError(f"cannot save {path}: {error}") from error


def write_pickle(state: Mapping[str, Tensor], path: Path) -> None:
    """Tensors as training scripts read them, {"model": {name: tensor}}, written beside and then renamed.

    Raises SpaceError where the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    try:
        torch.save({"model": dict(state)}, beside)
        os.replace(beside, path)
    except (OSError, RuntimeError) as error:
        beside.unlink(missing_ok=True)
        raise SpaceError(f"cannot save {path}: {error}") from error


def fit(
    model: nn.Module,
    state: Mapping[str, Tensor],
    what: str,
    missing: Collection[str] = (),
    unused: Collection[str] = (),
) -> list[str]:
    """Loads `state` into the model, and returns the names of the parameters it left as they were.

    Only names that begin with one of `missing` may lack in the state, and only those that begin with one of
    `unused` may lack in the model (they are dropped).

    Raises WeightsError that names what differs: `what` is of another system or size.
    """
    own = model.state_dict()
    state = {
        name: tensor for name, tensor in state.items() if name in own or not name.startswith(tuple(unused))
    }
    strange = [name for name in state if name not in own]
    lacking = [name for name in own if name not in state]
    forbidden = [name for name in lacking if not name.startswith(tuple(missing))]
    differing = [
        f"{name} is {tuple(tensor.shape)}, the model's {tuple(own[name].shape)}"
        for name, tensor in state.items()
        if name in own and tensor.shape != own[name].shape
    ]
    faults = [
        _few("shapes differ: ", differing),
        _few("the model has no ", strange),
        _few("the file has no ", forbidden),
    ]
    if any(faults):
        raise WeightsError(f"{what} does not fit the model: " + "; ".join(filter(None, faults)))
    model.load_state_dict(state, strict=False)
    return lacking


def _few(words: str, names: list[str]) -> str:
    """The first names of a list and how many more there are; nothing for none."""
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{words}{', '.join(names[:3])}{rest}" if names else ""
