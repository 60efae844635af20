"""How SparseFormer is built, trained, bootstrapped and evaluated, top to bottom."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from avmodels import seeing
from avmodels.data import imagenet
from avmodels.data.lists import labelled_list
from avmodels.data.mixup import mix, soft_labels
from avmodels.data.samples import Samples, seed_generators
from avmodels.engine import processes, weights
from avmodels.engine.descent import adamw
from avmodels.engine.judging import accuracy, judge, timed
from avmodels.engine.train import Batch, Task, fit
from avmodels.errors import ConfigError, WeightsError
from avmodels.nn.layer_decay import decays
from avmodels.sparseformer import checkpoint, cost, data, looks
from avmodels.sparseformer.config import (
    PIXELS,
    RECIPES,
    AugmentedImages,
    Bootstrapping,
    Classification,
    Clips,
    ParentTraining,
    Videos,
)
from avmodels.sparseformer.fold import folded
from avmodels.sparseformer.inflate import spread_times
from avmodels.sparseformer.inherit import fit_vit, inherit, vit
from avmodels.sparseformer.loss import alignment, soft_cross_entropy
from avmodels.sparseformer.model import Layer, SparseFormer

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
    "recogniser",
    "show",
    "train",
]

SYSTEM = "sparseformer"
# Never decayed, though they are a matrix; the embeddings of the tokens are.
UNDECAYED = ("initial_roi.weight",)
Settings = Classification | Bootstrapping | ParentTraining | Videos


def build(config: Settings) -> SparseFormer | VisionTransformer:
    """The network of a configuration, with random weights."""
    if isinstance(config, ParentTraining):
        return vit(config.model.name, config.model.side, config.model.classes, config.model.arguments)
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
    state = checkpoint.state_of(weights.read(path, SYSTEM))
    if isinstance(model, VisionTransformer):
        fit_vit(model, state, str(path))
        return []
    assert isinstance(model, SparseFormer)
    return checkpoint.start(model, state, str(path))


def train(config: Settings, folder: Path, run: Path, init: Path | None, resume: bool) -> dict[str, float]:
    """Trains on a data set's training part and judges on its validation part; see engine.train.fit.

    `init` is a checkpoint to start from, a video network also from an image's; in bootstrapping the parent's, which
    is then needed.
    """
    here = processes.accelerator(config.training.precision)
    seed_generators(config.training.seed)
    model = build(config)
    if isinstance(config, Bootstrapping):
        task = bootstrapping(config, model, folder, init)
    else:
        if init is not None:
            start(model, init)
        task = (
            video(config, model, folder)
            if isinstance(config, Videos)
            else classification(config, model, folder)
        )
    return fit(task, adamw(config.optimiser), config.training, run, here, resume)


def classification(config: Classification | ParentTraining, model: nn.Module, folder: Path) -> Task:
    """Name what an image shows."""
    how, training, classes = config.data, config.training, config.model.classes
    pictures, held_out = (imagenet.labelled(folder, part, classes) for part in ("train", "val"))
    side = side_of(config)
    return Task(
        model=model,
        sources=(Samples(pictures, data.training_reader(how, side), training.seed),),
        groups=lambda model: groups(model, config.optimiser.weight_decay),
        loss=lambda model, batch: mixed_loss(model, batch["image"], batch["label"], classes, how),
        units=(Layer, Block),
        about=about(config) | {"labels": imagenet.names(folder, "train")},
        evaluate=lambda model, here: judge(
            model, held_out, data.test_reader(how, side), recognised, training, here
        ),
        best="top1",
    )


def side_of(config: Settings) -> int:
    """The side in pixels of the images or clips that a network sees."""
    return config.model.side if isinstance(config, ParentTraining) else config.data.side


def mixed_loss(
    model: nn.Module, inputs: Tensor, label: Tensor, classes: int, how: AugmentedImages | Clips
) -> Tensor:
    """The cross entropy of a batch, mixed within itself where the settings say so."""
    if how.mix:
        inputs, target = mix(inputs, label, classes, how.mixup, how.cutmix, smoothing=how.smoothing)
    else:
        target = soft_labels(label, classes, how.smoothing)
    return soft_cross_entropy(model(inputs), target)


def video(config: Videos, model: nn.Module, folder: Path) -> Task:
    """Name what a video shows."""
    assert isinstance(model, SparseFormer)
    how, training, classes = config.data, config.training, config.model.classes
    clips, held_out = (
        labelled_list(folder / f"{part}.csv", classes, frames=False) for part in ("train", "val")
    )
    if config.model.start == "spread":
        spread_times(model)
    return Task(
        model=model,
        sources=(Samples(clips, data.training_clips(how), training.seed),),
        groups=lambda model: groups(model, config.optimiser.weight_decay),
        loss=lambda model, batch: mixed_loss(model, batch["video"], batch["label"], classes, how),
        units=(Layer,),
        about=about(config),
        evaluate=lambda model, here: judge(
            model, held_out, data.test_clips(how, segments=1, crops=1), recognised_video, training, here
        ),
        best="top1",
    )


def bootstrapping(config: Bootstrapping, model: nn.Module, folder: Path, init: Path | None) -> Task:
    """Come to the vectors that the parent has for the same images; says on stderr what was inherited.

    Raises ConfigError without the parent's weights.
    """
    if init is None:
        raise ConfigError(f"bootstrapping needs the weights of {config.parent.name}: name them with --init")
    assert isinstance(model, SparseFormer)
    parent = parent_of(config, init)
    made = inherit(model, parent.state_dict(), str(init), config.parent.blocks)
    print(made.report(), file=sys.stderr)
    pictures, held_out = (imagenet.unlabelled(folder, part) for part in ("train", "val"))
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
        about=about(config) | labels_of(init),
        evaluate=lambda model, here: judge(model, held_out, reader, cosine, config.training, here),
        best="cosine",
    )


def parent_of(config: Bootstrapping, path: Path) -> VisionTransformer:
    """The ViT a configuration names, with the weights at `path`, frozen."""
    how = config.parent
    made = vit(how.name, how.side, config.model.classes, how.arguments)
    fit_vit(made, checkpoint.state_of(weights.read(path, SYSTEM)), str(path))
    return made.eval().requires_grad_(False)


def labels_of(path: Path) -> dict[str, str]:
    """What a weights file of ours calls its classes, for the header of another."""
    return {name: value for name, value in weights.metadata(path).items() if name == "labels"}


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


def recognised_video(model: nn.Module, batch: Batch) -> dict[str, float]:
    """top1 and top5 of a batch of videos (B, views, 3, T, H, W) with labels, summed; softmax is averaged over views."""
    scores = torch.stack([model(views).float().softmax(-1) for views in batch["video"].unbind(1)])
    return accuracy(scores.mean(0), batch["label"])


def about(config: Settings) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {"system": SYSTEM, "config": config.model_dump(mode="json")}


def published(state: weights.State, config: Settings) -> weights.State:
    """A network's weights under the names of the code they belong to, that of its numerics."""
    if isinstance(config, Classification) and config.model.numerics == "training":
        return checkpoint.training_state(state)
    return state


def in_use(config: Settings, path: Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The network with the weights at `path` in its fast form, compiled where the settings say so."""
    model = build(config)
    load(model, config, path)
    made = folded(model, dtype) if isinstance(model, SparseFormer) else model.eval().to(dtype)
    if config.compile:
        made.compile(dynamic=True)
    return made


def image_encoder(config: Settings, path: Path, precision: str) -> seeing.Encoder:
    """What the network makes of a picture before it classifies, or in CLIP's space what it says."""
    if isinstance(config, Videos | ParentTraining):
        raise ConfigError(f"features come from a network of images; {config.recipe} is another configuration")
    device, dtype = processes.accelerator().device, seeing.DTYPES[precision]
    model = in_use(config, path, dtype).to(device)
    joint = not config.model.bias
    return seeing.Encoder(
        data.middle(config.data, config.data.side),
        lambda pictures: model(pictures.to(device, dtype), projected=joint),
    )


def recogniser(config: Settings, path: Path, precision: str) -> seeing.Recogniser:
    """The classifier of pictures, or of clips, in use."""
    if isinstance(config, Bootstrapping) and not config.model.bias:
        raise ConfigError("a network in CLIP's space has no classes")
    device, dtype = processes.accelerator().device, seeing.DTYPES[precision]
    model = in_use(config, path, dtype).to(device)
    labels = seeing.labels(path, config.model.classes)

    def scores(looked: Tensor) -> Tensor:
        return model(looked.to(device, dtype))

    if isinstance(config, Videos):
        how = config.data
        return seeing.Recogniser(
            labels, how.frames, seeing.RATE / how.stride, lambda clip: data.squares(clip, how.side)[0], scores
        )
    look = data.middle(config.data, side_of(config))
    return seeing.Recogniser(labels, 1, 1.0, lambda clip: look(Image.fromarray(clip[0])), scores)


def show(config: Settings, path: Path, picture: Image.Image) -> Image.Image:
    """A page of where the tokens look, stage by stage."""
    if isinstance(config, Videos | ParentTraining):
        raise ConfigError(
            f"a network of images shows where it looks; {config.recipe} is another configuration"
        )
    model = build(config)
    load(model, config, path)
    assert isinstance(model, SparseFormer)
    seen = data.middle(config.data, config.data.side)(picture)
    return looks.page(model.eval(), seen, *PIXELS[config.data.pixels])


def evaluate(config: Settings, path: Path, folder: Path, results: Path) -> dict[str, float]:
    """The test on the validation part of a data set.

    top1 and top5 over images, one centre crop each, or over videos, softmax averaged over their views; with
    `words`, the same without training on the classes, and of sets with captions the recalls of retrieval.
    """
    here, training = processes.accelerator(config.training.precision), config.training
    model = in_use(config, path).to(here.device)
    if isinstance(config, Bootstrapping) and config.words is not None:
        return against_words(config, model, folder, here)
    classes = config.model.classes
    if isinstance(config, Videos):
        read: Callable[[Any], list[Any]] = data.test_clips(
            config.data, config.data.segments, config.data.crops
        )
        clips = labelled_list(folder / "val.csv", classes, frames=False)
        return timed(lambda: judge(model, clips, read, recognised_video, training, here))
    if isinstance(config, Bootstrapping) and not config.model.bias:
        raise ConfigError(
            "a network in CLIP's space has no classes: name the CLIP that speaks, --set words.weights=FILE"
        )
    held_out = imagenet.labelled(folder, "val", classes)
    reader = data.test_reader(config.data, side_of(config))
    return timed(lambda: judge(model, held_out, reader, recognised, training, here))


@torch.inference_mode()
def against_words(
    config: Bootstrapping, model: nn.Module, folder: Path, here: processes.Accelerator
) -> dict[str, float]:
    """Classes of folders by their names, top1 and top5; or pictures and captions that find each other, R@k."""
    from avmodels.sparseformer import zero_shot

    how, training = config.words, config.training
    assert how is not None
    state = checkpoint.state_of(weights.read(Path(how.weights), SYSTEM))
    whole = zero_shot.clip(model, state, how.weights, quick_gelu=how.quick_gelu).to(here.device)
    read = data.test_reader(config.data, config.data.side)
    if (folder / "val").is_dir():
        names = imagenet.names(folder, "val")
        rows = zero_shot.class_vectors(whole, zero_shot.words_of(names), how.prompts)

        def named(model: nn.Module, batch: Batch) -> dict[str, float]:
            return accuracy(zero_shot.similarities(model(batch["image"]), rows, 0.0), batch["label"])

        return judge(model, imagenet.labelled(folder, "val", len(names)), read, named, training, here)
    pictures, captions, owners = zero_shot.captioned(folder)
    texts = zero_shot.text_vectors(whole, captions)
    scores = np.concatenate(
        [
            zero_shot.similarities(whole.visual(images.to(here.device)), texts, 0.0).float().cpu().numpy()
            for images in data.batches(pictures, read, training.batch)
        ]
    )
    return zero_shot.recalls(scores.T, owners) | {"images": len(pictures), "texts": len(captions)}


def example_input(config: Settings) -> tuple[Tensor, ...]:
    """Arguments of the network's forward for one image or video, without data, for counting its cost."""
    side = side_of(config)
    frames = (config.data.frames,) if isinstance(config, Videos) else ()
    return (torch.empty(1, 3, *frames, side, side, device="meta"),)


def published_gmacs(config: Settings) -> float:
    """Multiply-accumulates / 1e9 of the published network for one image or video."""
    if isinstance(config, ParentTraining):
        how = config.model
        return cost.vit(vit(how.name, how.side, how.classes, how.arguments), how.side) / 1e9
    how, side = config.model, config.data.side
    if isinstance(config, Videos):
        made = cost.network(how.made(), how.classes, side, config.data.frames, config.model.replicates)
    else:
        made = cost.network(how.made(), how.classes, side)
    return made / 1e9
