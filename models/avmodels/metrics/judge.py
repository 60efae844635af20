"""LLM-AD-eval: a language model judges how well a description matches the reference (AutoAD III, arXiv 2404.14412)."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avmodels.errors import WeightsError

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


# Tokens of an answer, at most: {'score': 3} and some room.
ANSWER = 24


def judge_in(folder: Path) -> Callable[[str, str], str]:
    """A language model of the transformers library that answers what it is asked, always the same.

    Raises WeightsError where the folder holds none.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        words: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="auto").eval()
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{folder} holds no language model of the transformers library: {error}"
        ) from error

    @torch.inference_mode()
    def ask(system: str, question: str) -> str:
        talk = [{"role": "system", "content": system}, {"role": "user", "content": question}]
        if words.chat_template:
            text = words.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
        else:
            text = f"{system}\n\n{question}\n"
        inputs = words(text, return_tensors="pt", add_special_tokens=not words.chat_template)
        ids = inputs.input_ids.to(model.device)
        made = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=ANSWER,
            do_sample=False,
            pad_token_id=words.pad_token_id or words.eos_token_id or 0,
        )
        return words.decode(made[0, ids.shape[1] :], skip_special_tokens=True)

    return ask
