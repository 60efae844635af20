"""How near generated sentences are to references: CIDEr, ROUGE-L and BLEU of the COCO caption kit.

All take sentences as `ptb.tokenize` gives them, tokens joined by single spaces, and for each generated sentence
one reference or several. Audio-description papers print CIDEr and ROUGE-L times 100.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np

from avmodels.errors import DataError

ORDERS = 4
Grams = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class Scores:
    """A metric of a whole corpus and of each of its sentences, (n,)."""

    corpus: float
    each: np.ndarray


def grams(words: Sequence[str], order: int) -> Grams:
    """How often each n-gram of an order occurs."""
    return Counter(zip(*(words[first:] for first in range(order)), strict=False))


def document_frequencies(references: Iterable[Sequence[str]]) -> list[Grams]:
    """In how many samples' references each n-gram occurs, for the orders 1 to 4."""
    frequencies: list[Grams] = [Counter() for _ in range(ORDERS)]
    for texts in references:
        for order, counts in enumerate(frequencies, 1):
            counts.update({gram for text in texts for gram in grams(text.split(), order)})
    return frequencies


def cider(generated: Sequence[str], references: Sequence[Sequence[str]], sigma: float = 6.0) -> Scores:
    """CIDEr-D of a corpus, 10 for perfect long sentences (Vedantam et al., arXiv 1411.5726; the COCO kit's form).

    An n-gram weighs the less the more samples' references have it, so that values of different corpora are not
    comparable, and a corpus of one sample has 0. Raises DataError where the lists differ in length.
    """
    check(generated, references)
    frequencies, samples = document_frequencies(references), log(max(len(references), 1))

    def weighed(text: str) -> list[dict[tuple[str, ...], float]]:
        words = text.split()
        return [
            {
                gram: count * (samples - log(max(known[gram], 1)))
                for gram, count in grams(words, order).items()
            }
            for order, known in enumerate(frequencies, 1)
        ]

    def score(text: str, texts: Sequence[str]) -> float:
        own, length = weighed(text), bigrams(text)
        total = 0.0
        for reference in texts:
            near = sum(map(clipped_cosine, own, weighed(reference))) / ORDERS
            total += near * exp(-((length - bigrams(reference)) ** 2) / (2 * sigma**2))
        return 10 * total / len(texts)

    return averaged(score(*pair) for pair in zip(generated, references, strict=True))


def clipped_cosine(own: dict[tuple[str, ...], float], reference: dict[tuple[str, ...], float]) -> float:
    """The cosine of two weighed sentences, no n-gram of the first counting more than it does in the second."""
    product = sum(
        min(weight, reference[gram]) * reference[gram] for gram, weight in own.items() if gram in reference
    )
    norms = sqrt(sum(weight**2 for weight in own.values()) * sum(weight**2 for weight in reference.values()))
    return product / norms if norms else 0.0


def bigrams(text: str) -> int:
    """The length of a sentence as CIDEr takes it."""
    return max(len(text.split()) - 1, 0)


def rouge_l(generated: Sequence[str], references: Sequence[Sequence[str]], beta: float = 1.2) -> Scores:
    """ROUGE-L, at most 1: F of the longest common subsequence (Lin 2004; the COCO kit's form).

    Of several references the best precision and the best recall count, be they of different ones. Raises
    DataError where the lists differ in length.
    """
    check(generated, references)

    def score(text: str, texts: Sequence[str]) -> float:
        # An empty sentence counts as one empty word.
        words, others = text.split(" "), [reference.split(" ") for reference in texts]
        common = [common_subsequence(words, other) for other in others]
        precision = max(common) / len(words)
        recall = max(length / len(other) for length, other in zip(common, others, strict=True))
        if not precision or not recall:
            return 0.0
        return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)

    return averaged(score(*pair) for pair in zip(generated, references, strict=True))


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for place, there in enumerate(other, 1):
            above = row[place]
            row[place] = before + 1 if word == there else max(above, row[place - 1])
            before = above
    return row[-1]


def bleu(generated: Sequence[str], references: Sequence[Sequence[str]]) -> list[Scores]:
    """BLEU-1 to BLEU-4, at most 1 (Papineni et al. 2002; the COCO kit's form).

    The reference nearest in length counts for brevity, of two equally near the shorter. Raises DataError where
    the lists differ in length.
    """
    check(generated, references)
    # Per sentence: right n-grams and all n-grams of every order, words, words of the nearest reference.
    right = np.zeros((len(generated), ORDERS))
    guessed = np.zeros((len(generated), ORDERS))
    lengths = np.zeros((len(generated), 2))
    for number, (text, texts) in enumerate(zip(generated, references, strict=True)):
        words, others = text.split(), [reference.split() for reference in texts]
        nearest = min((abs(len(other) - len(words)), len(other)) for other in others)[1]
        lengths[number] = len(words), nearest
        for order in range(1, ORDERS + 1):
            allowed: Grams = Counter()
            for other in others:
                allowed |= grams(other, order)
            right[number, order - 1] = (grams(words, order) & allowed).total()
            guessed[number, order - 1] = max(len(words) - order + 1, 0)
    corpus = bleu_of(right.sum(0), guessed.sum(0), lengths.sum(0))
    each = bleu_of(right, guessed, lengths)
    return [Scores(float(corpus[order]), each[:, order]) for order in range(ORDERS)]


def bleu_of(right: np.ndarray, guessed: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """BLEU-1 to BLEU-4 (..., 4) of right and guessed n-grams (..., 4), and words here and in references (..., 2)."""
    tiny, small = 1e-15, 1e-9
    precisions = (right + tiny) / (guessed + small)
    means = np.cumprod(precisions, axis=-1) ** (1 / np.arange(1, ORDERS + 1))
    ratio = (lengths[..., :1] + tiny) / (lengths[..., 1:] + small)
    return means * np.exp(np.minimum(1 - 1 / ratio, 0))


def averaged(values: Iterable[float]) -> Scores:
    """Sentences' values and their mean, 0 for none."""
    each = np.array(list(values), np.float64)
    return Scores(float(each.mean()) if len(each) else 0.0, each)


def check(generated: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Raises DataError unless every generated sentence has a reference."""
    if len(generated) != len(references):
        raise DataError(f"{len(generated)} generated sentences, but references for {len(references)}")
    for number, texts in enumerate(references):
        if isinstance(texts, str) or not texts:
            raise DataError(f"sample {number} has no list of references")
