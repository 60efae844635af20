"""English grammar for what is perceived: articles, plurals, counts, lists, agreement, text read out."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from avtool.narrate import pace
from avtool.narrate.lexicon import english
from avtool.pronunciation import phones

CROWD = 6  # as many people are a crowd; fewer are counted


def article(noun: str) -> str:
    """`noun` with its indefinite article, by sound where the dictionary knows it: "an umbrella", "a unicorn"."""
    first = re.split(r"[ -]", noun)[0]
    sounds = phones(first)
    if first.isupper() and len(first) < 4:
        vowel = first[0] in "AEFHILMNORSX"  # spelled out: "an X-ray", "a TV"
    else:
        vowel = sounds[0][-1].isdigit() if sounds else first[0] in "aeiou"
    return f"{'an' if vowel else 'a'} {noun}"


def plural(noun: str) -> str:
    """The plural of a noun phrase: its last word in the plural."""
    *before, last = noun.split(" ")
    if last in english()["plurals"]:
        last = english()["plurals"][last]
    elif re.search(r"(?:[sxz]|[cs]h)$", last):
        last += "es"
    elif re.search(r"[^aeiou]y$", last):
        last = last[:-1] + "ies"
    else:
        last += "s"
    return " ".join([*before, last])


def things(label: str, count: int, attribute: str = "") -> str:
    """`count` objects of a class as the narration names them: "a potted plant", "two knives", "hay", "a red car"."""
    noun = english()["things"].get(label, label)
    if noun in english()["bare"]:
        return noun
    noun = f"{attribute} {noun}" if attribute else noun
    if count == 1:
        return noun if noun.startswith("a pair of") else article(noun)
    noun = plural(noun.removeprefix("a pair of "))
    return f"{pace.number(count)} {noun}" if count < CROWD else f"several {noun}"


def people(count: int) -> str:
    """`count` people nobody can name."""
    if count == 1:
        return "someone"
    return f"{pace.number(count)} people" if count < CROWD else "a crowd of people"


def others(count: int) -> str:
    """`count` more people, after those that were named."""
    if count == 1:
        return "someone else"
    return f"{pace.number(count)} others" if count < CROWD else "a crowd of people"


def join(parts: Sequence[str]) -> str:
    """A list as it is said: "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def agree(verb: str) -> str:
    """A verb phrase of one person, said of several: "raises a hand" -> "raise a hand"."""
    first, *rest = verb.split(" ")
    if first in (irregular := {"is": "are", "has": "have", "does": "do", "goes": "go"}):
        first = irregular[first]
    elif re.search(r"(?:[sxz]|[cs]h)es$", first):
        first = first[:-2] if not re.search(r"(?:o|[^s]s|z)es$", first) else first[:-1]
    elif first.endswith("ies") and len(first) > 4:
        first = first[:-3] + "y"
    else:
        first = first.removesuffix("s")
    return " ".join([first, *rest])


def own(verb: str, pronoun: str | None) -> str:
    """A part of the body is someone's: "closes the eyes" -> "closes her eyes", "their" where nothing is known."""
    whose = {"he": "his", "she": "her"}.get(pronoun or "", "their")
    return re.sub(r"\bthe (eyes|head|arms?|hands?|face|mouth|legs?)\b", rf"{whose} \1", verb)


def sentence(text: str) -> str:
    """`text` with a capital and a full stop."""
    text = text[0].upper() + text[1:]
    return text if re.search(r"[.!?…][\"”’)]*$", text) else text + "."


def read_out(text: str) -> str:
    """On-screen text for the voice: on one line, words in capitals as words, acronyms as they are."""
    text = " ".join(text.split())
    return " ".join(_spoken_case(word) for word in text.split(" "))


def _spoken_case(word: str) -> str:
    letters = re.sub(r"[^\w]|[\d_]", "", word)
    if len(letters) < 2 or not letters.isupper() or letters in english()["acronyms"]:
        return word
    if not re.search("[AEIOUY]", letters):
        return word  # can only be spelled
    return "-".join(string.capwords(part) for part in word.split("-"))
