"""How VideoMAE V2 is built, trained and evaluated, top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels import seeing
from avmodels.data.lists import Clip, labelled_list, pretraining_list
from avmodels.data.mixup import mix
from avmodels.data.samples import Samples, seed_generators
from avmodels.engine import processes, weights
from avmodels.engine.descent import adamw
from avmodels.engine.train import Batch, Task, fit
from avmodels.errors import ConfigError, WeightsError
from avmodels.nn.attention import Block
from avmodels.nn.layer_decay import layer_groups
from avmodels.videomae_v2 import checkpoint, cost, data, evaluation, masks
from avmodels.videomae_v2.config import RECIPES, Features, FineTuning, Pretraining
from avmodels.videomae_v2.features import extract
from avmodels.videomae_v2.loss import reconstruction_loss, targets
from avmodels.videomae_v2.model import SIZES, Classifier, MaskedAutoencoder, positions_for

__all__ = [
    "RECIPES",
    "about",
    "build",
    "evaluate",
    "example_input",
    "features",
    "load",
    "published_gmacs",
    "recogniser",
    "train",
]

SYSTEM = "videomae-v2"
Settings = Pretraining | FineTuning | Features
Loss = Callable[[nn.Module, Batch], Tensor]


def build(config: Settings) -> Classifier | MaskedAutoencoder:
    """The network of a configuration, with random weights."""
    how, size = config.model, SIZES[config.model.size]
    if isinstance(config, Pretraining):
        return MaskedAutoencoder(size, how.frames, how.side, config.model.decoder_depth)
    how = config.model
    model = Classifier(
        size, how.classes, how.frames, how.side, how.drop_path, how.head_dropout, how.head_scale
    )
    try:
        model.positions = positions_for(how.positions, size, how.frames, how.side)
    except ValueError as error:
        raise ConfigError(f"model.positions = {how.positions}: {error}") from error
    return model


def load(model: nn.Module, config: Settings, path: Path) -> None:
    """Puts a published or our own checkpoint into the network, whole (features need no head).

    Raises WeightsError that names what differs where it does not fit.
    """
    left = [name for name in start(model, config, path) if not optional(name, config)]
    if left:
        raise WeightsError(f"{path} does not fit the model: it has no {', '.join(left)} of the same classes")


def optional(name: str, config: Settings) -> bool:
    """Whether a network that is used as it is can do without this parameter."""
    return isinstance(config, Features) and name.startswith("head.")


def start(model: nn.Module, config: Settings, path: Path) -> list[str]:
    """Starts a network from a checkpoint: post-pre-training from a pre-training one, fine-tuning from either.

    Returns the names of the parameters that keep their initial values.
    """
    state = checkpoint.state_of(weights.read(path, SYSTEM))
    if isinstance(model, Classifier):
        return checkpoint.start_classifier(model, state, label_set(config), str(path))
    return weights.fit(model, state, str(path))


def label_set(config: Settings) -> str:
    """The Kinetics set whose classes a configuration uses, or nothing."""
    return config.data.label_set if isinstance(config, FineTuning) else ""


def train(config: Settings, folder: Path, run: Path, init: Path | None, resume: bool) -> dict[str, float]:
    """Trains on `folder`/train.csv, and judges on `folder`/val.csv what has labels; see engine.train.fit."""
    if isinstance(config, Features):
        raise ConfigError("features are extracted, not trained: choose a configuration to train")
    here = processes.accelerator(config.training.precision)
    seed_generators(config.training.seed)
    model = build(config)
    if init is not None:
        start(model, config, init)
    model.set_checkpointing(config.training.checkpointing)
    if isinstance(config, Pretraining):
        task = pretraining(config, model, folder)
    else:
        task = finetuning(config, model, folder)
    return fit(task, adamw(config.optimiser), config.training, run, here, resume)


def pretraining(config: Pretraining, model: nn.Module, folder: Path) -> Task:
    """Reconstruct masked pixels."""
    clips = pretraining_list(folder / "train.csv")
    depth, decay = SIZES[config.model.size].depth, config.optimiser.weight_decay
    return Task(
        model=model,
        sources=(Samples(clips, data.pretraining_reader(config), config.training.seed),),
        groups=lambda model: layer_groups(model, depth, 1.0, decay),
        loss=pretraining_loss(config),
        units=(Block,),
        about=about(config),
    )


def pretraining_loss(config: Pretraining) -> Loss:
    """The reconstruction loss of a batch of videos with their masks."""
    size, how = SIZES[config.model.size], config.data

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        kept = masks.kept(batch["dropped"])
        prediction = model(batch["video"], masks.kept(batch["hidden"]), kept)
        target = targets(batch["video"], kept, size.tubelet, size.patch, how.normalise_target)
        return reconstruction_loss(prediction, target, batch["hidden"].gather(1, kept))

    return loss


def finetuning(config: FineTuning, model: nn.Module, folder: Path) -> Task:
    """Name the action; post-pre-training is this too, on the merged label set."""
    clips, held_out = (labelled(folder / name, config) for name in ("train.csv", "val.csv"))
    depth, optimiser = SIZES[config.model.size].depth, config.optimiser
    return Task(
        model=model,
        sources=(Samples(clips, data.training_reader(config), config.training.seed),),
        groups=lambda model: layer_groups(model, depth, optimiser.layer_decay, optimiser.weight_decay),
        loss=finetuning_loss(config),
        units=(Block,),
        about=about(config),
        evaluate=lambda model, here: evaluation.validate(model, held_out, config, here),
        best="top1",
    )


def finetuning_loss(config: FineTuning) -> Loss:
    """The cross-entropy of a batch, its videos mixed with one another where the configuration says so."""
    how, classes = config.data, config.model.classes

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        video, label = batch["video"], batch["label"]
        if how.mix:
            video, soft = mix(video, label, classes, how.mixup, how.cutmix, smoothing=how.smoothing)
            return F.cross_entropy(model(video).float(), soft)
        return F.cross_entropy(model(video).float(), label, label_smoothing=how.smoothing)

    return loss


def labelled(path: Path, config: FineTuning) -> list[Clip]:
    """The clips of a labelled list. Raises DataError (see lists)."""
    return labelled_list(path, config.model.classes, config.data.reader == "frames")


def about(config: Settings) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {"system": SYSTEM, "config": config.model_dump(mode="json")}


def evaluate(config: Settings, path: Path, folder: Path, results: Path) -> dict[str, float]:
    """The published test on `folder`/val.csv; of a pre-training model, the mean loss there (see evaluation)."""
    if isinstance(config, Features):
        raise ConfigError("features have no test of their own: choose a fine-tuning configuration")
    here = processes.accelerator(config.training.precision)
    model = build(config)
    load(model, config, path)
    model.to(here.device).eval()
    if isinstance(config, Pretraining):
        clips = pretraining_list(folder / "val.csv")
        return evaluation.reconstruction(model, pretraining_loss(config), clips, config, here)
    return evaluation.test(model, labelled(folder / "val.csv", config), results, config, here)


def features(config: Settings, path: Path, film: Path, out: Path, precision: str) -> int:
    """Writes the features of a film's windows to `out`, .npy or .h5; returns how many windows there are."""
    if isinstance(config, Pretraining):
        raise ConfigError(
            "features come from a classifier; choose a configuration to fine-tune or for features"
        )
    if isinstance(config, FineTuning):
        config = Features(recipe="features", about=config.about, model=config.model)
    here = processes.accelerator(precision)
    model = build(config)
    load(model, config, path)
    assert isinstance(model, Classifier)
    return extract(model.to(here.device).eval(), config, film, out, here)


def recogniser(config: Settings, path: Path, precision: str) -> seeing.Recogniser:
    """The classifier of clips in use."""
    if not isinstance(config, FineTuning):
        raise ConfigError(f"a classifier names clips; {config.recipe} is another configuration")
    here, how = processes.accelerator(precision), config.model
    model = build(config)
    load(model, config, path)
    model.to(here.device).eval()
    names = checkpoint.class_names(config.data.label_set)

    def scores(clips: Tensor) -> Tensor:
        with here.autocast():
            return model(clips.to(here.device))

    return seeing.Recogniser(
        tuple(names) if names else seeing.labels(path, how.classes),
        how.frames,
        seeing.RATE / config.data.stride,
        lambda clip: data.centre_view(clip, how.side),
        scores,
    )


def example_input(config: Settings) -> tuple[Tensor, ...]:
    """Arguments of the network's forward for one clip, without data, for counting its cost."""
    model = config.model
    video = torch.empty(1, 3, model.frames, model.side, model.side, device="meta")
    if not isinstance(config, Pretraining):
        return (video,)
    visible, kept = token_counts(config)
    return video, *(torch.empty(1, n, dtype=torch.long, device="meta") for n in (visible, kept))


def token_counts(config: Pretraining) -> tuple[int, int]:
    """How many tokens of a clip the encoder sees, and how many the decoder reconstructs."""
    time, high, wide = config.model.grid
    visible = time * (high * wide - int(config.data.encoder_mask * high * wide))
    dropped = int(4 * config.data.decoder_mask) / 4
    whole = time * high * wide
    return visible, int(whole * (1 - dropped)) if dropped else whole - visible


def published_gmacs(config: Settings) -> float:
    """Multiply-accumulates / 1e9 of the published network for one clip."""
    time, high, wide = config.model.grid
    size, tokens = SIZES[config.model.size], time * high * wide
    if isinstance(config, Pretraining):
        visible, kept = token_counts(config)
        return cost.autoencoder(size, tokens, visible, kept, config.model.decoder_depth) / 1e9
    return cost.classifier(size, tokens, config.model.classes) / 1e9
