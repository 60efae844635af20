"""How Uni-AD is built, loaded, trained and evaluated, top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GradientCheckpointingLayer

from avmodels.data.samples import Sample, Samples, seed_generators
from avmodels.engine import processes, weights
from avmodels.engine.descent import Descent
from avmodels.engine.schedule import Length
from avmodels.engine.train import Batch, Task, fit
from avmodels.errors import ConfigError, WeightsError
from avmodels.nn.clip_blocks import Block
from avmodels.uni_ad import checkpoint, cost, data, evaluation, language
from avmodels.uni_ad.batches import training_batch
from avmodels.uni_ad.checkpoint import published_state as published
from avmodels.uni_ad.config import RECIPES, Describing
from avmodels.uni_ad.language import Words
from avmodels.uni_ad.lora import merge
from avmodels.uni_ad.loss import contrast, description_losses
from avmodels.uni_ad.model import UniAD, freeze
from avmodels.uni_ad.qformer import Layer

__all__ = [
    "RECIPES",
    "about",
    "build",
    "counted",
    "evaluate",
    "example_input",
    "load",
    "published",
    "published_gmacs",
    "train",
]

SYSTEM = "uni-ad"

# The sequence whose cost is told: a prompt of so many tokens.
PROMPT = 200


def build(config: Describing) -> UniAD:
    """The network of a configuration, with random weights."""
    how = config.model.language
    return UniAD(config.model.size(), language.network(language.configuration(how.size, how.weights)))


def load(model: UniAD, config: Describing, path: Path) -> None:
    """Puts a published or our own checkpoint into the network, and the language model's own weights, which
    published checkpoints do not have, from model.language.weights.

    Raises WeightsError that names what differs or lacks.
    """
    left = checkpoint.load(model, checkpoint.state_of(weights.read(path, SYSTEM)), str(path))
    if left:
        start_language(model, config, left)


def start_language(model: UniAD, config: Describing, names: Sequence[str]) -> None:
    """Puts those weights of the language model that are named into the network."""
    how = config.model.language
    if not how.weights:
        raise WeightsError(
            f"the checkpoint holds no weights of the language model {how.size}; name its folder or .gguf file: "
            "model.language.weights=..."
        )
    state = language.base_state(Path(how.weights), config.model.size().lora)
    weights.fit(model, {name: state[name] for name in names if name in state}, how.weights, missing=("",))


def words_of(config: Describing, folder: Path) -> Words:
    """The words of the language model, from its weights or from a file of the data.

    Raises ConfigError where none is named.
    """
    how = config.model.language
    if not (how.words or how.weights):
        raise ConfigError("name the language model's words: model.language.words=tokenizer.json")
    return language.words(folder / (how.words or how.weights))


def train(config: Describing, folder: Path, run: Path, init: Path | None, resume: bool) -> dict[str, float]:
    """Trains on the lists of `folder` (see data); see engine.train.fit.

    `init` is a checkpoint to start from: of the whole, of the language model's adaptation, or of the mapping.
    """
    if config.model.form != "mad":
        raise ConfigError("the training of the form cmd-tv was never published; train the form mad")
    here = processes.accelerator(config.training.precision, unused=True)
    seed_generators(config.training.seed)
    model = build(config)
    how = config.model.language
    if how.weights and not resume:
        start_language(model, config, [name for name in model.state_dict() if name.startswith("gpt.")])
        model.start_tokens()
    if init is not None:
        start(model, init)
    if how.learns != "everything":
        freeze(model, language=how.learns == "adaptation")
    words = words_of(config, folder)
    if words.size > model.words:
        raise ConfigError(f"the language model knows {model.words} words, its tokenizer {words.size}")
    told = data.training_list(folder, config, model, words)
    held_out = data.evaluation_list(folder, config, model, words)
    task = Task(
        model=model,
        sources=(Samples(told, lambda one: [{"item": one.read()}], config.training.seed),),
        groups=lambda model: groups(model, config.schedule.weight_decay),
        loss=loss(config, model),
        units=(Block, Layer, GradientCheckpointingLayer),
        about=about(config),
        evaluate=lambda _, here: evaluation.measure(model, held_out, config, words, here),
        best="score",
        stack=lambda samples: stack(samples, model.extra.pad),
    )
    return fit(task, pace(config), config.training, run, here, resume)


def start(model: UniAD, path: Path) -> None:
    """Starts the network from a checkpoint of the whole, or from what a language model or a mapping learned."""
    state = checkpoint.state_of(weights.read(path, SYSTEM))
    language_only = all(name.startswith("gpt.") for name in state)
    mapping_only = not any(name.startswith(("gpt.", "project_img")) for name in state)
    if language_only:
        checkpoint.load_adaptation(model, state, str(path))
    elif mapping_only:
        checkpoint.load_mapping(model, state, str(path))
    else:
        checkpoint.load(model, state, str(path))


def stack(samples: list[Sample], pad: int) -> Batch:
    """Items as one training batch."""
    return training_batch([sample["item"] for sample in samples], pad)


def groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """One optimiser group of all that learns."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [{"params": learning, "weight_decay": weight_decay, "lr_scale": 1.0}]


def loss(config: Describing, own: UniAD) -> Callable[[nn.Module, Batch], Tensor]:
    """The description is said, and is likelier than the one before."""
    weight = config.objectives.contrast

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        right, before = description_losses(model, batch, own.extra.pad, contrasted=weight > 0)
        return right + weight * contrast(right, before)

    return objective


def pace(config: Describing) -> Descent:
    """AdamW, its rate rising along a line and falling along half a cosine to 0."""
    how = config.schedule

    def rate(step: int, length: Length) -> float:
        if step < how.warmup_steps:
            return how.lr * (step + 1) / how.warmup_steps
        share = (step - how.warmup_steps) / max(length.total - how.warmup_steps, 1)
        return how.lr * 0.5 * (1 + math.cos(math.pi * min(share, 1)))

    return Descent(lambda groups: torch.optim.AdamW(groups, lr=0.0), rate, how.clip)


def evaluate(config: Describing, path: Path, folder: Path, results: Path) -> dict[str, float]:
    """Describes the evaluation list of `folder`; see evaluation.measure."""
    here = processes.accelerator(config.training.precision)
    model = build(config)
    load(model, config, path)
    merge(model.gpt)
    model.to(here.device).eval()
    words = words_of(config, folder)
    told = data.evaluation_list(folder, config, model, words)
    return evaluation.measure(model, told, config, words, here, results)


def about(config: Describing) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {"system": SYSTEM, "config": config.model_dump(mode="json")}


def example_input(config: Describing) -> tuple[Tensor, ...]:
    """Arguments of the network's forward for one prompt with one character, without data, for counting its cost."""
    size = config.model.size()
    ids = torch.zeros(1, PROMPT, dtype=torch.long, device="meta")
    frames, people = (16, size.features), (1, size.features)
    if size.form == "cmd-tv":
        frames, people = (16, size.image, size.features), (1, size.image, size.features)
    return ids, torch.empty(1, *frames, device="meta"), torch.empty(*people, device="meta")


def counted(model: UniAD) -> UniAD:
    """The network in a form that runs without data: a LLaMA's rotary positions, which cost nothing, are made up."""
    rotary = getattr(model.gpt.base_model, "rotary_emb", None)
    if rotary is not None:
        size = 2 * len(rotary.inv_freq)
        rotary.forward = lambda x, places: (
            x.new_empty(*places.shape, size),
            x.new_empty(*places.shape, size),
        )
    return model


def published_gmacs(config: Describing) -> float:
    """Multiply-accumulates / 1e9 of the published network for reading one prompt with one character."""
    how = language.configuration(config.model.language.size, config.model.language.weights)
    size, width = config.model.size(), how.hidden_size
    return (cost.video(size, width) + cost.character(size, width) + cost.language(how, PROMPT)) / 1e9
