"""The training loop that all systems share."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from avmodels.data.samples import Order, Sample, Samples, collate, seed_generators
from avmodels.engine import checkpoints, weights
from avmodels.engine.config import Optimiser, Training
from avmodels.engine.ema import MovingAverage
from avmodels.engine.log import Log
from avmodels.engine.processes import put, spread, whole
from avmodels.engine.schedule import cosine
from avmodels.errors import DataError, DivergedError

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Task:
    """What the loop needs to know of a system.

    `groups` gives the optimiser's groups, each with `params`, `weight_decay` and `lr_scale`; `loss` a batch's
    mean loss; `evaluate` metrics, the one called `best` deciding which weights are kept as the best. `units`
    are the modules that FSDP gathers one at a time; `about` goes into the header of every weights file.
    """

    model: nn.Module
    samples: Samples
    groups: Callable[[nn.Module], list[dict[str, Any]]]
    loss: Callable[[nn.Module, Batch], Tensor]
    units: tuple[type[nn.Module], ...]
    about: dict[str, Any]
    evaluate: Callable[[nn.Module, Accelerator], dict[str, float]] | None = None
    best: str = ""


@dataclass
class Progress:
    """Where a run is: the next step, the clips of its epoch that could not be read, the best metric so far."""

    step: int = 0
    unreadable: int = 0
    best: float = float("-inf")
    metrics: dict[str, float] = field(default_factory=dict)


def fit(
    task: Task, optimiser: Optimiser, training: Training, run: Path, here: Accelerator, resume: bool
) -> dict[str, float]:
    """Trains, leaving in the folder `run`: checkpoints/, model.safetensors (and ema.safetensors,
    best.safetensors), log.jsonl and tensorboard/. Returns the last metrics.

    Every random draw is a function of the seed and of the step or sample, so a run that is killed and resumed
    repeats itself exactly. Raises DataError where the data make no batch or too many clips are unreadable,
    DivergedError at a loss that is no number, SpaceError where a checkpoint cannot be written.
    """
    clips = training.batch * training.accumulate * here.num_processes
    an_epoch = len(task.samples) // clips
    if an_epoch == 0:
        raise DataError(f"{len(task.samples)} clips make no batch: a step takes {clips}")
    total = an_epoch * training.epochs
    warmup = min(int(optimiser.warmup_epochs * an_epoch), total)

    model = task.model
    spread_model = spread(model, task.units, training.parallel, here)
    adamw = torch.optim.AdamW(task.groups(model), lr=0.0, betas=optimiser.betas, eps=optimiser.eps)
    average = MovingAverage(model, training.ema) if training.ema else None
    progress = Progress()
    if resume:
        restore(run, model, adamw, average, progress)
    log = Log(run, progress.step, total, here.is_main_process)
    batches = loader(task.samples, training, here, progress.step * training.accumulate, total)
    try:
        for step in range(progress.step, total):
            began = time.perf_counter()
            epoch, of_epoch = divmod(step, an_epoch)
            rate = cosine(step, total, warmup, optimiser.lr, optimiser.final_lr) * clips / 256
            for group in adamw.param_groups:
                group["lr"] = rate * group["lr_scale"]

            taken = take(batches, training.accumulate, training.batch, log)
            loss = gradients(task, spread_model, taken, here, training.seed, step)
            loss, passed_over = agree(loss, taken, here)
            progress.unreadable = passed_over + (progress.unreadable if of_epoch else 0)
            if progress.unreadable > training.max_unreadable * len(task.samples):
                raise DataError(
                    f"{progress.unreadable} of {len(task.samples)} clips could not be read in epoch {epoch + 1}, more "
                    f"than training.max_unreadable = {training.max_unreadable:g} allows"
                )
            if not torch.isfinite(torch.tensor(loss)):
                raise diverged(run, step, loss, taken, task.samples, here)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), optimiser.clip or float("inf"))
            adamw.step()
            adamw.zero_grad(set_to_none=True)
            if average:
                average.update(model)
            seconds = time.perf_counter() - began
            log.step(
                step,
                epoch=epoch,
                loss=loss,
                lr=rate,
                grad_norm=whole(norm).item(),
                unreadable=progress.unreadable,
                clips_per_second=clips / seconds,
            )

            progress.step = step + 1
            ended = of_epoch + 1 == an_epoch
            if ended:
                end_epoch(task, spread_model, run, epoch, training, progress, here, log)
            if ended or (training.save_every and progress.step % training.save_every == 0):
                keep(run, model, adamw, average, progress, training.keep, here)
    finally:
        log.close()
    finish(task, run, average, here)
    return progress.metrics


def loader(
    samples: Samples, training: Training, here: Accelerator, start: int, total: int
) -> Iterator[Sample]:
    """This process's batches, from number `start` on."""
    order = Order(
        len(samples),
        training.batch,
        training.seed,
        start,
        total * training.accumulate,
        here.process_index,
        here.num_processes,
        training.accumulate,
    )
    return iter(
        DataLoader(
            samples,
            batch_sampler=order,
            collate_fn=collate,
            num_workers=training.workers,
            pin_memory=here.device.type == "cuda",
        )
    )


def take(batches: Iterator[Sample], count: int, size: int, log: Log) -> list[Sample]:
    """The next `count` batches of `size` clips; says which clips could not be read.

    Raises DataError where a clip could not even be replaced.
    """
    taken = [next(batches) for _ in range(count)]
    for message in (message for batch in taken for message in batch["unreadable"]):
        log.warning(f"skipped: {message}")
    for batch in taken:
        if len(batch["clips"]) < size:
            raise DataError(f"clip after clip cannot be read; the last: {batch['unreadable'][-1]}")
    return taken


def gradients(
    task: Task, model: nn.Module, batches: list[Sample], here: Accelerator, seed: int, step: int
) -> Tensor:
    """The mean loss over the batches, its gradients added to the parameters and shared by all processes."""
    model.train()
    losses = []
    for number, batch in enumerate(batches):
        seed_generators(seed, step, number, here.process_index)
        tensors = {name: value.to(here.device) for name, value in batch["tensors"].items()}
        last = number + 1 == len(batches)
        with contextlib.nullcontext() if last else here.no_sync(model):
            with here.autocast():
                loss = task.loss(model, tensors)
            here.backward(loss / len(batches))
        losses.append(loss.detach().float())
    return torch.stack(losses).mean()


def agree(loss: Tensor, batches: list[Sample], here: Accelerator) -> tuple[float, int]:
    """The mean loss, and the number of clips passed over, among all processes."""
    passed_over = sum(len(batch["unreadable"]) for batch in batches)
    mine = torch.stack([loss.double(), torch.tensor(passed_over, device=loss.device)])[None]
    every = here.gather(mine)
    assert isinstance(every, Tensor)
    return every[:, 0].mean().item(), int(every[:, 1].sum())


def diverged(
    run: Path, step: int, loss: float, batches: list[Sample], samples: Samples, here: Accelerator
) -> DivergedError:
    """The error for a loss that is no number; what went in is left in the run's folder."""
    path = run / f"diverged-{here.process_index}.json"
    clips = [str(samples.clips[number]) for batch in batches for number in batch["clips"]]
    path.write_text(json.dumps({"step": step, "loss": str(loss), "clips": clips}, indent=1))
    return DivergedError(f"the loss is {loss} at step {step}; the clips of that step are listed in {path}")


def end_epoch(
    task: Task,
    model: nn.Module,
    run: Path,
    epoch: int,
    training: Training,
    progress: Progress,
    here: Accelerator,
    log: Log,
) -> None:
    """Evaluates when it is time to, and keeps the best weights."""
    last = epoch + 1 == training.epochs
    if task.evaluate is None or not (last or (epoch + 1) % training.evaluate_every == 0):
        return
    model.eval()
    progress.metrics = task.evaluate(model, here)
    log.epoch(progress.step - 1, epoch, **progress.metrics)
    if progress.metrics[task.best] > progress.best:
        progress.best = progress.metrics[task.best]
        state = {name: whole(value) for name, value in task.model.state_dict().items()}
        if here.is_main_process:
            weights.write(state, run / "best.safetensors", task.about)


def keep(
    run: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: MovingAverage | None,
    progress: Progress,
    count: int,
    here: Accelerator,
) -> None:
    """Saves a checkpoint from which `restore` goes on."""
    parts = {"model": {name: whole(value) for name, value in model.state_dict().items()}}
    if average:
        parts["ema"] = {name: whole(value) for name, value in average.parameters.items()}
    trainer = {"progress": asdict(progress), "optimiser": checkpoints.optimiser_state(model, optimiser)}
    if here.is_main_process:
        checkpoints.save(run / "checkpoints", progress.step, parts, trainer, count)
    here.wait_for_everyone()


def restore(
    run: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: MovingAverage | None,
    progress: Progress,
) -> None:
    """Goes back to the newest checkpoint."""
    parts, trainer = checkpoints.load(run / "checkpoints")
    checkpoints.restore_model(model, parts["model"])
    checkpoints.restore_optimiser(model, optimiser, trainer["optimiser"])
    if average:
        for name, value in parts["ema"].items():
            put(average.parameters[name], value)
    vars(progress).update(trainer["progress"])


def finish(task: Task, run: Path, average: MovingAverage | None, here: Accelerator) -> None:
    """Writes the trained weights."""
    states = {"model": task.model.state_dict()}
    if average:
        states["ema"] = average.state(task.model)
    for part, state in states.items():
        full = {name: whole(value) for name, value in state.items()}
        if here.is_main_process:
            weights.write(full, run / f"{part}.safetensors", task.about)
    here.wait_for_everyone()
