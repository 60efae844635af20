"""How SNCLR is built, trained, probed and evaluated, top to bottom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from avmodels import seeing
from avmodels.data import imagenet, images
from avmodels.data.samples import Samples, seed_generators
from avmodels.engine import processes, weights
from avmodels.engine.descent import Descent
from avmodels.engine.schedule import Length, staircase
from avmodels.engine.train import Batch, Task, fit
from avmodels.errors import ConfigError, DataError
from avmodels.snclr import checkpoint, coco, cost, data, descent, detection, evaluation, views
from avmodels.snclr.config import RECIPES, Detection, Features, HeldOut, Pretraining, Probing
from avmodels.snclr.detection import Detector
from avmodels.snclr.encoder import SIZES, Encoder, ResNetSize, encoder
from avmodels.snclr.loss import both_directions
from avmodels.snclr.model import SNCLR, Probe

__all__ = [
    "RECIPES",
    "about",
    "build",
    "evaluate",
    "example_input",
    "image_encoder",
    "load",
    "published",
    "published_gmacs",
    "train",
]

SYSTEM = "snclr"
Settings = Pretraining | Probing | Detection | Features
Network = SNCLR | Probe | Detector | Encoder


def build(config: Settings) -> Network:
    """The network of a configuration, with random weights."""
    size = SIZES[config.model.size]
    if isinstance(config, Detection):
        assert isinstance(size, ResNetSize)
        return Detector(size, config.model.classes, config.model.short, config.model.long)
    if isinstance(config, Pretraining):
        return SNCLR(size, config.model.head, config.model.side, config.model.frozen_patches)
    if isinstance(config, Probing):
        return Probe(size, config.model.classes, len(config.schedule.rates), config.model.side)
    return encoder(size, config.model.side)


def load(model: nn.Module, config: Settings, path: Path) -> None:
    """Puts a published or our own checkpoint into the network: pre-training's into its own, the encoder of any
    into a network of features, a probe's whole.

    Raises WeightsError that names what differs where it does not fit.
    """
    checkpoint.load(model, checkpoint.state_of(weights.read(path, SYSTEM)), str(path))


def train(config: Settings, folder: Path, run: Path, init: Path | None, resume: bool) -> dict[str, float]:
    """Trains on `folder`/train and judges on `folder`/val; see engine.train.fit.

    `init` is a checkpoint to start from; a probe needs one of pre-training, for it learns nothing of the encoder.
    """
    if isinstance(config, Features):
        raise ConfigError("features are taken, not trained: choose a configuration to train")
    here = processes.accelerator(config.training.precision)
    seed_generators(config.training.seed)
    model = build(config)
    if init is not None:
        checkpoint.start(model, checkpoint.state_of(weights.read(init, SYSTEM)), str(init))
    if isinstance(config, Pretraining):
        return fit(pretraining(config, model, folder), pace(config), config.training, run, here, resume)
    if isinstance(config, Detection):
        return fit(detecting(config, model, folder), stepping(config), config.training, run, here, resume)
    if init is None and not resume:
        raise ConfigError("a probe needs the weights of an encoder: name them with --init")
    return fit(probing(config, model, folder), falling(config), config.training, run, here, resume)


def pretraining(config: Pretraining, model: nn.Module, folder: Path) -> Task:
    """Two views of an image predict one another, and in part one another's neighbours."""
    assert isinstance(model, SNCLR)
    training, side = config.training, config.model.side
    pictures = images.found(folder / "train")
    how = HeldOut(batch=training.batch, workers=training.workers, max_unreadable=training.max_unreadable)

    def loss(spread: nn.Module, batch: Batch) -> Tensor:
        return both_directions(spread(batch["view1"], batch["view2"]), model.bank, config.learning.objective)

    def follow(step: int, length: Length) -> None:
        model.follow(descent.momentum(step / length.an_epoch, training.epochs, config.learning.momentum))

    return Task(
        model=model,
        sources=(Samples(pictures, data.pair_reader(side, config.data.area), training.seed),),
        groups=lambda model: groups(model, config.schedule.weight_decay),
        loss=loss,
        units=(Block, Bottleneck),
        about=about(config),
        before=follow,
        evaluate=(lambda _, here: evaluation.nearest(model, folder, side, how, here))
        if (folder / "val").is_dir()
        else None,
        best="knn10",
    )


def probing(config: Probing, model: nn.Module, folder: Path) -> Task:
    """Name the class by one linear map of the representation."""
    training, how = config.training, config.model
    pictures = imagenet.labelled(folder, "train", how.classes)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        # The classifiers share nothing that learns: the sum trains each as if it were alone.
        losses = [F.cross_entropy(scores.float(), batch["label"]) for scores in model(batch["image"])]
        return torch.stack(losses).sum()

    return Task(
        model=model,
        sources=(Samples(pictures, data.training_reader(how.side, config.data.area), training.seed),),
        groups=lambda model: swept(model, config.schedule.rates),
        loss=loss,
        units=(Block, Bottleneck),
        about=about(config),
        evaluate=lambda model, here: evaluation.probed(model, folder, config, here),
        best="top1",
    )


def detecting(config: Detection, model: nn.Module, folder: Path) -> Task:
    """Find and outline objects."""
    training = config.training
    held, held_out = (coco.truth(folder, part) for part in ("train", "val"))
    classes = len(held.getCatIds())
    if classes != config.model.classes or held_out.getCatIds() != held.getCatIds():
        raise DataError(
            f"{folder} must have {config.model.classes} classes of objects, the same to train and to judge on; "
            f"it has {classes} and {len(held_out.getCatIds())}"
        )
    marked = coco.scenes(held, folder, "train", marked=True)
    tested = coco.scenes(held_out, folder, "val", marked=False)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return torch.stack(list(model(batch["image"], batch["target"]).values())).sum()

    return Task(
        model=model,
        sources=(Samples(marked, lambda scene: [coco.training_sample(scene, held)], training.seed),),
        groups=lambda model: groups(model, config.schedule.weight_decay),
        loss=loss,
        units=(Bottleneck,),
        about=about(config),
        stack=detection.stack,
        evaluate=lambda model, here: detection.judge(model, held_out, tested, training, here),
        best="box_AP",
    )


def groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """One optimiser group of all that learns."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [{"params": learning, "weight_decay": weight_decay, "lr_scale": 1.0}]


def swept(model: nn.Module, rates: tuple[float, ...]) -> list[dict[str, Any]]:
    """An optimiser group for each classifier of a probe, at its rate."""
    assert isinstance(model, Probe)
    return [
        {"params": list(head.parameters()), "weight_decay": 0.0, "lr_scale": rate / rates[0]}
        for head, rate in zip(model.heads, rates, strict=True)
    ]


def pace(config: Pretraining) -> Descent:
    """How pre-training descends."""
    how, epochs = config.schedule, config.training.epochs

    def rate(step: int, length: Length) -> float:
        epoch = step / length.an_epoch
        return descent.rate(epoch, epochs, how.warmup_epochs, how.lr * length.clips / 256)

    optimiser = descent.LARS if how.by == "lars" else torch.optim.AdamW
    return Descent(lambda groups: optimiser(groups, lr=0.0), rate)


def falling(config: Probing) -> Descent:
    """How a probe descends: the rate falls from epoch to epoch."""

    def rate(step: int, length: Length) -> float:
        base = config.schedule.rates[0] * length.clips / 256
        return descent.rate(step // length.an_epoch, config.training.epochs, 0, base)

    return Descent(lambda groups: torch.optim.SGD(groups, lr=0.0, momentum=0.9), rate)


def stepping(config: Detection) -> Descent:
    """How detection descends."""
    how = config.schedule

    def rate(step: int, length: Length) -> float:
        return (
            how.lr * length.clips / 16 * staircase(step / length.an_epoch, how.steps, how.warmup_epochs, 0.0)
        )

    return Descent(lambda groups: torch.optim.SGD(groups, lr=0.0, momentum=0.9), rate)


def about(config: Settings) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {"system": SYSTEM, "config": config.model_dump(mode="json")}


def evaluate(config: Settings, path: Path, folder: Path, results: Path) -> dict[str, float]:
    """Of a probe top1 and top5 on `folder`/val, of a detector COCO's average precision; of any other configuration
    how often the nearest neighbours in `folder`/train name the class of an image of `folder`/val."""
    here = processes.accelerator(held_out(config).precision)
    model = build(config)
    load(model, config, path)
    model.to(here.device).eval()
    if isinstance(config, Probing):
        return evaluation.probed(model, folder, config, here)
    if isinstance(config, Detection):
        held = coco.truth(folder, "val")
        return detection.judge(model, held, coco.scenes(held, folder, "val", False), config.training, here)
    return evaluation.nearest(model, folder, config.model.side, held_out(config), here)


def held_out(config: Settings) -> HeldOut:
    """How a configuration looks at images without learning from them."""
    if isinstance(config, Features):
        return config.data
    training = config.training
    return HeldOut(
        batch=training.batch,
        precision=training.precision,
        workers=training.workers,
        max_unreadable=training.max_unreadable,
    )


def image_encoder(config: Settings, path: Path, precision: str) -> seeing.Encoder:
    """The encoder of any configuration but a detector's, for pictures and frames of films."""
    if isinstance(config, Detection):
        raise ConfigError("features come from an encoder; choose a configuration of features")
    here = processes.accelerator(precision)
    trunk = encoder(SIZES[config.model.size], config.model.side)
    checkpoint.load(trunk, checkpoint.state_of(weights.read(path, SYSTEM)), str(path))
    trunk.to(here.device).eval()

    def encode(pictures: Tensor) -> Tensor:
        with here.autocast():
            return trunk.represent(pictures.to(here.device))

    return seeing.Encoder(views.middle(config.model.side), encode)


def example_input(config: Settings) -> tuple[Tensor, ...]:
    """Arguments of the network's forward for one image, or two views of it, without data, for counting its cost."""
    side = config.model.short if isinstance(config, Detection) else config.model.side
    image = torch.empty(1, 3, side, side, device="meta")
    return (image, image) if isinstance(config, Pretraining) else (image,)


def published(state: weights.State, config: Settings) -> weights.State:
    """The weights under their published names."""
    return checkpoint.published(state)


def published_gmacs(config: Settings) -> float:
    """Multiply-accumulates / 1e9 of the published network for one image, or two views of it; of a detector, for
    its feature maps."""
    size = SIZES[config.model.size]
    if isinstance(config, Detection):
        assert isinstance(size, ResNetSize)
        return (cost.resnet(size, config.model.short) + cost.pyramid(config.model.short)) / 1e9
    trunk = cost.trunk(size, config.model.side)
    if isinstance(config, Pretraining):
        return (4 * trunk + cost.heads(size, config.model.head)) / 1e9
    if isinstance(config, Probing):
        return (trunk + size.width * config.model.classes) / 1e9
    return trunk / 1e9
