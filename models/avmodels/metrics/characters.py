"""Are the right characters found or named?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import regex


@dataclass(frozen=True)
class Found:
    """Right, wrong and missed characters over a set, and which name stood for which: {(true, said): times}."""

    right: int
    wrong: int
    missed: int
    confused: Counter[tuple[str, str]]

    @property
    def precision(self) -> float:
        """The share of what was said that is right; not a number where nothing was said."""
        return ratio(self.right, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """The share of what is true that was said; not a number where nobody is there."""
        return ratio(self.right, self.right + self.missed)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return ratio(2 * self.right, 2 * self.right + self.wrong + self.missed)


def ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def found(said: Sequence[set[str]], true: Sequence[set[str]]) -> Found:
    """Counts characters over samples; a wrong name is one too many and one missed.

    Where one wrong name stands in the place of one missed, the two are confused.
    """
    right = wrong = missed = 0
    confused: Counter[tuple[str, str]] = Counter()
    for ours, theirs in zip(said, true, strict=True):
        right += len(ours & theirs)
        wrong += len(ours - theirs)
        missed += len(theirs - ours)
        if len(ours - theirs) == len(theirs - ours) == 1:
            confused[min(theirs - ours), min(ours - theirs)] += 1
    return Found(right, wrong, missed, confused)


def named(sentence: str, cast: Mapping[str, Sequence[str]]) -> set[str]:
    """Who of the cast a sentence names. `cast` gives each one's spellings: the name itself and its aliases."""
    return {
        member
        for member, spellings in cast.items()
        if any(regex.search(rf"(?<!\w){regex.escape(spelling)}(?!\w)", sentence) for spelling in spellings)
    }
