"""A run's checkpoints: folders `step-00001200`, each whole or not there at all.

model.safetensors       the weights,
ema.safetensors         their moving average, where the run keeps one,
optimiser.safetensors   and the optimiser's tensors, `parameter/what`; or, of a network that is spread over processes,
shards/                 all of these as every process holds them (torch.distributed.checkpoint)
progress.json           where the run was

Either is read by any number of processes, whether they spread the network or not.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load as load_shards
from torch.distributed.checkpoint.state_dict_saver import save as save_shards
from torch.distributed.tensor import DTensor

from avmodels.engine.processes import put
from avmodels.errors import SpaceError, WeightsError

State = dict[str, Tensor]
Parts = dict[str, State]

SHARDS = "shards"


def optimiser_state(model: nn.Module, optimiser: torch.optim.Optimizer) -> State:
    """The optimiser's tensors as this process holds them, by parameter and what they are: `head.weight/exp_avg`."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def make_room(model: nn.Module, optimiser: torch.optim.Optimizer, checkpoint: Path) -> State:
    """`optimiser_state` of a new optimiser, in zeros, for what `checkpoint` holds of it."""
    held = _layout(checkpoint, "optimiser")
    for name, parameter in model.named_parameters():
        for key, like in (
            (it.rpartition("/")[2], like) for it, like in held.items() if it.startswith(f"{name}/")
        ):
            same = like.ndim and like.shape == parameter.shape
            optimiser.state[parameter][key] = torch.zeros_like(
                parameter if same else like, device=parameter.device
            )
    return optimiser_state(model, optimiser)


def fill(own: State, state: State) -> None:
    """Puts full tensors into those of a network, be it spread over processes or not."""
    for name, value in state.items():
        put(own[name], value)


def save(
    folder: Path, step: int, parts: Parts, progress: dict[str, Any], keep: int, here: Accelerator
) -> None:
    """Writes a checkpoint beside the others, then renames it, and removes all but the `keep` newest.

    Every process must call it. Raises SpaceError where the disk is full; the checkpoints before are then intact.
    """
    final = folder / f"step-{step:08}"
    beside = folder / f"{final.name}.part"
    spread = any(isinstance(value, DTensor) for state in parts.values() for value in state.values())
    try:
        if here.is_main_process:
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir(parents=True)
        here.wait_for_everyone()
        if spread:
            save_shards(_flat(parts), checkpoint_id=beside / SHARDS)
        elif here.is_main_process:
            for part, state in parts.items():
                whole = {name: value.detach().cpu().contiguous() for name, value in state.items()}
                save_file(whole, beside / f"{part}.safetensors")
        if here.is_main_process:
            (beside / "progress.json").write_text(json.dumps(progress))
            shutil.rmtree(final, ignore_errors=True)
            os.replace(beside, final)
    except (OSError, RuntimeError, SafetensorError, CheckpointException) as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise SpaceError(f"cannot save {final}: {error}; earlier checkpoints are intact") from error
    if here.is_main_process:
        for old in checkpoints(folder)[:-keep]:
            shutil.rmtree(old)
    here.wait_for_everyone()


def checkpoints(folder: Path) -> list[Path]:
    """A run's whole checkpoints, the oldest first."""
    return sorted(path for path in folder.glob("step-*") if path.suffix != ".part")


def newest(folder: Path) -> Path:
    """The newest checkpoint in a run's folder of them. Raises WeightsError where there is none."""
    found = checkpoints(folder)
    if not found:
        raise WeightsError(f"there is no checkpoint to go on from in {folder}")
    return found[-1]


def load(checkpoint: Path, parts: Parts) -> dict[str, Any]:
    """Fills the tensors of `parts` in place with those of the checkpoint; returns where the run was."""
    if (checkpoint / SHARDS).is_dir():
        load_shards(_flat(parts), checkpoint_id=checkpoint / SHARDS)
    else:
        for part, state in parts.items():
            fill(state, load_file(checkpoint / f"{part}.safetensors"))
    return json.loads((checkpoint / "progress.json").read_text())


def _flat(parts: Parts) -> dict[str, Any]:
    return {f"{part}/{name}": value for part, state in parts.items() for name, value in state.items()}


def _layout(checkpoint: Path, part: str) -> State:
    """Tensors without storage that are like those of a part of the checkpoint."""
    if not (checkpoint / SHARDS).is_dir():
        state = load_file(checkpoint / f"{part}.safetensors")
        return {name: torch.empty_like(value, device="meta") for name, value in state.items()}
    entries = FileSystemReader(checkpoint / SHARDS).read_metadata().state_dict_metadata
    return {
        name.removeprefix(f"{part}/"): torch.empty(entry.size, dtype=entry.properties.dtype, device="meta")
        for name, entry in entries.items()
        if name.startswith(f"{part}/") and isinstance(entry, TensorStorageMetadata)
    }
