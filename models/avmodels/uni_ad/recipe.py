"""How Uni-AD is built, loaded, trained and evaluated, top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

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
from avmodels.uni_ad import checkpoint, cost, data, evaluation, language, refine, stages
from avmodels.uni_ad.batches import training_batch
from avmodels.uni_ad.characters import Recogniser
from avmodels.uni_ad.checkpoint import published_state as published
from avmodels.uni_ad.config import RECIPES, Describing, Refining, Settings
from avmodels.uni_ad.films import FRAMES
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


@overload
def build(config: Describing) -> UniAD: ...
@overload
def build(config: Refining) -> Recogniser: ...
def build(config: Settings) -> UniAD | Recogniser:
    """The network of a configuration, with random weights."""
    if isinstance(config, Refining):
        return refine.build(config)
    how = config.model.language
    return UniAD(config.model.size(), language.network(language.configuration(how.size, how.weights)))


def load(model: nn.Module, config: Settings, path: Path) -> None:
    """Puts a published or our own checkpoint into the network, and the language model's own weights, which
    published checkpoints do not have, from model.language.weights.

    Raises WeightsError that names what differs or lacks.
    """
    if isinstance(config, Refining):
        weights.fit(model, weights.read(path, SYSTEM), str(path))
        return
    assert isinstance(model, UniAD)
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


def train(config: Settings, folder: Path, run: Path, init: Path | None, resume: bool) -> dict[str, float]:
    """Trains on the files of `folder` (see data, stages and refine); see engine.train.fit.

    `init` is a checkpoint to start from: of the whole, of the language model's adaptation, or of the mapping. What
    a stage has learned goes so into the next.
    """
    here = processes.accelerator(config.training.precision, unused=True)
    seed_generators(config.training.seed)
    if isinstance(config, Refining):
        task = refine.task(config, folder)
        if init is not None:
            load(task.model, config, init)
        return fit(task, pace(config), config.training, run, here, resume)
    model = build(config)
    assert isinstance(model, UniAD)
    how = config.model.language
    if how.weights and not resume:
        start_language(model, config, [name for name in model.state_dict() if name.startswith("gpt.")])
        model.start_tokens()
    if init is not None:
        start(model, init)
    if config.stage != "descriptions" and how.learns != "everything":
        freeze(model, language=config.stage == "texts", mapping=config.stage == "captions")
    elif how.learns != "everything":
        freeze(model, language=how.learns == "adaptation")
    words = words_of(config, folder)
    if words.size > model.words:
        raise ConfigError(f"the language model knows {model.words} words, its tokenizer {words.size}")
    task = STAGES[config.stage](config, folder, model, words)
    return fit(task, pace(config), config.training, run, here, resume)


def learning(
    config: Describing,
    model: UniAD,
    samples: Samples,
    objective: Callable[[nn.Module, Batch], Tensor],
    stack: Callable[[list[Sample]], Batch],
    **judged: Any,
) -> Task:
    """A stage as the loop needs it."""
    return Task(
        model=model,
        sources=(samples,),
        groups=lambda model: groups(model, config.schedule.weight_decay),
        loss=objective,
        units=(Block, Layer, GradientCheckpointingLayer),
        about=about(config),
        stack=stack,
        **judged,
    )


def learn_texts(config: Describing, folder: Path, model: UniAD, words: Words) -> Task:
    """The language of audio description."""
    told = stages.texts(folder / config.data.texts, words, config.prompt.longest)
    return learning(
        config,
        model,
        Samples(told, lambda one: [{"ids": one}], config.training.seed),
        lambda network, batch: stages.text_loss(network, batch, model.extra.pad),
        lambda samples: stages.stack_texts([one["ids"] for one in samples], model),
    )


def learn_captions(config: Describing, folder: Path, model: UniAD, words: Words) -> Task:
    """To see, from captioned videos; there is nothing to contrast."""
    told, read = stages.captions(folder, config, model, words)
    return learning(
        config,
        model,
        Samples(told, lambda one: [{"item": read(one)}], config.training.seed),
        lambda network, batch: description_losses(network, batch, model.extra.pad, contrasted=False)[0],
        lambda samples: stack(samples, model.extra.pad),
    )


def learn_descriptions(config: Describing, folder: Path, model: UniAD, words: Words) -> Task:
    """Descriptions of clips, judged on the evaluation list."""
    told = data.training_list(folder, config, model, words)
    held_out = data.evaluation_list(folder, config, model, words)
    return learning(
        config,
        model,
        Samples(told, lambda one: [{"item": one.read()}], config.training.seed),
        loss(config, model),
        lambda samples: stack(samples, model.extra.pad),
        evaluate=lambda _, here: evaluation.measure(model, held_out, config, words, here),
        best="score",
    )


STAGES: dict[str, Callable[[Describing, Path, UniAD, Words], Task]] = {
    "texts": learn_texts,
    "captions": learn_captions,
    "descriptions": learn_descriptions,
}


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


def pace(config: Settings) -> Descent:
    """AdamW, its rate rising along a line and falling along half a cosine to 0."""
    how = config.schedule

    def rate(step: int, length: Length) -> float:
        if step < how.warmup_steps:
            return how.lr * (step + 1) / how.warmup_steps
        share = (step - how.warmup_steps) / max(length.total - how.warmup_steps, 1)
        return how.lr * 0.5 * (1 + math.cos(math.pi * min(share, 1)))

    return Descent(lambda groups: torch.optim.AdamW(groups, lr=0.0), rate, how.clip)


def evaluate(config: Settings, path: Path, folder: Path, results: Path) -> dict[str, float]:
    """Describes the evaluation list of `folder`; see evaluation.measure. A refinement is measured on it instead, and
    `results`/refined.json is the list with those it left."""
    here = processes.accelerator(config.training.precision)
    model = build(config)
    load(model, config, path)
    model.to(here.device).eval()
    if isinstance(config, Refining):
        found = data.read_list(folder / config.data.evaluation)
        results.mkdir(parents=True, exist_ok=True)
        refine.write(refine.refined(model, config, folder, found, here), results / "refined.json")
        return refine.measure(model, refine.Clips(folder, config, found), config, here)
    assert isinstance(model, UniAD)
    merge(model.gpt)
    words = words_of(config, folder)
    told = data.evaluation_list(folder, config, model, words)
    return evaluation.measure(model, told, config, words, here, results)


def about(config: Settings) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {"system": SYSTEM, "config": config.model_dump(mode="json")}


def example_input(config: Settings) -> tuple[Tensor, ...]:
    """Arguments of the network's forward for one prompt with one character, without data, for counting its cost; of
    a refinement for one clip with as many candidates as it reads."""
    if isinstance(config, Refining):
        how = config.model
        shapes = (1, how.most, how.features), (1, 2 * FRAMES, how.features)
        present = torch.ones(1, how.most, dtype=torch.bool, device="meta")
        return *(torch.empty(shape, device="meta") for shape in shapes), present
    size = config.model.size()
    ids = torch.zeros(1, PROMPT, dtype=torch.long, device="meta")
    frames, people = (16, size.features), (1, size.features)
    if size.form == "cmd-tv":
        frames, people = (16, size.image, size.features), (1, size.image, size.features)
    return ids, torch.empty(1, *frames, device="meta"), torch.empty(*people, device="meta")


def counted(model: nn.Module) -> nn.Module:
    """The network in a form that runs without data: a LLaMA's rotary positions, which cost nothing, are made up."""
    if not isinstance(model, UniAD):
        return model.requires_grad_(False)
    rotary = getattr(model.gpt.base_model, "rotary_emb", None)
    if rotary is not None:
        size = 2 * len(rotary.inv_freq)
        rotary.forward = lambda x, places: (
            x.new_empty(*places.shape, size),
            x.new_empty(*places.shape, size),
        )
    return model


def published_gmacs(config: Settings) -> float:
    """Multiply-accumulates / 1e9 of the published network for reading one prompt with one character."""
    if isinstance(config, Refining):
        return cost.recogniser(config.model, 2 * FRAMES) / 1e9
    how = language.configuration(config.model.language.size, config.model.language.weights)
    size, width = config.model.size(), how.hidden_size
    return (cost.video(size, width) + cost.character(size, width) + cost.language(how, PROMPT)) / 1e9
