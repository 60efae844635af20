"""AD207 to AD209 and AD218: what the listener knows already, and what is not to be known yet."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rapidfuzz import fuzz

from avtool.narrate import naming
from avtool.narrate.lexicon import english
from avtool.narrate.rules.script import Hit, Rule, Script, microseconds, prose
from avtool.narrate.rules.verbs import DETERMINERS, SUBJECTS, looks_present
from avtool.narrate.rules.wording import pattern
from avtool.timeline import SECOND, Description, Film, clock

if TYPE_CHECKING:
    from avtool.cast import CastMember

SAME = 90  # similarity, of 100, from which two texts tell the same
HEARD = 25 * SECOND  # dialogue as near as that is remembered (AD207)
REACH = 2  # cues back that a pronoun reaches (AD208)
PRONOUN = re.compile(r"\b(?:he|she|him|his|hers?)\b", re.IGNORECASE)
PRONOUNS = {"he": "he", "him": "he", "his": "he", "she": "she", "her": "she", "hers": "she"}
CONTENT = 3  # words of content from which a cue says something that dialogue can have said


def repeats(script: Script) -> Iterator[Hit]:
    """AD207: tells again what one of the last 5 cues (`repeat_window`) told, or what is said within 25 s."""
    said = [(one.span, _content(one.text)) for one in script.film.speech] if script.film else []
    longest = max((span.duration for span, _ in said), default=0)
    said.sort(key=lambda one: one[0])
    for at, cue in enumerate(script.cues):
        before = script.cues[max(0, at - script.settings.repeat_window) : at]
        near = cue.span.grow(HEARD, HEARD)
        first = bisect_left(said, near.start - longest, key=lambda one: one[0].start)
        last = bisect_left(said, near.end, key=lambda one: one[0].start)
        heard = set().union(*(words for span, words in said[first:last] if span.overlap(near)))
        content = _content(cue.text)
        if told := next((one for one in reversed(before) if _tells_the_same(one, cue)), None):
            yield Hit(f"tells again what was told at {clock(told.span.start)}", cue)
        elif len(content) >= CONTENT and content <= heard:
            yield Hit("tells what the dialogue says", cue)


def _content(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z']{3,}", text.lower()) if not _is_function(word)}


def _news(cue: Description) -> set[str]:
    """What a cue tells beside who is there."""
    return {fact.claim for fact in cue.facts if fact.kind != "who"}


def _tells_the_same(one: Description, other: Description) -> bool:
    news = _news(other)
    if news and _news(one):
        return news <= _news(one)
    return fuzz.ratio(one.text.lower(), other.text.lower()) >= SAME


def _is_function(word: str) -> bool:
    lists = english()
    return (
        word in lists["function_words"] or word in DETERMINERS or word in SUBJECTS or word in lists["objects"]
    )


def pronoun_without_person(script: Script) -> Iterator[Hit]:
    """AD208: "he" or "she" who is not the last person of that pronoun within 2 cues.

    Whose pronoun is whose only the cast file tells. Without it a pronoun is found that has nobody before it; with
    it also one that two people share who were named last.
    """
    names = _names(script)
    for at, cue in enumerate(script.cues):
        own = prose(cue.text)
        match = PRONOUN.search(own)
        if match is None:
            continue
        earlier = [prose(one.text) for one in script.cues[max(0, at - REACH) : at]]
        if not any(_has_person(text, names) for text in (*earlier, own)):
            yield Hit(f"“{match[0]}” has nobody named within {REACH} cues", cue)
        elif script.cast:
            before = (own[: match.start()], *reversed(earlier))
            last = next((text for text in before if _has_person(text, names)), "")
            named = [one for one in script.cast.cast if naming.mentions(one, last)]
            meant = [one.name for one in named if one.pronoun == PRONOUNS[match[0].lower()]]
            if len(meant) > 1:
                yield Hit(f"“{match[0]}” may be {' or '.join(meant)}", cue)


def _names(script: Script) -> set[str]:
    """Words that are names: capitals inside a sentence or before a verb, and what the cast file gives."""
    names = {name for one in script.cast.cast for name in naming.spoken_names(one)} if script.cast else set()
    for cue in script.cues:
        names.update(re.findall(r"(?<=[a-z,;] )[A-Z][\w'-]*[a-z]", cue.text))
        opening = re.match(r"([A-Z][a-z]+) ([a-z]+)", cue.text)
        if opening and looks_present(opening[2]) and not _is_function(opening[1].lower()):
            names.add(opening[1])
    return names


def _has_person(text: str, names: set[str]) -> bool:
    """Whether a name, a word in capitals (SOMEONE) or a word for a person is in `text`."""
    if pattern("person").search(text):
        return True
    words = re.findall(r"[\w'-]+", text)
    return any(word.removesuffix("'s") in names or (word.isupper() and len(word) > 3) for word in words)


def named_too_early(script: Script) -> Iterator[Hit]:
    """AD209: a name before it is known: by the cast file's `known_from` and, where `name_policy` is "introduced",
    by the film; with "never", any name. On-screen text may hold names."""
    for one in script.cast.cast if script.cast else ():
        known = _known(one, script)
        for cue in script.cues:
            if known is not None and cue.span.end >= known:
                break
            if cue.represents == "visual.nonText" and naming.mentions(one, prose(cue.text)):
                when = "never told" if known is None else f"not known before {clock(known)}"
                instead = _unnamed(cue.text, naming.spoken_names(one), one.label)
                yield Hit(f"“{one.name}” is {when}", cue, fix=instead)


def _known(one: CastMember, script: Script) -> int | None:
    """From when on the character may be named, None for never."""
    if script.settings.name_policy == "never":
        return None
    if script.settings.name_policy == "introduced" and script.film:
        return naming.known_at(one, script.film)
    return one.known_from or 0


def _unnamed(text: str, names: list[str], label: str | None) -> str:
    instead = label or "someone"
    for name in names:
        text = re.sub(rf"\b{re.escape(name)}\b", instead, text)
    return text[0].upper() + text[1:]


def spoils(script: Script) -> Iterator[Hit]:
    """AD218: tells what comes later, or names someone of the cast who has not been seen or heard of yet."""
    for cue in script.cues:
        if match := pattern("foretelling").search(prose(cue.text)):
            yield Hit(f"“{match[0]}” tells what comes later", cue)
    if script.film is None or script.cast is None:
        return
    for one in script.cast.cast:
        first = _first_met(one, script.film)
        until = 0 if first is None else first - microseconds(script.settings.early)
        for cue in script.cues:
            if cue.span.start >= until:
                break
            if cue.represents == "visual.nonText" and naming.mentions(one, prose(cue.text)):
                yield Hit(f"names {one.name}, first seen or heard of at {clock(first or 0)}", cue)


def _first_met(one: CastMember, film: Film) -> int | None:
    """When a character is first seen or named in `film`."""
    times = [sighting.span.start for sighting in film.sightings if sighting.name == one.name]
    named = naming.known_at(one, film)
    return min(times if named is None else [*times, named], default=None)


STORY = (
    Rule("AD207", "W", "NFX, ITC 3.5", repeats),
    Rule("AD208", "W", "ITC 3.7", pronoun_without_person, english=True),
    Rule("AD209", "E", "NFX 1.0", named_too_early),
    Rule("AD218", "W", "NFX 5.1", spoils, english=True),
)
