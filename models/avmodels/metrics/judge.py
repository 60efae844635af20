"""LLM-AD-eval: a language model judges how well a description matches the reference (AutoAD III, arXiv 2404.14412)."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

SPECIAL = ("<s>", "</s>")

# Ours: papers' judges were asked in other words, and their numbers are not comparable.
SYSTEM = (
    "You judge audio description. You compare a predicted description of a film clip with the correct one. Ask "
    "whether both tell the same main visual events: verbs and nouns matter most, then details. Synonyms, "
    "paraphrases, pronouns in place of names, and other names for a character count as the same."
)
QUESTION = (
    "Correct description: {reference}\nPredicted description: {generated}\n"
    "How well do they match, from 0 (nothing in common) to 5 (the same)? "
    "Answer only with a Python dictionary that has the key 'score', for example {{'score': 2}}."
)


@dataclass(frozen=True)
class Judged:
    """The mean score, 0 to 5, each answer's score (not a number where it has none), and how many have none."""

    mean: float
    each: np.ndarray
    unparsable: int


def parse(answer: str) -> float | None:
    """The score in an answer, None unless the answer is a dictionary with a number under `score` and nothing else."""
    for token in SPECIAL:
        answer = answer.replace(token, "")
    try:
        score = ast.literal_eval(answer.strip())["score"]
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, MemoryError, RecursionError):
        return None
    return float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None


def mean_score(answers: Sequence[str], missing: float | None = None) -> Judged:
    """The answers' scores. An answer without one is left out of the mean, or counts `missing`.

    The published LLaMA judge counts it 0, the GPT judge leaves it out.
    """
    scores = np.array([np.nan if (score := parse(answer)) is None else score for answer in answers])
    counted = scores[~np.isnan(scores)] if missing is None else np.nan_to_num(scores, nan=missing)
    return Judged(float(counted.mean()) if len(counted) else np.nan, scores, int(np.isnan(scores).sum()))


def judge(generated: Sequence[str], references: Sequence[str], ask: Callable[[str, str], str]) -> Judged:
    """What a language model says of each pair; `ask(system, question)` returns its answer."""
    questions = [
        QUESTION.format(generated=ours, reference=theirs)
        for ours, theirs in zip(generated, references, strict=True)
    ]
    return mean_score([ask(SYSTEM, question) for question in questions])
