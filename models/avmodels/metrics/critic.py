"""CRITIC: do generated sentences speak of the same characters as the references (AutoAD III, arXiv 2404.14412)?

Who is meant by "she" is found by a coreference model, which is given as a function from a text to its clusters:
each a list of (start, end) places of mentions of one person or thing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Clusters = Sequence[Sequence[tuple[int, int]]]
Coreference = Callable[[str], Clusters]


@dataclass(frozen=True)
class Named:
    """Who is meant in each sentence, and the sentences with their full names."""

    people: list[list[str]]
    sentences: list[str]


def cast_sentence(cast: Sequence[str]) -> str:
    """The sentence that introduces a cast: `A, B and C.`"""
    *others, last = cast
    return f"{', '.join(others)} and {last}." if others else f"{last}."


def document(cast: Sequence[str], sentences: Sequence[str]) -> str:
    """The text for the coreference model: the cast, then all sentences."""
    return " ".join([cast_sentence(cast), *sentences])


def name(cast: Sequence[str], sentences: Sequence[str], clusters: Clusters) -> Named:
    """Who of the cast is meant in each sentence, given the clusters of `document(cast, sentences)`.

    A cluster is a member of the cast if exactly one name of the cast is a mention of it, to the letter. Mentions
    that reach over the end of a sentence do not count. The first mention of a member in a sentence is replaced by
    the name.
    """
    text = document(cast, sentences)
    spans, at = [], len(cast_sentence(cast)) + 1
    for sentence in sentences:
        spans.append((at, at + len(sentence)))
        at += len(sentence) + 1
    people: list[list[str]] = [[] for _ in sentences]
    written = list(sentences)
    for cluster in clusters:
        mentioned = {text[start:end] for start, end in cluster}
        members = [member for member in cast if member in mentioned]
        if len(members) != 1:
            continue
        for start, end in cluster:
            for number, (first, last) in enumerate(spans):
                if first <= start and end <= last and members[0] not in people[number]:
                    people[number].append(members[0])
                    written[number] = written[number].replace(text[start:end], members[0])
    return Named(people, written)


def overlaps(generated: Named, references: Named) -> np.ndarray:
    """For each reference that means somebody, intersection over union with those the generated sentence means."""
    pairs = zip(generated.people, references.people, strict=True)
    return np.array([len({*own} & {*true}) / len({*own} | {*true}) for own, true in pairs if true])


def critic(
    films: Sequence[tuple[Sequence[str], Sequence[str], Sequence[str]]], coreference: Coreference
) -> np.ndarray:
    """The overlaps of all films, each (cast, generated, references) in the order of time; CRITIC is their mean."""
    found = [
        overlaps(
            name(cast, generated, coreference(document(cast, generated))),
            name(cast, references, coreference(document(cast, references))),
        )
        for cast, generated, references in films
    ]
    return np.concatenate(found) if found else np.zeros(0)
