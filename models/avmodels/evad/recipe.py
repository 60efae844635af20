"""How EVAD is built, trained and evaluated, top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from avmodels.data.samples import Samples, seed_generators
from avmodels.engine import processes, weights
from avmodels.engine.descent import adamw
from avmodels.engine.train import Batch, Task, fit
from avmodels.evad import checkpoint, cost, data, evaluation, tube_evaluation, tubes
from avmodels.evad.config import RECIPES, Detection
from avmodels.evad.encoder import DroppingBlock
from avmodels.evad.loss import Target, Weights, losses, people_per_process, total, weighted
from avmodels.evad.model import SIZES, Detector, detector
from avmodels.evad.optimisation import parameter_groups
from avmodels.evad.proposals import Stage
from avmodels.nn.attention import Block

__all__ = [
    "RECIPES",
    "about",
    "build",
    "evaluate",
    "example_input",
    "load",
    "published",
    "published_gmacs",
    "start",
    "train",
]

SYSTEM = "evad"
# The side of the square frames that published costs are for.
PUBLISHED_SIDE = 288


def build(config: Detection) -> Detector:
    """The network of a configuration, with random weights."""
    how = config.model
    return detector(
        SIZES[how.size],
        how.classes,
        how.keep_rates,
        how.key_weight,
        how.extension,
        how.drop_path,
        how.decoder_drop_path,
        how.own_places,
    )


def load(model: Detector, config: Detection, path: Path) -> None:
    """Puts a published or our own checkpoint into the network, whole.

    Raises WeightsError that names what differs where it does not fit.
    """
    weights.fit(model, checkpoint.state_of(weights.read(path, SYSTEM)), str(path))


def start(model: Detector, path: Path) -> list[str]:
    """Starts a network from VideoMAE's or VideoMAE V2's weights; see checkpoint.start."""
    return checkpoint.start(model, weights.read(path, "videomae-v2"), str(path))


def train(config: Detection, folder: Path, run: Path, init: Path | None, resume: bool) -> dict[str, float]:
    """Trains on the split `train` of a data set and tests on `val`; see data.read and engine.train.fit.

    `init` is a checkpoint of VideoMAE or VideoMAE V2, see start.
    """
    here = processes.accelerator(config.training.precision)
    seed_generators(config.training.seed)
    model = build(config)
    if init is not None:
        start(model, init)
    model.set_checkpointing(config.training.checkpointing)
    keyframes = data.training_keyframes(folder, config)
    labels, test = tester(folder, config)
    weights = Weights(**config.losses.model_dump())

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        targets = [Target(*people) for people in zip(batch["boxes"], batch["actions"], strict=True)]
        predictions = model(batch["video"], batch["sizes"])
        terms = losses(predictions, batch["sizes"], targets, weights, people_per_process(targets))
        return total(weighted(terms, weights))

    task = Task(
        model=model,
        sources=(Samples(keyframes, data.training_reader(config), config.training.seed),),
        groups=lambda model: parameter_groups(model, config.schedule.weight_decay, config.schedule.new_scale),
        loss=loss,
        units=(Block, DroppingBlock, Stage),
        about=about(config) | {"labels": labels},
        evaluate=lambda _, here: test(model, run / "evaluation", here),
        best="frame_map_50",
        stack=data.stack,
    )
    return fit(task, adamw(config.schedule), config.training, run, here, resume)


def evaluate(config: Detection, path: Path, folder: Path, results: Path) -> dict[str, float]:
    """The published test on the validation set of `folder`; see evaluation.test and tube_evaluation.test."""
    here = processes.accelerator(config.training.precision)
    model = build(config)
    load(model, config, path)
    model.to(here.device).eval()
    _, test = tester(folder, config)
    return test(model, results, here)


Test = Callable[[nn.Module, Path, Accelerator], dict[str, float]]


def tester(folder: Path, config: Detection) -> tuple[dict[int, str], Test]:
    """The actions of a data set, name by number from 1, and its test: of a network, into a folder of results."""
    if config.data.annotations in tubes.FILES:
        names, clips = data.tubes_of(folder, "val", config)
        return dict(enumerate(names, start=1)), lambda model, results, here: tube_evaluation.test(
            model, names, clips, folder, results, config, here
        )
    held_out = data.read(folder, "val", config)
    return held_out.labels, lambda model, results, here: evaluation.test(
        model, held_out, results, config, here
    )


def about(config: Detection) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {"system": SYSTEM, "config": config.model_dump(mode="json")}


def example_input(config: Detection) -> tuple[Tensor, ...]:
    """Arguments of the network's forward for one clip, without data."""
    frames = SIZES[config.model.size].encoder.frames
    video = torch.empty(1, 3, frames, PUBLISHED_SIDE, PUBLISHED_SIDE, device="meta")
    return video, torch.empty(1, 2, device="meta")


def published(state: weights.State, config: Detection) -> weights.State:
    """The weights under their published names."""
    return checkpoint.published(state)


def published_gmacs(config: Detection, high: int = PUBLISHED_SIDE, wide: int = PUBLISHED_SIDE) -> float:
    """Multiply-accumulates / 1e9 of the published network for one clip of frames of high x wide pixels."""
    how = config.model
    return cost.detector(SIZES[how.size], how.classes, how.keep_rates, high, wide) / 1e9
