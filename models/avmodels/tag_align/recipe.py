"""How TagAlign is built, trained and evaluated, top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from avmodels.data.samples import Samples, seed_generators
from avmodels.engine import processes, weights
from avmodels.engine.descent import adamw
from avmodels.engine.train import Batch, Task, fit
from avmodels.errors import ConfigError, WeightsError
from avmodels.nn.clip_blocks import Block as TowerBlock
from avmodels.tag_align import checkpoint, cost, data, evaluation
from avmodels.tag_align.config import RECIPES, Alignment, Contrasting, Gated, Transformer
from avmodels.tag_align.lists import Pairs, read_pairs, tag_words, tell
from avmodels.tag_align.model import CLIP, SIZES, TagAlign, optimiser_groups
from avmodels.tag_align.projector import GatedLayer, GatedSize, TransformerSize
from avmodels.tag_align.prompts import embed_words

__all__ = [
    "RECIPES",
    "about",
    "build",
    "evaluate",
    "example_input",
    "load",
    "published_gmacs",
    "train",
]

SYSTEM = "tag-align"

# The published side of a window, and of the picture whose cost is told.
WINDOW = 448


Settings = Alignment | Contrasting


def build(config: Settings) -> TagAlign:
    """The network of a configuration, with random weights."""
    how = config.model
    return TagAlign(SIZES[how.towers], projector_size(config), how.tags, how.patches)


def projector_size(config: Settings) -> GatedSize | TransformerSize:
    """The numbers of the projector."""
    how = config.model.projector
    if isinstance(how, Gated):
        return GatedSize(how.layers, how.double, how.kernel, how.activation, how.norm)
    return TransformerSize(how.layers, how.heads, how.mlp_ratio)


def load(model: TagAlign, config: Settings, path: Path) -> None:
    """Puts TagAlign's weights into the network, or CLIP's alone: an untrained gated projector changes nothing.

    Raises WeightsError that names what differs where it does not fit.
    """
    left = start(model, path)
    if isinstance(config.model.projector, Transformer) and any(
        name.startswith("projector.") for name in left
    ):
        raise WeightsError(
            f"{path} has no projector, and an untrained transformer aligns nothing: train it first"
        )


def start(model: TagAlign, path: Path) -> list[str]:
    """Starts a network from CLIP or from TagAlign; returns the parameters that keep their initial values.

    Raises WeightsError where the towers do not come whole.
    """
    left = checkpoint.start(model, checkpoint.state_of(weights.read(path, SYSTEM)), str(path))
    lacking = [name for name in left if name.startswith("clip_")]
    if lacking:
        raise WeightsError(f"{path} holds no CLIP: it has no {lacking[0]}")
    return left


def train(config: Settings, folder: Path, run: Path, init: Path | None, resume: bool) -> dict[str, float]:
    """Trains on the pictures, captions and tags of `folder` (see lists): the projector, or CLIP's towers from
    nothing; see engine.train.fit.

    The words of the tags are those of `folder`/tags.csv. Raises ConfigError where no weights give the projector its
    towers, or CLIP is to start from some.
    """
    clip = isinstance(config, Contrasting)
    if init is None and not resume and not clip:
        raise ConfigError("the projector is trained on CLIP's frozen towers: give CLIP's weights with --init")
    if init is not None and clip:
        raise ConfigError("CLIP's towers are trained from nothing here: leave --init out")
    here = processes.accelerator(config.training.precision)
    seed_generators(config.training.seed)
    pairs = read_pairs([folder / source for source in config.data.sources], config.model.tags)
    if here.is_main_process:
        tell(pairs)
    task = contrasting(config, pairs) if clip else aligning(config, pairs, folder, init, resume)
    return fit(task, adamw(config.optimiser), config.training, run, here, resume)


def contrasting(config: Contrasting, pairs: Pairs) -> Task:
    """Pictures find their captions by the class token."""

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        image, text = model(batch["image"], batch["tokens"])
        own = getattr(model, "module", model)
        assert isinstance(own, CLIP)
        return own.cl_loss(image, text)

    return Task(
        model=CLIP(SIZES[config.model.towers]),
        sources=(samples(pairs, config),),
        groups=lambda model: optimiser_groups(model, config.optimiser.weight_decay),
        loss=objective,
        units=(TowerBlock,),
        about=about(config),
    )


def aligning(config: Alignment, pairs: Pairs, folder: Path, init: Path | None, resume: bool) -> Task:
    """The projector learns on frozen towers."""
    model = build(config)
    if init is not None:
        start(model, init)
    if config.objectives.tags and not resume:
        words = tag_words(folder / "tags.csv", config.model.tags)
        model.label_embedding.data.copy_(embed_words(model.clip_text_encoder, words, config.data.template))
    return Task(
        model=model,
        sources=(samples(pairs, config),),
        groups=lambda model: optimiser_groups(model, config.optimiser.weight_decay),
        loss=loss(config),
        units=(GatedLayer, Block),
        about=about(config),
        evaluate=validation(config, folder),
        best="miou",
    )


def samples(pairs: Pairs, config: Settings) -> Samples:
    """The pairs as training reads them."""
    return Samples(range(len(pairs)), data.training_reader(pairs, config.data), config.training.seed)


def loss(config: Alignment) -> Callable[[nn.Module, Batch], Tensor]:
    """Pictures find their captions, and name their tags."""
    share = config.objectives

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        own = inner(model)
        patches, text = model(batch["image"], batch["tokens"])
        image = patches.mean((1, 2))
        contrastive = share.contrastive * own.cl_loss(image, text)
        if not share.tags:
            return contrastive
        return contrastive + share.tags * own.ce_loss(image, own.label_embedding, batch["present"])

    return objective


def inner(model: nn.Module) -> TagAlign:
    """The network inside what spreads it over processes."""
    own = getattr(model, "module", model)
    assert isinstance(own, TagAlign)
    return own


def validation(config: Alignment, folder: Path) -> Callable[..., dict[str, float]] | None:
    """Measures segmentation while training, where the configuration names data sets (the published one none)."""
    if not config.inference.data:
        return None
    return lambda model, here: evaluation.measure(inner(model), folder, config, here)


def about(config: Settings) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {"system": SYSTEM, "config": config.model_dump(mode="json")}


def evaluate(config: Settings, path: Path, folder: Path, results: Path) -> dict[str, float]:
    """Zero-shot segmentation on the data sets inference.data names, below `folder` (see evaluation.measure).

    Raises ConfigError where it names none.
    """
    if not config.inference.data:
        raise ConfigError("say what to measure on: inference.data=[voc, coco-object, ...]")
    here = processes.accelerator(config.training.precision)
    model = build(config)
    load(model, config, path)
    return evaluation.measure(model.to(here.device).eval(), folder, config, here, results)


def example_input(config: Settings) -> tuple[Tensor, ...]:
    """Arguments of the network's forward for one window, without data, for counting its cost."""
    return (torch.empty(1, 3, WINDOW, WINDOW, device="meta"),)


def published_gmacs(config: Settings) -> float:
    """Multiply-accumulates / 1e9 of the published network for one window."""
    return (
        cost.picture(SIZES[config.model.towers], projector_size(config), WINDOW, config.model.patches) / 1e9
    )
