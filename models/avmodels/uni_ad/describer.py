"""Uni-AD ready to describe: its weights in place, low-rank maps added, in the precision that the machine allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from avmodels import zoo
from avmodels.engine import weights
from avmodels.errors import ConfigError, WeightsError
from avmodels.uni_ad import checkpoint, language, recipe
from avmodels.uni_ad.batches import Item, evaluation_batch, shared_places
from avmodels.uni_ad.config import Describing
from avmodels.uni_ad.evaluation import rules
from avmodels.uni_ad.generate import hypotheses, words_only
from avmodels.uni_ad.language import Words
from avmodels.uni_ad.lora import merge
from avmodels.uni_ad.model import UniAD

SYSTEM = "uni-ad"

# Of the language model; the mapping stays in float32.
Precision = Literal["fp32", "bf16", "int8", "4bit"]


@dataclass(frozen=True)
class Sentence:
    """What may be said of a clip: the text, the mean probability of its tokens, and whether it came to its end."""

    text: str
    probability: float
    ended: bool


@dataclass(frozen=True)
class Describer:
    """The network, the words of its language model, and its configuration."""

    model: UniAD
    words: Words
    config: Describing

    @torch.inference_mode()
    def __call__(self, items: Sequence[Item], limits: Sequence[int]) -> list[list[Sentence]]:
        """The best sentences of every clip, the best first, none of more than `limits` tokens.

        What all prompts begin with is read once: give clips of the same characters together.
        """
        model = self.model
        device = model.video_input_token_embedding.weight.device
        shared = shared_places(items, model.extra.video, model.extra.image)
        batch = {name: value.to(device) for name, value in evaluation_batch(items, model.extra.pad).items()}
        embeds = model.embed(
            batch["ids"], model.map_video(batch["frames"]), model.map_characters(batch["exemplars"])
        )
        found = hypotheses(model, embeds, batch["mask"], rules(self.config, model), limits, shared)
        return [
            [
                Sentence(
                    self.words.decode(words_only(said.ids, model.words)).strip(),
                    min(float(torch.tensor(said.score).exp()), 1.0),
                    said.ended,
                )
                for said in each
            ]
            for each in found
        ]


def load(config: Describing, path: Path, precision: Precision = "bf16") -> Describer:
    """The checkpoint at `path`, with the language model of model.language.weights where it does not hold its own.

    Raises WeightsError for files that lack or do not fit, ConfigError for a precision that this machine has not.
    """
    words = words_of(config, path)
    state = checkpoint.state_of(weights.read(path, SYSTEM))
    own = any(name.startswith("gpt.") and "embed" in name for name in state)
    if own:
        model = recipe.build(config)
    else:
        if not config.model.language.weights:
            raise WeightsError(
                f"{path} holds no weights of its language model, {config.model.language.size}; name their folder "
                "or .gguf file"
            )
        gpt = language.pretrained(
            Path(config.model.language.weights), "float32" if precision == "fp32" else "bfloat16"
        )
        model = UniAD(config.model.size(), gpt)
    if words.size > model.words:
        raise WeightsError(
            f"the language model of {path} knows {model.words} words, its tokenizer has {words.size}: they are of "
            "different models"
        )
    checkpoint.load(model, state, str(path))
    merge(model.gpt)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.gpt = reduced(model.gpt, precision, device)
    model.to(device).eval()
    return Describer(model, words, config)


def words_of(config: Describing, path: Path) -> Words:
    """The words of the language model: beside the checkpoint, or with the language model's own weights."""
    how = config.model.language
    if how.words and (path.parent / how.words).exists():
        return language.words(path.parent / how.words)
    if how.weights:
        return language.words(Path(how.weights))
    lacking = path.parent / (how.words or "tokenizer.json")
    raise WeightsError(f"the words of the language model are missing: put them at {lacking}")


def reduced(model: Any, precision: Precision, device: torch.device) -> nn.Module:
    """A language model in a precision. Raises ConfigError for one that this machine has not."""
    if precision in ("fp32", "bf16"):
        return model.to(torch.float32 if precision == "fp32" else torch.bfloat16)
    if precision == "int8" and device.type == "cpu":
        # Weights as whole numbers, and activations as they come (torch's own, on every CPU).
        return torch.ao.quantization.quantize_dynamic(model.float(), {nn.Linear}, dtype=torch.qint8)
    raise ConfigError(f"there is no {precision} on {device.type} here; use bf16, or int8 on a CPU")


def configuration(path: Path, settings: tuple[str, ...] = ()) -> Describing:
    """The configuration that a weights file of ours was made with. Raises ConfigError where it does not say."""
    config = zoo.load_of(SYSTEM, path, None, settings)
    if not isinstance(config, Describing):
        raise ConfigError(f"{path} describes nothing: it is of the recipe {config.recipe}")
    return config


def published(path: Path, variant: str | None = None) -> Describing:
    """The configuration of a checkpoint as published: of the variant, or of the one whose mapping it holds.

    Raises WeightsError for a file without one.
    """
    if variant is None:
        names = [checkpoint.ours(name) for name in checkpoint.state_of(weights.read(path, SYSTEM))]
        if "perceiver.latent" in names:
            variant = "mad"
        elif "perceiver.query_tokens" in names:
            variant = "cmd-tv"
        else:
            raise WeightsError(f"{path} holds no mapping of Uni-AD")
    config = zoo.load(SYSTEM, variant)
    assert isinstance(config, Describing)
    return config
