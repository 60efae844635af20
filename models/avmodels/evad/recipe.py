"""How EVAD is built, started or loaded from checkpoints, and evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avmodels.engine import processes, weights
from avmodels.evad import checkpoint, cost, data, evaluation
from avmodels.evad.config import RECIPES, Detection
from avmodels.evad.model import SIZES, Detector, detector

__all__ = ["RECIPES", "about", "build", "evaluate", "example_input", "load", "published_gmacs", "start"]

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


def evaluate(config: Detection, path: Path, folder: Path, results: Path) -> dict[str, float]:
    """The published test on the validation set of `folder`, which is laid out as AVA; see evaluation.test."""
    here = processes.accelerator(config.training.precision)
    model = build(config)
    load(model, config, path)
    model.to(here.device).eval()
    return evaluation.test(model, data.read(folder, "val", config), results, config, here)


def about(config: Detection) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {"system": SYSTEM, "config": config.model_dump(mode="json")}


def example_input(config: Detection) -> tuple[Tensor, ...]:
    """Arguments of the network's forward for one clip, without data."""
    frames = SIZES[config.model.size].encoder.frames
    video = torch.empty(1, 3, frames, PUBLISHED_SIDE, PUBLISHED_SIDE, device="meta")
    return video, torch.empty(1, 2, device="meta")


def published_gmacs(config: Detection, high: int = PUBLISHED_SIDE, wide: int = PUBLISHED_SIDE) -> float:
    """Multiply-accumulates / 1e9 of the published network for one clip of frames of high x wide pixels."""
    how = config.model
    return cost.detector(SIZES[how.size], how.classes, how.keep_rates, high, wide) / 1e9
