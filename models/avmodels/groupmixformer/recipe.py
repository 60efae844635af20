"""How GroupMixFormer is built, trained and evaluated, top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN, RetinaNet

from avmodels import seeing
from avmodels.data import imagenet
from avmodels.data.mixup import mix, soft_labels
from avmodels.data.samples import Samples, seed_generators
from avmodels.engine import processes, weights
from avmodels.engine.judging import accuracy, judge, timed
from avmodels.engine.train import Batch, Task, fit
from avmodels.errors import ConfigError, WeightsError
from avmodels.groupmixformer import ade20k, checkpoint, coco, cost, data, descent
from avmodels.groupmixformer.attention import Block
from avmodels.groupmixformer.config import RECIPES, Classification, Detection, Segmentation
from avmodels.groupmixformer.detection import DETECTORS
from avmodels.groupmixformer.fold import folded
from avmodels.groupmixformer.loss import segmentation_loss, soft_cross_entropy
from avmodels.groupmixformer.model import Backbone, Classifier
from avmodels.groupmixformer.segmentation import Segmenter

__all__ = [
    "RECIPES",
    "about",
    "build",
    "counted",
    "evaluate",
    "example_input",
    "image_encoder",
    "load",
    "published_gmacs",
    "recogniser",
    "train",
]

SYSTEM = "groupmixformer"
Settings = Classification | Segmentation | Detection
Network = Classifier | Segmenter | MaskRCNN | RetinaNet


def build(config: Settings) -> Network:
    """The network of a configuration, with random weights."""
    how = config.model
    if isinstance(config, Classification):
        return Classifier(how.made(), how.classes, how.drop_path)
    if isinstance(config, Segmentation):
        backbone = Backbone(how.made(), how.drop_path)
        return Segmenter(backbone, config.model.head, config.model.channels, how.classes)
    backbone = Backbone(how.made(), how.drop_path, config.model.frozen_norms)
    return DETECTORS[config.model.detector](backbone, how.classes, config.data.side, config.data.longest)


def load(model: nn.Module, config: Settings, path: Path) -> None:
    """Puts a published or our own checkpoint into the network, whole.

    Raises WeightsError that names what differs where it does not fit.
    """
    state = checkpoint.state_of(weights.read(path, SYSTEM))
    if not isinstance(model, Classifier):
        weights.fit(model, state, str(path))
        return
    left = checkpoint.start(model, state, str(path))
    if left:
        raise WeightsError(f"{path} does not fit the model: it has no {', '.join(left)} of the same classes")


def start(model: nn.Module, config: Settings, path: Path) -> None:
    """Starts a network from a checkpoint: a segmenter or detector from a classifier's, a classifier also from one
    of other classes."""
    state = checkpoint.state_of(weights.read(path, SYSTEM))
    if isinstance(config, Classification) or checkpoint.size_of(state) is not None:
        checkpoint.start(trunk(model), state, str(path))
    else:
        weights.fit(model, state, str(path))


def trunk(model: nn.Module) -> Classifier | Backbone:
    """The part of a network that a classifier's checkpoint starts."""
    found = [module for module in model.modules() if isinstance(module, Classifier | Backbone)]
    return found[0]


def train(config: Settings, folder: Path, run: Path, init: Path | None, resume: bool) -> dict[str, float]:
    """Trains on a data set's training part and judges on its validation part; see engine.train.fit."""
    here = processes.accelerator(config.training.precision)
    seed_generators(config.training.seed)
    model = build(config)
    if init is not None:
        start(model, config, init)
    if isinstance(config, Classification):
        task = classification(config, model, folder)
    elif isinstance(config, Segmentation):
        task = segmentation(config, model, folder)
    else:
        task = detection(config, model, folder)
    return fit(task, descent.adamw(config.optimiser), config.training, run, here, resume)


def grouped(config: Settings) -> Callable[[nn.Module], list[dict[str, Any]]]:
    """What makes the optimiser's groups."""
    return lambda model: descent.groups(model, config.optimiser.weight_decay)


def classification(config: Classification, model: nn.Module, folder: Path) -> Task:
    """Name what an image shows."""
    how, training, classes = config.data, config.training, config.model.classes
    pictures, held_out = (imagenet.labelled(folder, part, classes) for part in ("train", "val"))

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        image, label = batch["image"], batch["label"]
        if how.mix:
            image, target = mix(image, label, classes, how.mixup, how.cutmix, smoothing=how.smoothing)
        else:
            target = soft_labels(label, classes, how.smoothing)
        return soft_cross_entropy(model(image), target)

    return Task(
        model=model,
        sources=(Samples(pictures, data.training_reader(how), training.seed),),
        groups=grouped(config),
        loss=loss,
        units=(Block,),
        about=about(config) | {"labels": imagenet.names(folder, "train")},
        evaluate=lambda model, here: judge(
            model, held_out, data.test_reader(how), recognised, training, here
        ),
        best="top1",
    )


def recognised(model: nn.Module, batch: Batch) -> dict[str, float]:
    """top1 and top5 of a batch of images with labels, summed."""
    return accuracy(model(batch["image"]), batch["label"])


def segmentation(config: Segmentation, model: nn.Module, folder: Path) -> Task:
    """Name the class of every pixel."""
    how, training, classes = config.data, config.training, config.model.classes
    scenes, held_out = (ade20k.scenes(folder, part) for part in ("training", "validation"))
    return Task(
        model=model,
        sources=(Samples(scenes, ade20k.training_reader(how, classes), training.seed),),
        groups=grouped(config),
        loss=lambda model, batch: segmentation_loss(model(batch["image"]), batch["truth"]),
        units=(Block,),
        about=about(config),
        evaluate=lambda model, here: ade20k.evaluate(model, held_out, how, classes, training, here),
        best="miou",
    )


def detection(config: Detection, model: nn.Module, folder: Path) -> Task:
    """Find objects; images without any are not trained on."""
    training = config.training
    objects, held_out = (coco.Objects(folder, part, config.model.classes) for part in ("train", "val"))
    views = [view for view in objects.views if view.objects]

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return torch.stack(list(model(batch["image"], batch["target"]).values())).sum()

    return Task(
        model=model,
        sources=(Samples(views, coco.training_reader(objects), training.seed),),
        groups=grouped(config),
        loss=loss,
        units=(Block,),
        about=about(config),
        evaluate=lambda model, here: coco.evaluate(model, held_out, training, here),
        best="ap",
        stack=ade20k.listed,
    )


def about(config: Settings) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {"system": SYSTEM, "config": config.model_dump(mode="json")}


def evaluate(config: Settings, path: Path, folder: Path, results: Path) -> dict[str, float]:
    """The test on a data set's validation part: top1 and top5 of one view each; mean IoU; COCO's precisions."""
    here, training = processes.accelerator(config.training.precision), config.training
    if isinstance(config, Classification):
        held_out = imagenet.labelled(folder, "val", config.model.classes)
        model = in_use(config, path).to(here.device)
        read = data.test_reader(config.data)
        return timed(lambda: judge(model, held_out, read, recognised, training, here))
    model = build(config)
    load(model, config, path)
    model.to(here.device).eval()
    if isinstance(config, Segmentation):
        held_out = ade20k.scenes(folder, "validation")
        return ade20k.evaluate(model, held_out, config.data, config.model.classes, training, here)
    return coco.evaluate(model, coco.Objects(folder, "val", config.model.classes), training, here)


def in_use(config: Settings, path: Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The classifier with the weights at `path` in its fast form, compiled where the settings say so.

    Raises ConfigError for another network.
    """
    model = build(config)
    if not isinstance(model, Classifier):
        raise ConfigError(f"a classifier sees pictures as a whole; {config.recipe} is another configuration")
    load(model, config, path)
    made = folded(model).to(dtype)
    if config.compile:
        made.compile(dynamic=True)
    return made


def image_encoder(config: Settings, path: Path, precision: str) -> seeing.Encoder:
    """What the network makes of a picture before it classifies."""
    device = processes.accelerator().device
    model = in_use(config, path, seeing.DTYPES[precision]).to(device)
    look = data.test_transform(config.data.side)
    return seeing.Encoder(look, lambda pictures: model(pictures.to(device), projected=False))


def recogniser(config: Settings, path: Path, precision: str) -> seeing.Recogniser:
    """The classifier of pictures in use."""
    device = processes.accelerator().device
    model = in_use(config, path, seeing.DTYPES[precision]).to(device)
    look, labels = data.test_transform(config.data.side), seeing.labels(path, config.model.classes)
    return seeing.Recogniser(
        labels,
        1,
        1.0,
        lambda clip: look(Image.fromarray(clip[0])),
        lambda pictures: model(pictures.to(device)),
    )


def counted(model: nn.Module) -> nn.Module:
    """The part of a network whose cost is the same for all images of a size: a detector's backbone and pyramid."""
    return model.backbone if isinstance(model, MaskRCNN | RetinaNet) else model


def example_input(config: Settings) -> tuple[Tensor]:
    """An image without data, for counting the cost of what is `counted`."""
    return (torch.empty(1, 3, config.data.side, config.data.side, device="meta"),)


def published_gmacs(config: Settings) -> float:
    """Multiply-accumulates / 1e9 of the published classifier for one image of the configuration's side.

    No figures were published for the heads and detectors: theirs is the backbone's alone.
    """
    how = config.model
    return (
        cost.network(how.made(), config.data.side, how.classes if isinstance(config, Classification) else 0)
        / 1e9
    )
