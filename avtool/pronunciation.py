"""How English words sound, by the CMU Pronouncing Dictionary 0.7b (its BSD licence heads the file).

The dictionary is read here because the packages that carry it are GPL.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files

DICTIONARY = "cmudict-0.7b.gz"


def phones(word: str) -> list[str]:
    """The ARPAbet phones of `word`, vowels with their stress: ["K", "AE1", "T"]; none where it is not known."""
    return _dictionary().get(word.upper(), "").split()


def known(word: str) -> bool:
    """Whether `word` is one of the 124 000 English words and names of the dictionary."""
    return word.upper() in _dictionary()


def syllables(word: str) -> int:
    """How many syllables `word` has; 0 where it is not known."""
    return sum(phone[-1].isdigit() for phone in phones(word))


@cache
def _dictionary() -> dict[str, str]:
    """Words in capitals, each with the first of its pronunciations. Reading takes a quarter of a second."""
    packed = files("avtool").joinpath(DICTIONARY).read_bytes()
    lines = gzip.decompress(packed).decode("latin-1").splitlines()
    entries = (line.partition("  ") for line in lines if not line.startswith(";;;"))
    return {word: sounds for word, _, sounds in entries if not word.endswith(")")}
