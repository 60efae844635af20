"""A run's checkpoints: folders `step-00001200`, each whole or not there at all.

model.safetensors   the weights
ema.safetensors     their moving average, where the run keeps one
trainer.pt          the optimiser's state, and where the run was
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from avmodels.engine.processes import put, whole
from avmodels.errors import SpaceError, WeightsError

State = dict[str, Tensor]


def optimiser_state(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, State]:
    """The optimiser's full tensors by parameter name; every process must ask."""
    return {
        name: {key: whole(value) for key, value in optimiser.state[parameter].items()}
        for name, parameter in model.named_parameters()
        if parameter in optimiser.state
    }


def restore_optimiser(model: nn.Module, optimiser: torch.optim.Optimizer, state: dict[str, State]) -> None:
    """Puts what `optimiser_state` gave back into a new optimiser of the same network."""
    for name, parameter in model.named_parameters():
        if name not in state:
            continue
        for key, value in state[name].items():
            like_parameter = value.shape == parameter.shape and value.ndim
            held = torch.zeros_like(parameter) if like_parameter else torch.zeros_like(value)
            put(held, value)
            optimiser.state[parameter][key] = held


def restore_model(model: nn.Module, state: State) -> None:
    """Puts full tensors into the network, be it sharded or not."""
    own = model.state_dict()
    for name, value in state.items():
        put(own[name], value)


def save(folder: Path, step: int, parts: dict[str, State], trainer: dict[str, Any], keep: int) -> None:
    """Writes a checkpoint beside the others, then renames it, and removes all but the `keep` newest.

    Raises SpaceError where the disk is full; the checkpoints before are then intact.
    """
    final = folder / f"step-{step:08}"
    beside = folder / f"{final.name}.part"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        for name, state in parts.items():
            save_file(
                {key: value.contiguous() for key, value in state.items()}, beside / f"{name}.safetensors"
            )
        torch.save(trainer, beside / "trainer.pt")
        shutil.rmtree(final, ignore_errors=True)
        os.replace(beside, final)
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise SpaceError(f"cannot save {final}: {error}; earlier checkpoints are intact") from error
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """A run's whole checkpoints, the oldest first."""
    return sorted(path for path in folder.glob("step-*") if path.suffix != ".part")


def load(folder: Path) -> tuple[dict[str, State], dict[str, Any]]:
    """The newest checkpoint's weights by part and the trainer's state.

    Raises WeightsError where there is none.
    """
    found = checkpoints(folder)
    if not found:
        raise WeightsError(f"there is no checkpoint to go on from in {folder}")
    parts = {path.stem: load_file(path) for path in found[-1].glob("*.safetensors")}
    return parts, torch.load(found[-1] / "trainer.pt", map_location="cpu", weights_only=True)
