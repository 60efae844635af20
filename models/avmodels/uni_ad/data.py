"""The published files of MAD, CMD-AD and TV-AD as items."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from avmodels.engine import weights
from avmodels.errors import DataError
from avmodels.uni_ad import films
from avmodels.uni_ad.batches import Item, clip_frames, item
from avmodels.uni_ad.config import Describing
from avmodels.uni_ad.language import Words
from avmodels.uni_ad.model import UniAD
from avmodels.uni_ad.prompt import prompt

SYSTEM = "uni-ad"


@dataclass(frozen=True)
class Told:
    """Something to describe: the film it is of, who is named in it, the reference, that of the clip before, and how
    it is read as an item."""

    film: str
    people: tuple[str, ...]
    text: str
    before: str
    read: Callable[[], Item]


def read_list(path: Path) -> Any:
    """A JSON file of the data. Raises DataError where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the list {path}: {error}") from error


def exemplars(path: Path) -> dict[str, np.ndarray]:
    """The features of all characters by name. Raises WeightsError or DataError where they cannot be read."""
    found = weights.read(path, SYSTEM)
    if not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise DataError(f"{path} must hold a tensor a character")
    return {name.removesuffix(".jpg"): value.float().numpy()[0] for name, value in found.items()}


def training_list(folder: Path, config: Describing, model: UniAD, words: Words) -> list[Told]:
    """What is to be learned, without descriptions that are too long. Raises DataError."""
    found = read_list(folder / config.data.train)
    if config.model.form == "mad":
        told = mad(folder, config, model, words, films.training_samples(found, config.data.told), drawn=True)
    else:
        told = cmd_tv(folder, config, model, words, found, drawn=True)
    short = config.prompt.longest
    return [one for one in told if all(len(words.encode(text)) <= short for text in (one.text, one.before))]


def evaluation_list(folder: Path, config: Describing, model: UniAD, words: Words) -> list[Told]:
    """What is to be described. Raises DataError."""
    found = read_list(folder / config.data.evaluation)
    if config.model.form == "mad":
        return mad(
            folder, config, model, words, films.evaluation_samples(found, config.data.candidates), drawn=False
        )
    return cmd_tv(folder, config, model, words, found, drawn=False)


def features(path: Path, name: str, part: slice = slice(None)) -> np.ndarray:
    """Some of the features of a film or clip, read from the file without the rest."""
    found = opened(path, os.getpid())[name]
    assert isinstance(found, h5py.Dataset)
    return np.asarray(found[part], np.float32)


@lru_cache(maxsize=8)
def opened(path: Path, process: int) -> h5py.File:
    """A file of features, opened once by each process."""
    return h5py.File(path, "r")


def names(path: Path) -> list[str]:
    """What the features are of. Raises DataError where the file cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            return list(file)
    except OSError as error:
        raise DataError(f"cannot read the features {path}: {error}") from error


def film_part(path: Path, sample: films.Sample) -> np.ndarray:
    """The features of a film from the first frame of a sample's two clips to the last, and no others."""
    first = min(sample.before.first, sample.clip.first)
    last = max(sample.before.last, sample.clip.last)
    return features(path, sample.film, slice(first, last + 1))


def within(sample: films.Sample) -> films.Sample:
    """A sample whose clips are told from the first frame of film_part."""
    first = min(sample.before.first, sample.clip.first)
    now, before = (
        films.Clip(clip.first - first, clip.last - first, clip.text) for clip in (sample.clip, sample.before)
    )
    return films.Sample(sample.film, now, before, sample.characters)


def mad(
    folder: Path,
    config: Describing,
    model: UniAD,
    words: Words,
    samples: Sequence[films.Sample],
    drawn: bool,
) -> list[Told]:
    """Samples of MAD. Raises DataError for a film without features, or a character without an exemplar."""
    faces, path = exemplars(folder / config.data.exemplars), folder / config.data.features
    lacking = {sample.film for sample in samples} - set(names(path))
    if lacking:
        raise DataError(f"{path} has no features of {min(lacking)}")

    def read(sample: films.Sample) -> Item:
        frames = clip_frames(film_part(path, sample), within(sample), drawn)
        frames = frames if config.data.context else frames[films.FRAMES :]
        ids, shown = prompt(words.encode, config.form(), model.extra, sample.characters, (), bos(model))
        try:
            people = [faces[f"{sample.film}_{character.id}"] for character in shown]
        except KeyError as error:
            raise DataError(f"there is no exemplar of the character {error.args[0]}") from error
        said = [words.encode(clip.text) for clip in (sample.clip, sample.before)] if drawn else []
        return item(ids, frames, people, said, model.eos)

    return [
        Told(
            sample.film,
            tuple(character.role for character in sample.characters),
            sample.clip.text,
            sample.before.text,
            partial(read, sample),
        )
        for sample in samples
    ]


def cmd_tv(
    folder: Path, config: Describing, model: UniAD, words: Words, found: Any, drawn: bool
) -> list[Told]:
    """Records of CMD-AD or TV-AD that have features."""
    faces, path = exemplars(folder / config.data.exemplars), folder / config.data.features
    (entries,) = found.values()

    def read(entry: Mapping[str, Any], before: Mapping[str, Any]) -> Item:
        cast = [films.person(one) for one in entry[config.data.candidates]]
        ids, shown = prompt(words.encode, config.form(), model.extra, cast, tuple(faces), bos(model))
        frames = [
            films.read_frames(features(path, films.clip_key(entry["key_name"], one)), drawn, fill=True)
            for one in ((before, entry) if config.data.context else (entry,))
        ]
        said = [words.encode(one["ad"]) for one in (entry, before)] if drawn else []
        people = [faces[one.id] for one in shown]
        return item(ids, np.concatenate(frames), people, said, model.eos)

    return [
        Told(
            entry["key_name"].split("_clip_")[0],
            tuple(one.get("char_in_ad", one["role"]) for one in entry[config.data.candidates]),
            entry["ad"],
            before["ad"],
            partial(read, entry, before),
        )
        for _, entry, before in films.described(entries, names(path), config.generation.alone)
    ]


def bos(model: UniAD) -> int | None:
    """The id that begins a text of the language model, where it has one."""
    return model.gpt.config.bos_token_id
