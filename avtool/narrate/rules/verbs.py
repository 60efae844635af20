"""Just enough English morphology to tell a past tense from a participle, and a present verb from a plural."""

from __future__ import annotations

import re
from functools import cache

from avtool.narrate.lexicon import english
from avtool.pronunciation import known

SUBJECTS: frozenset[str] = english()["subjects"]
QUANTITIES: frozenset[str] = english()["quantities"]
DETERMINERS: frozenset[str] = english()["determiners"] | QUANTITIES
OBJECTS: frozenset[str] = english()["objects"]
PRESENT: frozenset[str] = english()["present"]
WERE = frozenset({"was", "were", "wasn't", "weren't"})


@cache
def irregular() -> tuple[dict[str, str], dict[str, str], frozenset[str]]:
    """Irregular verbs: pasts that are nothing else, pasts that are participles too (each to its base form), and
    verbs whose past is their base form."""
    only_past: dict[str, str] = {}
    participles: dict[str, str] = {}
    same: set[str] = set()
    for base, forms in english()["irregular"].items():
        past, participle = forms.split()
        if past == base:
            same.add(base)
        elif past == participle:
            participles[past] = base
        else:
            only_past[past] = base
    return only_past, participles, frozenset(same)


@cache
def past_participles() -> frozenset[str]:
    """Participles of irregular verbs."""
    return frozenset(forms.split()[1] for forms in english()["irregular"].values())


def is_ed(word: str) -> bool:
    """Whether `word` may be the past or participle of a regular verb."""
    return (
        len(word) > 3
        and word.endswith("ed")
        and word not in english()["not_past"]
        and (not word.endswith("eed") or word in ("agreed", "freed", "guaranteed"))
        and re.search("[aeiouy]", word[:-2]) is not None
    )


def is_participle(word: str) -> bool:
    return is_ed(word) or word in past_participles()


def looks_present(word: str) -> bool:
    """Whether `word` has the form of a verb in the third person present ("walks"); plural nouns have it too."""
    return (
        len(word) > 2
        and re.search(r"[^su'’i]s$|[^s]is$|oes$", word) is not None
        and word not in english()["not_verb"]
    )


def base_form(past: str) -> str | None:
    """The base form of a past tense: "went" -> "go", "stopped" -> "stop", "smiled" -> "smile"."""
    only_past, participles, _ = irregular()
    if past in only_past or past in participles:
        return only_past.get(past) or participles.get(past)
    if not is_ed(past):
        return None
    stem = past[:-2]
    if stem.endswith("i"):
        return stem[:-1] + "y"
    if len(stem) > 2 and stem[-1] == stem[-2]:
        forms = [stem, stem[:-1]] if stem[-1] in "slz" else [stem[:-1]]
    else:
        forms = [stem, stem + "e"] if _complete(stem) else [stem + "e", stem]
    return next((form for form in forms if known(form)), forms[0])


def _complete(stem: str) -> bool:
    """Whether a stem looks like a base form: "walk" and "open" do, "smil", "chang" and "settl" do not."""
    if re.search(r"[^aeiou]l$|(?:[lnr]|^|[aeiou])[cs]$|[vzu]$|[dnr]g$", stem):
        return False
    return re.search(r"[^aeiou]{2}$|[aeiou]{2}[^aeiou]$|[wxyho]$|(?:e[lnrt]|it|o[nr])$", stem) is not None


def third_person(base: str) -> str:
    """ "go" -> "goes", "watch" -> "watches", "carry" -> "carries"."""
    if base in ("be", "have"):
        return {"be": "is", "have": "has"}[base]
    if re.search(r"(?:[sxz]|[cs]h|o)$", base):
        return base + "es"
    return base[:-1] + "ies" if re.search(r"[^aeiou]y$", base) else base + "s"
