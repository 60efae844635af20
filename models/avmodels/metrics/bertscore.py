"""BERTScore: words matched by their embeddings (arXiv 1904.09675), for one pair or all pairs of a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avmodels.errors import WeightsError

# What unrelated English sentences reach with roberta-large, layer 17: precision, recall, F1.
BASELINE = (0.83150584, 0.8314941, 0.83122575)
LAYER = 17


def match(generated: Tensor, reference: Tensor) -> np.ndarray:
    """Precision, recall and F1 of one pair from embeddings (tokens, width) of unit length.

    The first and last token are the special ones: they may be matched, but do not count. A sentence without
    a word scores 0.
    """
    if len(generated) <= 2 or len(reference) <= 2:
        return np.zeros(3)
    near = generated @ reference.T
    precision = float(near.amax(1)[1:-1].mean())
    recall = float(near.amax(0)[1:-1].mean())
    both = precision + recall
    return np.array([precision, recall, 2 * precision * recall / both if both else 0.0])


def rescaled(scores: np.ndarray, baseline: Sequence[float] = BASELINE) -> np.ndarray:
    """Scores (..., 3) spread so that unrelated sentences have about 0."""
    floor = np.asarray(baseline)
    return (scores - floor) / (1 - floor)


@dataclass(frozen=True)
class Encoder:
    """A language model whose hidden states of one layer embed tokens."""

    model: Any
    tokenizer: Any
    layer: int = LAYER

    @torch.no_grad()
    def __call__(self, sentences: Sequence[str], batch: int = 64) -> list[Tensor]:
        """Every sentence's embeddings, (tokens, width) of unit length, special tokens first and last."""
        found: list[Tensor] = []
        for start in range(0, len(sentences), batch):
            # Byte-pair tokens of a word differ by whether a space goes before: here always.
            texts = [f" {sentence.strip()}" for sentence in sentences[start : start + batch]]
            inputs = self.tokenizer(texts, return_tensors="pt", padding=True, truncation=True).to(
                self.model.device
            )
            states = self.model(**inputs, output_hidden_states=True).hidden_states[self.layer]
            states = torch.nn.functional.normalize(states.float(), dim=-1)
            lengths = inputs["attention_mask"].sum(1).tolist()
            found += [row[:length] for row, length in zip(states, lengths, strict=True)]
        return found


def encoder(folder: Path, layer: int = LAYER) -> Encoder:
    """The model in a folder of the transformers library. Raises WeightsError where there is none.

    Only roberta-large with layer 17 gives the numbers that papers print.
    """
    from transformers import AutoModel, AutoTokenizer

    try:
        model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder} holds no model of the transformers library: {error}") from error
    return Encoder(model, tokenizer, layer)


def similarities(
    generated: Sequence[str], references: Sequence[str], encode: Encoder, neighbours: int
) -> np.ndarray:
    """Rescaled F1 of every generated sentence with every reference less than `neighbours` away, (n, n).

    Sentences further apart, which no window of so many holds together, have minus infinity. Every sentence is
    encoded once.
    """
    ours, theirs = encode(generated), encode(references)
    found = np.full((len(ours), len(theirs)), -np.inf)
    for row, own in enumerate(ours):
        for column in range(max(0, row - neighbours + 1), min(len(theirs), row + neighbours)):
            found[row, column] = rescaled(match(own, theirs[column]))[2]
    return found
