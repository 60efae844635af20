"""How SparseFormer is built, trained, bootstrapped and evaluated, top to bottom."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from avmodels.data.mixup import mix, soft_labels
from avmodels.data.samples import Samples, seed_generators
from avmodels.engine import processes, weights
from avmodels.engine.descent import adamw
from avmodels.engine.judging import accuracy, judge
from avmodels.engine.train import Batch, Task, fit
from avmodels.errors import ConfigError, WeightsError
from avmodels.nn.layer_decay import decays
from avmodels.sparseformer import checkpoint, cost, data
from avmodels.sparseformer.config import RECIPES, Bootstrapping, Classification, Videos
from avmodels.sparseformer.inherit import inherit, vit
from avmodels.sparseformer.loss import alignment, soft_cross_entropy
from avmodels.sparseformer.model import Layer, SparseFormer

__all__ = ["RECIPES", "about", "build", "evaluate", "example_input", "load", "published_gmacs", "train"]

SYSTEM = "sparseformer"
# Never decayed, though they are a matrix; the embeddings of the tokens are.
UNDECAYED = ("initial_roi.weight",)
Settings = Classification | Bootstrapping | Videos


def build(config: Settings) -> SparseFormer:
    """The network of a configuration, with random weights."""
    how = config.model
    replicates = config.model.replicates if isinstance(config, Videos) else None
    return SparseFormer(how.made(), how.classes, how.bias, replicates, how.drop_path, how.start)


def load(model: nn.Module, config: Settings, path: Path) -> None:
    """Puts a published or our own checkpoint into the network, whole.

    Raises WeightsError that names what differs where it does not fit.
    """
    left = start(model, path)
    if left:
        raise WeightsError(f"{path} does not fit the model: it has no {', '.join(left)} of the same classes")


def start(model: nn.Module, path: Path) -> list[str]:
    """Starts a network from a checkpoint; returns the names of the parameters that keep their initial values."""
    assert isinstance(model, SparseFormer)
    return checkpoint.start(model, checkpoint.state_of(weights.read(path, SYSTEM)), str(path))


def train(config: Settings, folder: Path, run: Path, init: Path | None, resume: bool) -> dict[str, float]:
    """Trains on `folder`/train and judges on `folder`/val; see engine.train.fit.

    `init` is a checkpoint to start from, and in bootstrapping the parent's, which is then needed.
    """
    if isinstance(config, Videos):
        raise ConfigError("no training on videos was published: train on images and inflate the weights")
    here = processes.accelerator(config.training.precision)
    seed_generators(config.training.seed)
    model = build(config)
    if isinstance(config, Bootstrapping):
        task = bootstrapping(config, model, folder, init)
    else:
        if init is not None:
            start(model, init)
        task = classification(config, model, folder)
    return fit(task, adamw(config.optimiser), config.training, run, here, resume)


def classification(config: Classification, model: SparseFormer, folder: Path) -> Task:
    """Name what an image shows."""
    how, training, classes = config.data, config.training, config.model.classes
    pictures, held_out = (data.labelled(folder / part, classes) for part in ("train", "val"))

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
        groups=lambda model: groups(model, config.optimiser.weight_decay),
        loss=loss,
        units=(Layer,),
        about=about(config),
        evaluate=lambda model, here: judge(
            model, held_out, data.test_reader(how, how.side), recognised, training, here
        ),
        best="top1",
    )


def bootstrapping(config: Bootstrapping, model: SparseFormer, folder: Path, init: Path | None) -> Task:
    """Come to the vectors that the parent has for the same images; says on stderr what was inherited.

    Raises ConfigError without the parent's weights.
    """
    if init is None:
        raise ConfigError(f"bootstrapping needs the weights of {config.parent.name}: name them with --init")
    parent = parent_of(config, init)
    made = inherit(model, parent.state_dict(), str(init), config.parent.blocks)
    print(made.report(), file=sys.stderr)
    pictures, held_out = data.found(folder / "train"), data.found(folder / "val")
    reader = data.test_reader(config.data, config.parent.side)

    def pair(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors of network and parent for images of the parent's side."""
        parent.to(images.device)
        with torch.no_grad():
            wanted = parent_vectors(parent, images, config)
        side = config.data.side
        if images.shape[-1] != side:
            images = F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
        return model(images, projected=config.parent.align == "projected"), wanted

    def cosine(model: nn.Module, batch: Batch) -> dict[str, float]:
        return {"cosine": len(batch["image"]) * (1 - alignment(*pair(model, batch["image"])).item())}

    return Task(
        model=model,
        sources=(
            Samples(pictures, data.bootstrap_reader(config.data, config.parent.side), config.training.seed),
        ),
        groups=lambda model: groups(model, config.optimiser.weight_decay, made.tuned, config.inherited_lr),
        loss=lambda model, batch: alignment(*pair(model, batch["image"])),
        units=(Layer,),
        about=about(config),
        evaluate=lambda model, here: judge(model, held_out, reader, cosine, config.training, here),
        best="cosine",
    )


def parent_of(config: Bootstrapping, path: Path) -> VisionTransformer:
    """The ViT a configuration names, with the weights at `path`, frozen."""
    how, state = config.parent, checkpoint.state_of(weights.read(path, SYSTEM))
    made = vit(how.name, how.side, config.model.classes, how.arguments, state, str(path))
    return made.requires_grad_(False)


def parent_vectors(parent: VisionTransformer, images: Tensor, config: Bootstrapping) -> Tensor:
    """What the parent says of images, (B, width) or (B, classes)."""
    tokens = parent.forward_features(images)
    return parent.forward_head(tokens, pre_logits=config.parent.align == "features")


def groups(
    model: nn.Module, weight_decay: float, inherited: tuple[str, ...] = (), inherited_lr: float = 1.0
) -> list[dict[str, Any]]:
    """Optimiser groups of what learns: with and without decay, and the inherited at a share of the rate."""
    made: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        scale = inherited_lr if name in inherited else 1.0
        decay = weight_decay if decays(name, parameter.ndim, UNDECAYED) else 0.0
        group = made.setdefault((scale, decay), {"params": [], "weight_decay": decay, "lr_scale": scale})
        group["params"].append(parameter)
    return list(made.values())


def recognised(model: nn.Module, batch: Batch) -> dict[str, float]:
    """top1 and top5 of a batch of images with labels, summed."""
    return accuracy(model(batch["image"]), batch["label"])


def about(config: Settings) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {"system": SYSTEM, "config": config.model_dump(mode="json")}


def evaluate(config: Settings, path: Path, folder: Path, results: Path) -> dict[str, float]:
    """top1 and top5 over the images of `folder`/val/CLASS, one centre crop each."""
    if isinstance(config, Videos):
        raise ConfigError("no test on videos was published: evaluate the weights on images")
    here = processes.accelerator(config.training.precision)
    model = build(config)
    load(model, config, path)
    held_out = data.labelled(folder / "val", config.model.classes)
    reader = data.test_reader(config.data, config.data.side)
    return judge(model.to(here.device).eval(), held_out, reader, recognised, config.training, here)


def example_input(config: Settings) -> tuple[Tensor, ...]:
    """Arguments of the network's forward for one image or video, without data, for counting its cost."""
    side = config.data.side
    frames = (config.data.frames,) if isinstance(config, Videos) else ()
    return (torch.empty(1, 3, *frames, side, side, device="meta"),)


def published_gmacs(config: Settings) -> float:
    """Multiply-accumulates / 1e9 of the published network for one image or video."""
    how, side = config.model, config.data.side
    if isinstance(config, Videos):
        made = cost.network(how.made(), how.classes, side, config.data.frames, config.model.replicates)
    else:
        made = cost.network(how.made(), how.classes, side)
    return made / 1e9
