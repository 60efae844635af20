"""The training loop that all systems share."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

from avmodels.data.samples import Order, Sample, Samples, collate, seed_generators
from avmodels.engine import checkpoints, weights
from avmodels.engine.config import Training
from avmodels.engine.descent import Descent
from avmodels.engine.ema import MovingAverage
from avmodels.engine.log import Log
from avmodels.engine.processes import gathered, onto, spread, whole
from avmodels.engine.schedule import Length
from avmodels.errors import ConfigError, DataError, DivergedError

# A batch's tensors by name; `Task.stack` may leave lists of tensors of different sizes.
Batch = dict[str, Any]


# What does not learn, in a run's folder.
FROZEN = "frozen.safetensors"


def nothing(step: int, length: Length) -> None:
    """Goes before a step of most systems."""


@dataclass(frozen=True)
class Task:
    """What the loop needs to know of a system.

    Steps take their clips from the `sources` in turn; an epoch is one pass through the first, and the others
    begin anew when they end. `stack` puts samples together. `before` is called before every step. `groups`
    gives the optimiser's groups, each with `params`, `weight_decay` and `lr_scale`; `loss` a batch's mean loss;
    `evaluate` metrics, the one called `best` deciding which weights are kept as the best. `units` are the
    modules that FSDP gathers one at a time; `about` goes into the header of every weights file.
    """

    model: nn.Module
    sources: tuple[Samples, ...]
    groups: Callable[[nn.Module], list[dict[str, Any]]]
    loss: Callable[[nn.Module, Batch], Tensor]
    units: tuple[type[nn.Module], ...]
    about: dict[str, Any]
    evaluate: Callable[[nn.Module, Accelerator], dict[str, float]] | None = None
    best: str = ""
    stack: Callable[[list[Sample]], Batch] = default_collate
    before: Callable[[int, Length], None] = nothing


@dataclass
class Progress:
    """Where a run is: the clips a step takes from all processes, the next step, the clips of its epoch that could
    not be read, the best metric so far."""

    clips: int
    step: int = 0
    unreadable: int = 0
    best: float = float("-inf")
    metrics: dict[str, float] = field(default_factory=dict)


def fit(
    task: Task, descent: Descent, training: Training, run: Path, here: Accelerator, resume: bool
) -> dict[str, float]:
    """Trains, leaving in the folder `run`: checkpoints/, model.safetensors (and ema.safetensors,
    best.safetensors), log.jsonl and tensorboard/. Returns the last metrics.

    Every random draw is a function of the seed and of the step or sample, so a run that is killed and resumed
    repeats itself exactly. Raises DataError where the data make no batch or too many clips are unreadable,
    DivergedError at a loss that is no number, SpaceError where a checkpoint cannot be written, ConfigError where a
    run would go on with steps of another size.
    """
    length = measure(task, training, here)
    model = task.model
    spread_model = spread(model, task.units, training.parallel, here)
    optimiser = descent.optimiser(task.groups(model))
    average = MovingAverage(model, training.ema) if training.ema else None
    progress = Progress(length.clips)
    if resume:
        restore(run, model, optimiser, average, progress)
        if progress.clips != length.clips:
            raise ConfigError(
                f"{run} took {progress.clips} clips a step, and would now take {length.clips}: "
                "training.batch x training.accumulate x processes must stay what it was"
            )
    else:
        keep_frozen(run, model, task.about, here)
    log = Log(run, progress.step, length.total, here.is_main_process)
    loaders = [
        loader(task, number, training, here, progress.step, length.total)
        for number in range(len(task.sources))
    ]
    try:
        for step in range(progress.step, length.total):
            began = time.perf_counter()
            epoch, of_epoch = divmod(step, length.an_epoch)
            rate = descent.rate(step, length)
            for group in optimiser.param_groups:
                group["lr"] = rate * group["lr_scale"]

            source = step % len(loaders)
            taken = take(loaders[source], training.accumulate, training.batch, log)
            task.before(step, length)
            loss = gradients(task, spread_model, taken, here, training.seed, step)
            loss, passed_over = agree(loss, taken, here)
            progress.unreadable = passed_over + (progress.unreadable if of_epoch else 0)
            clips = max(length.an_epoch * length.clips, len(task.sources[0]))
            if progress.unreadable > training.max_unreadable * clips:
                raise DataError(
                    f"{progress.unreadable} of {clips} clips could not be read in epoch {epoch + 1}, more "
                    f"than training.max_unreadable = {training.max_unreadable:g} allows"
                )
            if not torch.isfinite(torch.tensor(loss)):
                raise diverged(run, step, loss, taken, task.sources[source], here)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), descent.clip or float("inf"))
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
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
                clips_per_second=length.clips / seconds,
            )

            progress.step = step + 1
            ended = of_epoch + 1 == length.an_epoch
            if ended:
                end_epoch(task, spread_model, run, epoch, training, progress, here, log)
            if ended or (training.save_every and progress.step % training.save_every == 0):
                keep(run, model, optimiser, average, progress, training.keep, here)
    finally:
        log.close()
    finish(task, run, average, here)
    return progress.metrics


def measure(task: Task, training: Training, here: Accelerator) -> Length:
    """How long the run is. Raises DataError where a source does not fill a step."""
    clips = training.batch * training.accumulate * here.num_processes
    for source in task.sources:
        if len(source) < clips:
            raise DataError(f"{len(source)} clips make no batch: a step takes {clips}")
    an_epoch = len(task.sources[0]) // clips * len(task.sources)
    return Length(an_epoch * training.epochs, an_epoch, clips)


def loader(
    task: Task, number: int, training: Training, here: Accelerator, start: int, total: int
) -> Iterator[Sample]:
    """This process's batches of a source, from those of step `start` on."""
    every = len(task.sources)
    before, in_all = ((steps + every - 1 - number) // every for steps in (start, total))
    order = Order(
        len(task.sources[number]),
        training.batch,
        training.seed,
        before * training.accumulate,
        in_all * training.accumulate,
        here.process_index,
        here.num_processes,
        training.accumulate,
    )
    return iter(
        DataLoader(
            task.sources[number],
            batch_sampler=order,
            collate_fn=partial(collate, stack=task.stack),
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
        tensors = onto(batch["tensors"], here.device)
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
        state = gathered(task.model.state_dict(), here)
        if here.is_main_process:
            weights.write(state, run / "best.safetensors", task.about)


def frozen(model: nn.Module) -> set[str]:
    """The names of the parameters that do not learn."""
    return {name for name, parameter in model.named_parameters() if not parameter.requires_grad}


def keep_frozen(run: Path, model: nn.Module, about: dict[str, Any], here: Accelerator) -> None:
    """Saves once what no step changes, so that a run goes on without the weights it was started from."""
    still, state = frozen(model), model.state_dict()
    full = gathered({name: state[name] for name in sorted(still)}, here)
    if full and here.is_main_process:
        weights.write(full, run / FROZEN, about)


def keep(
    run: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: MovingAverage | None,
    progress: Progress,
    count: int,
    here: Accelerator,
) -> None:
    """Saves a checkpoint from which `restore` goes on; what is frozen was kept at the start."""
    still = frozen(model)
    parts = {"model": {name: value for name, value in model.state_dict().items() if name not in still}}
    if average:
        parts["ema"] = average.parameters
    parts["optimiser"] = checkpoints.optimiser_state(model, optimiser)
    checkpoints.save(run / "checkpoints", progress.step, parts, asdict(progress), count, here)


def restore(
    run: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: MovingAverage | None,
    progress: Progress,
) -> None:
    """Goes back to the newest checkpoint."""
    if (run / FROZEN).exists():
        checkpoints.fill(model.state_dict(), load_file(run / FROZEN))
    still = frozen(model)
    parts = {"model": {name: value for name, value in model.state_dict().items() if name not in still}}
    if average:
        parts["ema"] = average.parameters
    newest = checkpoints.newest(run / "checkpoints")
    parts["optimiser"] = checkpoints.make_room(model, optimiser, newest)
    vars(progress).update(checkpoints.load(newest, parts))


def finish(task: Task, run: Path, average: MovingAverage | None, here: Accelerator) -> None:
    """Writes the trained weights."""
    states = {"model": task.model.state_dict()}
    if average:
        states["ema"] = average.state(task.model)
    for part, state in states.items():
        full = gathered(state, here)
        if here.is_main_process:
            weights.write(full, run / f"{part}.safetensors", task.about)
    here.wait_for_everyone()
