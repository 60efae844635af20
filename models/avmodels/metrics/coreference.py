"""Who is meant in a text, by rules: names and aliases, and pronouns for whoever of that pronoun was named last.

For CRITIC without a coreference model's weights; its numbers are then not those of papers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import regex

from avmodels.metrics.critic import Clusters

PRONOUNS = {"he": "he", "him": "he", "his": "he", "she": "she", "her": "she", "hers": "she"}


@dataclass(frozen=True)
class Rules:
    """`spellings` of each member of a cast, the name itself among them, and each one's pronoun, where it is known."""

    spellings: Mapping[str, Sequence[str]]
    pronouns: Mapping[str, str]

    def __call__(self, text: str) -> Clusters:
        """The mentions of each member that has any, a cluster each, in the order of the cast."""
        owners = {spelling: name for name, spellings in self.spellings.items() for spelling in spellings}
        names = "|".join(regex.escape(one) for one in sorted(owners, key=len, reverse=True))
        found: dict[str, list[tuple[int, int]]] = {name: [] for name in self.spellings}
        last: dict[str, str] = {}
        pattern = (
            rf"(?<!\w)(?:(?P<name>{names})|(?P<pronoun>{'|'.join(PRONOUNS)}))(?!\w)" if names else r"(?!)"
        )
        for match in regex.finditer(pattern, text, regex.IGNORECASE):
            word = match[0]
            if word in owners:
                owner = owners[word]
                last[self.pronouns.get(owner, "")] = owner
            else:
                owner = last.get(PRONOUNS.get(word.lower(), "-"))
            if owner:
                found[owner].append(match.span())
        return [mentions for mentions in found.values() if mentions]
