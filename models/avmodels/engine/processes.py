"""Several processes on one machine, and how a network is spread over them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.multiprocessing.spawn import ProcessRaisedException, start_processes

from avmodels.errors import ModelsError


def accelerator(precision: str = "fp32", unused: bool = False) -> Accelerator:
    """The process's place among its fellows (torchrun's or `launch`'s), on the GPU if there is one; `unused`
    says that some steps leave parameters without gradients."""
    mixed = "no" if precision == "fp32" else precision
    AcceleratorState._reset_state()  # a program may train in one precision and test in another
    return Accelerator(
        mixed_precision=mixed,
        cpu=not torch.cuda.is_available(),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=unused)],
    )


def spread(
    model: nn.Module, units: tuple[type[nn.Module], ...], parallel: str, here: Accelerator
) -> nn.Module:
    """The network on this process's device, ready for training over all processes.

    `fsdp` shards the parameters, gathering those of one of the `units` at a time; `ddp` copies them to every
    process. The network itself is changed, so that an optimiser made of its parameters afterwards holds.
    """
    model.to(here.device)
    if parallel == "fsdp" and here.num_processes > 1:
        for module in [*(module for module in model.modules() if isinstance(module, units)), model]:
            sharded = fully_shard(module)
            # gloo sums where it is asked for a mean
            sharded.set_force_sum_reduction_for_comms(here.device.type == "cpu")
        return model
    return here.prepare_model(model)


def onto(value: Any, device: torch.device) -> Any:
    """A batch's tensors, in lists and dictionaries or not, on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, list):
        return [onto(item, device) for item in value]
    if isinstance(value, dict):
        return {name: onto(item, device) for name, item in value.items()}
    return value


def whole(tensor: Tensor) -> Tensor:
    """A tensor's full value on the CPU; every process must ask for that of a sharded one."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().cpu()


def gathered(state: dict[str, Tensor], here: Accelerator) -> dict[str, Tensor]:
    """The full values of `state` on the main process, one tensor at a time; nothing elsewhere. All must ask."""
    full = {}
    for name, value in state.items():
        whole_value = whole(value)
        if here.is_main_process:
            full[name] = whole_value
    return full


def put(into: Tensor, value: Tensor) -> None:
    """Copies a full value into a tensor, each process its share into a sharded one."""
    if isinstance(into, DTensor):
        from torch.distributed.tensor import distribute_tensor

        value = distribute_tensor(value.to(into.device), into.device_mesh, into.placements)
    into.detach().copy_(value)


def launch(function: Callable[..., None], arguments: tuple[Any, ...], count: int) -> None:
    """Runs function(*arguments) in `count` processes that find each other; `function` must be importable.

    Raises the ModelsError of the first process that fails with one.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    errors = torch.multiprocessing.get_context("spawn").SimpleQueue()
    try:
        start_processes(_process, (count, port, errors, function, arguments), nprocs=count)
    except ProcessRaisedException:
        if errors.empty():
            raise
        raise errors.get() from None


def _process(
    rank: int, count: int, port: int, errors: Any, function: Callable[..., None], arguments: Any
) -> None:
    """One of the processes: says who it is in the variables torch.distributed reads, then works."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    os.dup2(2, 1)  # gloo greets its peers on stdout, which is for results
    try:
        function(*arguments)
    except ModelsError as error:
        errors.put(error)
        raise
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
