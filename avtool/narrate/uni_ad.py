"""Uni-AD as the narrator: clips of the film, who is seen in them, and the clip before, into sentences.

A clip reads its frames' features and those of the clip that was told of before; a character who is seen is shown by
an exemplar of the film. Only those whom the sense for characters saw in a clip are in its prompt, and a sentence that
names anybody else is not said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avmodels.engine.weights import metadata
from avmodels.uni_ad import describer, frames
from avmodels.uni_ad.batches import Item, item
from avmodels.uni_ad.config import Describing as Config
from avmodels.uni_ad.data import bos
from avmodels.uni_ad.describer import Describer
from avmodels.uni_ad.films import read_frames
from avmodels.uni_ad.frames import Extractor
from avmodels.uni_ad.prompt import Character, prompt
from avtool import weights
from avtool.errors import MissingError, UsageError
from avtool.narrate import facts, sentences
from avtool.narrate.clips import Clip, clips
from avtool.perceive import exemplars
from avtool.timeline import Candidate, Film

if TYPE_CHECKING:
    from avtool.cast import Cast
    from avtool.perception import Perception
    from avtool.settings import Settings

BATCH = 16  # clips that the network describes at once
PEOPLE = 10  # characters of a prompt, as many as the published banks give
TOKENS = 2.0  # of a word and its punctuation, at most on average
SAID = 2  # sentences of a clip that are candidates: the likeliest, and a shorter one

# The weights of the index that make features of frames.
EYES = {"clip": "clip-vit-l-14", "q-former": "blip2-flan-t5-xxl"}


@dataclass(frozen=True)
class Files:
    """Uni-AD's checkpoint, and the configuration to read it with."""

    path: Path
    config: Config


def files(path: Path, variant: str | None, settings: Settings) -> Files:
    """A weights file, ours or of a published `variant` (none: the one it looks like), or a run's folder.

    Raises MissingError, with the command that gets what lacks, and UsageError for a file of another kind.
    """
    if path.is_dir():
        path = path / "model.safetensors"
    if not path.is_file():
        raise MissingError(f"there are no weights of Uni-AD at {path}: avtool weights pull uni-ad-mad")
    if variant is None and "config" in metadata(path):
        config = describer.configuration(path)
    else:
        config = describer.published(path, variant)
    return Files(path, _with_language(config, path, settings))


def _with_language(config: Config, path: Path, settings: Settings) -> Config:
    """The configuration with the language model's files: the setting's, its own, or those that were pulled."""
    how = config.model.language
    if settings.language_model:
        place = Path(settings.language_model)
        if not place.exists():
            raise UsageError(f"language_model: there is nothing at {place}; name a folder or a .gguf file")
        where = str(place)
    elif how.learns == "everything" or (how.weights and Path(how.weights).exists()):
        return config
    elif how.size in weights.index():
        where = str(weights.where(how.size))
    else:
        raise MissingError(
            f"{path.name} needs its language model, {how.weights or how.size}: name its folder with "
            "--set language_model=FOLDER"
        )
    language = how.model_copy(update={"weights": where})
    return config.model_copy(update={"model": config.model.model_copy(update={"language": language})})


def eyes(config: Config, settings: Settings) -> Extractor:
    """What makes the network's features of frames. Raises MissingError where its weights lack, WeightsError."""
    sees, width = config.model.sees, config.model.features
    if sees == "pixels":
        return frames.pixels(width)
    extractor = exemplars.clip(settings) if sees == "clip" else frames.q_former(weights.where(EYES[sees]))
    if extractor.shape[-1] != width:
        raise UsageError(
            f"the features of frames are {extractor.shape[-1]} wide, those of this Uni-AD {width}: "
            "they are of another network"
        )
    return extractor


class Describing:
    """The narrator. Its language model is loaded when the film has been seen."""

    def __init__(self, files: Files, settings: Settings) -> None:
        if files.config.model.form == "cmd-tv" and settings.characters != "face":
            raise UsageError(
                "this Uni-AD reads no vectors in which characters can be looked for: --characters face"
            )
        self._files, self._settings = files, settings
        self.extractor: Extractor | None = eyes(files.config, settings)
        self.weights: dict[str, str] = {files.path.name: frames.digest(files.path)}

    @cached_property
    def describer(self) -> Describer:
        return describer.load(self._files.config, self._files.path, self._settings.precision)

    def candidates(self, seen: Perception, film: Film) -> list[Candidate]:
        settings = self._settings
        facts.english_only(settings)
        everything = [one for one in clips(film, seen.cast, settings) if seen.features.count(one.span)]
        shown = exemplars.of_cast(seen, {name for clip in everything for name in clip.names})
        items = (
            [
                self._item(clip, before, shown, seen)
                for clip, before in zip(everything, [None, *everything[:-1]], strict=True)
            ]
            if everything
            else []
        )
        told: list[tuple[Clip, list[tuple[str, float]]]] = [(clip, []) for clip in everything]
        report = seen.report("narrating")
        # Clips of the same people share the beginning of their prompts.
        order = sorted(range(len(items)), key=lambda number: (everything[number].names, number))
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            limits = [max(round(everything[number].words * TOKENS), 1) for number in part]
            for number, found in zip(part, self.describer([items[n] for n in part], limits), strict=True):
                told[number][1].extend(self._sayable(everything[number], found, seen.cast))
            report(film.span.duration * (start + len(part)) // len(order))
        found = sentences.candidates(told, film, "Uni-AD")
        return sorted([*found, *facts.read_texts(film, len(told))], key=lambda one: one.event)

    def _sayable(
        self, clip: Clip, found: Sequence[describer.Sentence], cast: Cast | None
    ) -> list[tuple[str, float]]:
        """The likeliest of the sentences that may be said, and one that is shorter."""
        kept: list[tuple[str, float]] = []
        for one in found:
            text = sentences.sayable(one.text, one.ended, clip, cast)
            if text is None or one.probability < self._settings.narrator_confidence:
                continue
            if len(kept) < SAID and (not kept or len(text) < len(kept[-1][0])):
                kept.append((text, one.probability))
        return kept

    def _item(self, clip: Clip, before: Clip | None, shown: dict[str, np.ndarray], seen: Perception) -> Item:
        """What the network reads of a clip; the first one's own frames stand in the place of those before."""
        model, config = self.describer.model, self._files.config
        people = [person(name, seen.cast) for name in clip.names if name in shown][:PEOPLE]
        most = getattr(model.gpt.config, "max_position_embeddings", None) or math.inf
        while True:
            ids, introduced = prompt(
                self.describer.words.encode, config.form(), model.extra, people, tuple(shown), bos(model)
            )
            if not people or len(ids) + round(clip.words * TOKENS) <= most:
                break
            people.pop()  # there is no room for the least sure
        spans = [(before or clip).span, clip.span]
        short = config.model.form == "cmd-tv"
        read = [read_frames(seen.features.of(span), drawn=False, fill=short) for span in spans]
        return item(ids, np.concatenate(read), [shown[one.id] for one in introduced], [], model.eos)


def person(name: str, cast: Cast | None) -> Character:
    """A character of the cast as the prompt has it: in one line, and without the signs that part characters."""
    one = next((one for one in cast.cast if name in (one.name, one.label)), None) if cast else None
    actor = one.actor if one else None
    return Character(name, plain(name), plain(actor or ""), plain(name))


def plain(text: str) -> str:
    return " ".join(text.translate(str.maketrans(";:", ",,")).split())
