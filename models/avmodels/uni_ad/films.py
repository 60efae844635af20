"""From a record of MAD, CMD-AD or TV-AD to what the network reads: windows, frames, characters."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avmodels.errors import DataError
from avmodels.uni_ad.prompt import Character

# Frames of a clip that are read, and those a second in the features of MAD.
FRAMES = 8
FPS = 5


@dataclass(frozen=True)
class Clip:
    """One description and its place: the first and last frame of features, both inclusive."""

    first: int
    last: int
    text: str


@dataclass(frozen=True)
class Sample:
    """One thing to describe: a clip of a film, the clip before, and who may be in it."""

    film: str
    clip: Clip
    before: Clip
    characters: tuple[Character, ...]


def window(start: str | float, end: str | float) -> tuple[int, int]:
    """The frames of MAD's features between two times in seconds, inclusive: rounded to whole seconds, to even."""
    first, last = round(float(start)) * FPS, round(float(end)) * FPS
    if first == last:
        first, last = math.floor(float(start)) * FPS, math.ceil(float(end)) * FPS
    return first, last


def even_frames(frames: int, count: int = FRAMES) -> np.ndarray:
    """The frames (count,) that evaluation reads, spread evenly from first to last; few are read again."""
    return np.linspace(0, frames - 1, count).astype(np.int64)


def drawn_frames(frames: int, count: int = FRAMES) -> list[int]:
    """The frames that training reads: one, drawn by `random`, of each of `count` parts as equal as can be.

    A clip must be filled up to `count` frames before.
    """
    size, larger = divmod(frames, count)
    places, first = [], 0
    for part in range(count):
        length = size + (part < larger)
        places.append(random.randint(first, first + length - 1))
        first += length
    return places


def filled(features: np.ndarray, count: int = FRAMES) -> np.ndarray:
    """features (frames, ...) with empty frames at the end up to `count`."""
    lacking = count - len(features)
    if lacking <= 0:
        return features
    return np.concatenate([features, np.zeros((lacking, *features.shape[1:]), features.dtype)])


def read_frames(features: np.ndarray, drawn: bool, fill: bool) -> np.ndarray:
    """The FRAMES features (FRAMES, ...) of a clip, float32.

    `drawn` as in training, else spread evenly; `fill` puts empty frames behind a short clip (always in training,
    and in the evaluation of CMD-AD and TV-AD), else its frames are read again.
    """
    if drawn or fill:
        features = filled(features)
    places = drawn_frames(len(features)) if drawn else even_frames(len(features))
    return np.asarray(features[places], np.float32)


def person(entry: Mapping[str, Any]) -> Character:
    """A character of a list. The published code takes the values of MAD's lists in order: id, name, role."""
    try:
        return Character(str(entry["id"]), entry["role"], entry["name"], entry.get("char_in_ad"))
    except KeyError as error:
        raise DataError(f"a character has no {error.args[0]}: {dict(entry)}") from error


def clip_of_seconds(entry: Mapping[str, Any]) -> Clip | None:
    """The clip of an entry of MAD, None where it has negative times."""
    if float(entry["start"]) < 0 or float(entry["end"]) < 0:
        return None
    return Clip(*window(entry["start"], entry["end"]), entry["ad"])


def mad_sample(entry: Mapping[str, Any], film: str, people: str) -> Sample | None:
    """A sample of MAD, its characters those under the key `people`; None where a time is negative.

    Raises DataError where something lacks.
    """
    try:
        context = entry["context"]
        clips = [clip_of_seconds(one) for one in (entry, context[0])] if context else [None, None]
        if clips[0] is None or clips[1] is None:
            return None
        return Sample(film, clips[0], clips[1], tuple(person(one) for one in entry[people]))
    except KeyError as error:
        raise DataError(f"{film}: a record has no {error.args[0]}") from error


def training_samples(entries: Sequence[Mapping[str, Any]], people: str = "ad_chars_in_chars") -> list[Sample]:
    """MAD's training list, `people` being the key of those who stand in the prompt."""
    found = [mad_sample(entry, entry["movie_id"], people) for entry in entries]
    return [sample for sample in found if sample]


def evaluation_samples(
    films: Mapping[str, Sequence[Mapping[str, Any]]], people: str = "prob"
) -> list[Sample]:
    """MAD's evaluation list, `people` being the key of those who stand in the prompt."""
    found = [mad_sample(entry, film, people) for film, entries in films.items() for entry in entries]
    return [sample for sample in found if sample]


def clip_key(name: str, entry: Mapping[str, Any]) -> str:
    """The name of a clip's features in CMD-AD and TV-AD."""
    return f"{name}_{entry['start']}_{entry['end']}"


def described(
    entries: Sequence[Mapping[str, Any]], keys: Sequence[str], alone: bool = False
) -> list[tuple[int, Mapping[str, Any], Mapping[str, Any]]]:
    """The records of CMD-AD and TV-AD that can be evaluated: number, record, record before.

    As published a record without one before (the first of every clip) is left out; with `alone` its own clip
    stands in. Records without features are left out.
    """
    known, found = set(keys), []
    for number, entry in enumerate(entries):
        before = entry.get("content") or (entry if alone else None)
        if before and {clip_key(entry["key_name"], one) for one in (entry, before)} <= known:
            found.append((number, entry, before))
    return found
