"""AD202 to AD205, AD210 to AD213, AD215 to AD217: which words a description uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from avtool.narrate import pace, phrases
from avtool.narrate.lexicon import wording
from avtool.narrate.rules.script import Hit, Rule, Script, prose, sentences
from avtool.narrate.rules.verbs import third_person
from avtool.timeline import Description

LONG = 20  # words without a full stop (AD212)
SHOUTED = re.compile(r"\b[A-Z]{6,}\b|\b[A-Z]{2,}(?: [A-Z]{2,})+\b")  # shorter ones may be acronyms (AD215)


@cache
def pattern(name: str) -> re.Pattern[str]:
    """The patterns of that name in wording.toml as one expression."""
    return re.compile("|".join(f"(?:{one})" for one in wording()[name]), re.IGNORECASE)


def _found(script: Script, name: str, message: str) -> Iterator[tuple[Description, str, Hit]]:
    """Cues whose own words match a list: the cue, what matched, the hit ({} in `message` is what matched)."""
    for cue in script.cues:
        if match := pattern(name).search(prose(cue.text)):
            yield cue, match[0], Hit(message.format(match[0].strip()), cue)


def speaks_of_the_viewer(script: Script) -> Iterator[Hit]:
    """AD202: first or second person for the viewer: an error where it is "we see", else a warning."""
    for cue, _, hit in _found(script, "viewer", "“{}” speaks of the viewer; describe in the third person"):
        sees = pattern("we_see").search(prose(cue.text))
        fix = None
        if sees and sees.start() == 0 and (rest := cue.text[sees.end() :].strip()):
            fix = phrases.sentence(rest)
        yield Hit(hit.message, cue, fix=fix, severity="E" if sees else "W")


def speaks_of_the_film(script: Script) -> Iterator[Hit]:
    """AD203: words of camera and editing, unless the settings allow film terms."""
    if not script.settings.film_terms:
        for *_, hit in _found(script, "film_terms", "“{}” is about the film, not what it shows"):
            yield hit


def interprets(script: Script) -> Iterator[Hit]:
    """AD204: a motive or an emotion without its visible sign."""
    for *_, hit in _found(script, "interpretation", "“{}” cannot be seen; describe face or gesture"):
        yield hit


def hedges(script: Script) -> Iterator[Hit]:
    """AD205: "seems to", "appears to"."""
    for cue, words, hit in _found(script, "hedges", "“{}”: say what is seen, or nothing"):
        yield Hit(hit.message, cue, fix=_without_hedge(cue.text, words))


def _without_hedge(text: str, words: str) -> str | None:
    """ "Ann seems to sleep" -> "Ann sleeps"."""
    verb = re.search(rf"{re.escape(words.strip())} (?:be )?([a-z]+)", text)
    if not re.fullmatch(r"(?:seem|appear)s to", words.strip()) or verb is None:
        return None
    present = f"is {verb[1]}" if " be " in verb[0] else third_person(verb[1])
    return text.replace(verb[0], present, 1)


def appearance_of_one(script: Script) -> Iterator[Hit]:
    """AD210: race, skin, disability, weight or age; only the cast file may say so, and then of all alike."""
    given = " ".join(one.label or "" for one in script.cast.cast).lower() if script.cast else ""
    for _, words, hit in _found(script, "appearance", "“{}”: say it of all main characters or of none"):
        if words.lower() not in given:
            yield hit


def judges(script: Script) -> Iterator[Hit]:
    """AD211: an offensive or judging word."""
    for *_, hit in _found(script, "judgement", "“{}” judges; describe what is there"):
        yield hit


def hard_to_follow(script: Script) -> Iterator[Hit]:
    """AD212: more than one subordinate clause, or over 20 words without a full stop."""
    for cue in script.cues:
        for sentence in sentences(prose(cue.text)):
            count = pace.words(sentence)
            clauses = len(pattern("subordinate").findall(sentence))
            if count > LONG:
                yield Hit(f"{count} words without a full stop; make two sentences", cue)
                break
            if clauses > 1:
                yield Hit(f"{clauses} subordinate clauses in one sentence", cue)
                break


def directions_of_the_screen(script: Script) -> Iterator[Hit]:
    """AD213: left and right of the screen instead of relative to people and things."""
    for *_, hit in _found(script, "screen_directions", "“{}”: say it relative to people or things"):
        yield hit


def unspeakable(script: Script) -> Iterator[Hit]:
    """AD215: what a voice stumbles over: digits, symbols, emoji, web addresses, capitals. Read-out text is left."""
    for cue in script.cues:
        own = prose(cue.text)
        if match := pattern("unspeakable").search(own):
            yield Hit(f"“{match[0].strip()}”: write it as it is spoken", cue, fix=_spoken(cue.text))
        elif match := SHOUTED.search(own):
            yield Hit(f"“{match[0]}” is in capitals: a voice may spell it out", cue)


def _spoken(text: str) -> str | None:
    """`text` with its whole numbers and symbols in words; None where that leaves something."""
    if prose(text) != text:
        return None  # read-out text keeps its digits
    number = r"(?<![\w.,:/$£€#-])\d{1,4}(?![\w:/-]|[.,]\d)"
    spoken = re.sub(number, lambda match: pace.read_out(match[0]), text)
    for symbol in "&%+@":
        spoken = spoken.replace(symbol, f" {pace.SYMBOLS[symbol]} ")
    spoken = " ".join(spoken.split())
    return None if pattern("unspeakable").search(spoken) else spoken[0].upper() + spoken[1:]


def leaks(script: Script) -> Iterator[Hit]:
    """AD216: traces of a generator: markup, refusals, talk of the clip, another language than the settings'."""
    for cue in script.cues:
        if match := pattern("leaks").search(prose(cue.text)):
            yield Hit(
                f"“{match[0].strip()}” is left over from a generator", cue, fix=_without_markup(cue.text)
            )
        elif other := foreign(cue.text, script.settings.language):
            yield Hit(f"is written in {other}, not in {script.settings.language}", cue)


def _without_markup(text: str) -> str | None:
    plain = re.sub(r"\*\*|__|^#+\s+|^\*\s+|`+|</?\w+>", "", text).strip()
    return None if not plain or pattern("leaks").search(plain) else plain


def foreign(text: str, language: str) -> str | None:
    """The language `text` is in by its function words, if surely none of `language`; None otherwise."""
    wanted = language.split("-")[0].lower()
    functions = wording()["functions"]
    if wanted not in functions:
        return None
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", prose(text))]
    letters = [char for word in words for char in word]
    if len(letters) > 5 and sum(char > "\u024f" for char in letters) > len(letters) / 2:
        return "another script"
    counts = {tongue: len(set(words) & set(list_)) for tongue, list_ in functions.items()}
    best = max(counts, key=lambda tongue: counts[tongue])
    return best if counts[best] >= 3 and counts[wanted] == 0 else None


def censors(script: Script) -> Iterator[Hit]:
    """AD217: violence or sex on the screen censored or softened."""
    for cue in script.cues:
        if match := pattern("censoring").search(cue.text):
            yield Hit(f"“{match[0].strip()}” withholds what is shown; say it plainly", cue)


WORDING = (
    Rule("AD202", "W", "DCMP", speaks_of_the_viewer, english=True),
    Rule("AD203", "W", "NFX 5.2, ITC", speaks_of_the_film, english=True),
    Rule("AD204", "W", "DCMP", interprets, english=True),
    Rule("AD205", "W", "professional AD measured", hedges, english=True),
    Rule("AD210", "W", "NFX", appearance_of_one, english=True),
    Rule("AD211", "W", "ITC 3.8", judges, english=True),
    Rule("AD212", "W", "ADI", hard_to_follow, english=True),
    Rule("AD213", "W", "DCMP", directions_of_the_screen, english=True),
    Rule("AD215", "W", "avtool", unspeakable, english=True),
    Rule("AD216", "E", "avtool", leaks),
    Rule("AD217", "E", "NFX 1.3, ITC 4.11", censors, english=True),
)
