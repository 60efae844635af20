"""The byte-pair tokens of OpenAI's CLIP (arXiv 2103.00020; byte-pair encoding: arXiv 1508.07909)."""

from __future__ import annotations

import gzip
import html
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise

import regex
import torch
from torch import Tensor

CONTEXT = 77
START, END = 49406, 49407
VOCABULARY = 49408

SPECIAL = {"<|startoftext|>": START, "<|endoftext|>": END}
# What marks the last piece of a word.
LAST = "</w>"
# Special tokens, English endings, runs of letters, single digits, runs of everything else that is not space.
WORDS = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+",
    regex.IGNORECASE,
)


def tokenize(texts: Iterable[str], context: int = CONTEXT) -> Tensor:
    """Texts -> (n, context) int64: start, the text, end, then zeros; a longer text is cut, its last id the end."""
    rows = []
    for text in texts:
        row = [START, *encode(text), END]
        if len(row) > context:
            row = [*row[: context - 1], END]
        rows.append(row + [0] * (context - len(row)))
    return torch.tensor(rows, dtype=torch.int64).view(-1, context)


def encode(text: str) -> list[int]:
    """The ids of a text of any length, without start and end."""
    return [token for word in WORDS.findall(clean(text)) for token in word_ids(word)]


def clean(text: str) -> str:
    """The text in lower case with broken encodings and HTML entities mended and spaces single."""
    if not (text.isascii() and text.isprintable() and "&" not in text):
        # The mending leaves such plain text alone, which most captions are.
        from ftfy import fix_text

        text = html.unescape(html.unescape(fix_text(text)))
    return regex.sub(r"\s+", " ", text.strip()).strip().lower()


@lru_cache(maxsize=1 << 17)
def word_ids(word: str) -> tuple[int, ...]:
    """The ids of one word: its bytes, the neighbours that were merged first in training joined first."""
    if word in SPECIAL:
        return (SPECIAL[word],)
    ids, ranks = vocabulary()
    letters = byte_letters()
    pieces = [letters[byte] for byte in word.encode()]
    pieces[-1] += LAST
    while len(pieces) > 1:
        best = min(pairwise(pieces), key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        pieces = join(pieces, best)
    return tuple(ids[piece] for piece in pieces)


def join(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """The pieces with every occurrence of the pair made one, from the left."""
    joined: list[str] = []
    at = 0
    while at < len(pieces):
        found = tuple(pieces[at : at + 2]) == pair
        joined.append(pieces[at] + pieces[at + 1] if found else pieces[at])
        at += 2 if found else 1
    return joined


@cache
def vocabulary() -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """The id of every piece, and the rank of every merge."""
    with gzip.open(
        files("avmodels.nn").joinpath("clip_merges.txt.gz").open("rb"), "rt", encoding="utf-8"
    ) as file:
        next(file)  # says whose they are
        merges = [tuple(line.split()) for line in file]
    letters = list(byte_letters().values())
    pieces = [*letters, *(letter + LAST for letter in letters), *("".join(pair) for pair in merges)]
    ranks = {(first, second): rank for rank, (first, second) in enumerate(merges)}
    return {piece: number for number, piece in enumerate(pieces)}, ranks


@cache
def byte_letters() -> dict[int, str]:
    """A visible letter for every byte, in the order of the first ids: Latin-1's own where it has one."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + k) for k, byte in enumerate(hidden)}
