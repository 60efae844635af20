"""The action score: are the actions of the reference told (Shot-by-Shot, arXiv 2504.01020)?"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# How much meaning and the equality of verbs count.
SEMANTIC, VERB = 0.8, 0.2

# Embeddings of texts, (n, width) of unit length.
Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Actions:
    """Phrases of one action each, with the lemma of each one's verb and its particles."""

    phrases: list[str]
    verbs: list[str]


def pieces(sentence: str) -> list[str]:
    """The parts of a sentence between stops, semicolons and commas, each ended by a stop."""
    return [f"{part.strip()}." for part in re.split("[.;,]", sentence) if part.strip()]


def candidates(generated: str, actions: Actions) -> list[str]:
    """What may tell an action: the phrases, the whole sentence, its pieces; each once."""
    return list(dict.fromkeys([*actions.phrases, generated, *pieces(generated)]))


def action_scores(reference: Actions, generated: str, actions: Actions, embed: Embed) -> np.ndarray:
    """How well each action of the reference is told by a generated sentence with its actions, (m,), at most 1.

    0.8 of the cosine with the nearest candidate, and 0.2 of that with the nearest phrase whose verb is the same.
    A reference without actions, or a generated sentence without words, has no score.
    """
    if not reference.phrases or not generated.strip():
        return np.zeros(0)
    true = embed(reference.phrases)
    semantic = (true @ embed(candidates(generated, actions)).T).max(1)
    if not actions.phrases:
        return SEMANTIC * semantic
    same = np.array([[verb == own for own in actions.verbs] for verb in reference.verbs])
    verb = (same * (true @ embed(actions.phrases).T)).max(1)
    return SEMANTIC * semantic + VERB * verb


def action_score(rows: Sequence[np.ndarray]) -> float:
    """The score of a set from its rows' action scores, as published: rows without any do not count, and 0.25 to
    0.75 is spread over 0 to 1. Not a number for no row."""
    means = [row.mean() for row in rows if len(row)]
    return round((round(float(np.mean(means)), 5) - 0.25) * 2, 4) if means else float("nan")
