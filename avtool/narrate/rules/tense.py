"""AD201, AD206 and AD214: the verb. Present tense, active voice, and a verb at all.

No tagger: a tagger that is right in 97 of 100 words is wrong in every fifth sentence, and a false alarm about
a professional's "A man dressed in black" is worse than a past tense that slips through. The rules below speak
only where form and place leave one reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from avtool.narrate import pace
from avtool.narrate.lexicon import english
from avtool.narrate.rules.script import Hit, Rule, Script, prose, sentences
from avtool.narrate.rules.verbs import (
    DETERMINERS,
    OBJECTS,
    PRESENT,
    QUANTITIES,
    SUBJECTS,
    WERE,
    base_form,
    irregular,
    is_ed,
    is_participle,
    looks_present,
    third_person,
)
from avtool.timeline import SECOND

TOKEN = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*|[,;:–—-]+|\S")
ROOM_FOR_A_VERB = SECOND // 2  # microseconds a cue must have left (AD214)


def past_tense(script: Script) -> Iterator[Hit]:
    """AD201: the first finite verb is in the past tense, other than in quoted or read-out text."""
    for cue in script.cues:
        for sentence in sentences(prose(cue.text)):
            if found := find_past(sentence):
                word, subject = found
                yield Hit(
                    f"“{word}” is past tense; describe in the present",
                    cue,
                    fix=_in_present(cue.text, word, subject),
                )
                break


def find_past(sentence: str) -> tuple[str, str] | None:
    """The past tense that is the first finite verb of `sentence`, and the last word of its subject.

    Verbs of relative, comparing and time clauses are passed over: "the man who left turns" is present.
    """
    tokens = TOKEN.findall(sentence.replace("’", "'"))
    words = [token.lower() for token in tokens]
    lists = english()
    inside = False  # a clause whose verb is not the sentence's
    for at, word in enumerate(words):
        that = word == "that" and at > 0 and words[at - 1][0].isalnum()  # not "That is all"
        if that or word in lists["opens_clause"]:
            inside = True
        elif (past := _is_past(tokens, words, at)) or _is_present(words, at):
            if inside or _zero_relative(words, at):
                inside = False
            else:
                return (tokens[at], _before(words, at)) if past else None
    return None


def _is_past(tokens: list[str], words: list[str], at: int) -> bool:
    word, before = words[at], _before(words, at)
    only_past, both, same = irregular()
    if word in WERE:
        return True
    if word in ("did", "didn't", "had", "hadn't"):
        return at > 0
    if word in only_past:
        if before in SUBJECTS:
            return True
        return word not in english()["past_or_noun"] and _is_subject(words, at, before)
    if is_ed(word) or word in both:
        if before in ("it", "you"):
            return _opens(words, at)
        return before in SUBJECTS or (_is_subject(words, at, before) and _acts(tokens, words, at))
    if word in same:
        return before in ("he", "she") or (_is_one(tokens[:at]) and _object_follows(words, at))
    return False


def _is_one(subject: list[str]) -> bool:
    """Whether the words that open a sentence are one person or thing: "Tom", "the car"."""
    if not 1 <= len(subject) <= 3 or not all(word.isalpha() for word in subject):
        return False
    first, last = subject[0].lower(), subject[-1].lower()
    if last.endswith("s") or last in english()["plural_people"]:
        return False
    if len(subject) > 1:
        return first in ("a", "an", "the", "his", "her", "its")
    return (
        subject[0][0].isupper()
        and first not in english()["function_words"]
        and first not in DETERMINERS | SUBJECTS
    )


def _acts(tokens: list[str], words: list[str], at: int) -> bool:
    """Whether a form that may be a participle is a verb with a noun for its subject: it has an object, or takes none.

    "A man opened the door" and "A man nodded" against "A man dressed in black (enters)".
    """
    if words[at] in english()["intransitive_pasts"]:
        return True
    end = next((later for later in range(at + 1, len(words)) if _breaks(words[later])), len(words))
    if words[at] in english()["two_objects"] or any(
        _is_present(words, later) for later in range(at + 1, end)
    ):
        return False
    proper = at + 1 < len(words) and tokens[at + 1][0].isupper()
    return proper or _object_follows(words, at)


def _object_follows(words: list[str], at: int) -> bool:
    after = words[at + 1 : at + 3]
    if not after or after[0] == "all" or after[-1] in english()["times"]:
        return False
    return after[0] in DETERMINERS or after[0] in OBJECTS


def _is_subject(words: list[str], at: int, before: str) -> bool:
    """Whether the words before `at` are a short noun phrase at the beginning of a clause."""
    start = next((i + 1 for i in range(at - 1, -1, -1) if _breaks(words[i])), 0)
    phrase = words[start:at]
    if not 1 <= len(phrase) <= 5 or not before.replace("-", "").isalpha():
        return False
    if any(word in english()["function_words"] for word in phrase) or before in DETERMINERS:
        return False
    return not any(word in DETERMINERS - QUANTITIES for word in phrase[1:])


def _breaks(word: str) -> bool:
    return not word[0].isalnum() or word in ("and", "but", "then", "as", "while", "so", "or")


def _is_present(words: list[str], at: int) -> bool:
    """Whether the word is a finite verb in the present, as far as its form and neighbours tell."""
    word, before = words[at], _before(words, at)
    if word in PRESENT or re.search(r"(?:^(?:he|she|it|who|that|there|here|one)'s|'(?:re|ve|ll|d|m))$", word):
        return True
    if before in ("they", "we", "i", "you") and word.isalpha() and word != before:
        return not (is_participle(word) or word in english()["particles"] or word in english()["adverbs"])
    if word.endswith("'s") and at + 1 < len(words):
        return words[at + 1].endswith("ing") or is_ed(words[at + 1])
    if not looks_present(word) or before in DETERMINERS or before.endswith("'s"):
        return False
    only_past, both, _ = irregular()
    following = next((later for later in words[at + 1 :] if not _is_adverb(later)), "")
    if following in WERE or following in ("had", "did") or following in only_past:
        return False  # a plural, and the verb comes after it
    return not (
        (is_ed(following) or following in both) and _object_follows(words, words.index(following, at))
    )


def _zero_relative(words: list[str], at: int) -> bool:
    """Whether the verb's subject is a pronoun right after a noun: "the ring he gave her"."""
    place = at - 1
    while place > 0 and _is_adverb(words[place]):
        place -= 1
    if place < 1 or words[place] not in SUBJECTS:
        return False
    noun = words[place - 1]
    return noun.isalpha() and not (_breaks(noun) or _is_adverb(noun) or noun in english()["function_words"])


def _opens(words: list[str], at: int) -> bool:
    """Whether the subject pronoun before the verb begins its clause."""
    place = next((i for i in range(at - 1, -1, -1) if not _is_adverb(words[i])), 0)
    return place == 0 or _breaks(words[place - 1])


def _before(words: list[str], at: int) -> str:
    return next((word for word in reversed(words[:at]) if not _is_adverb(word)), "")


def _is_adverb(word: str) -> bool:
    return word in english()["adverbs"] or (
        word.endswith("ly") and len(word) > 4 and word not in english()["not_adverb"]
    )


def _in_present(text: str, past: str, subject: str) -> str | None:
    """`text` with that past tense in the present."""
    several = subject in ("they", "we", "you", "i") or (subject.endswith("s") and subject not in SUBJECTS)
    low = past.lower()
    if low in WERE:
        present = "are" if low.startswith("were") else "is"
    elif base := low if low in irregular()[2] else base_form(low):
        present = base if several else third_person(base)
    else:
        return None
    if low.endswith("n't"):
        present += "n't"
    return re.sub(rf"\b{re.escape(past)}\b", present, text, count=1)


def passive(script: Script) -> Iterator[Hit]:
    """AD206: "there is" for an opening, or the passive voice with its agent; states ("is dressed in") are not."""
    for cue in script.cues:
        for sentence in sentences(prose(cue.text)):
            if re.match(r"there(?:'s|’s| is| are)\b", sentence, re.IGNORECASE):
                yield Hit("opens with “there is”; begin with what there is", cue)
                continue
            words = [word.lower() for word in TOKEN.findall(sentence)]
            for at, word in enumerate(words):
                verb = next((later for later in words[at + 1 :] if not _is_adverb(later)), "")
                done = is_participle(verb) and verb not in english()["stative"]
                agent = word in ("is", "are", "gets", "get") and "by" in words[at + 1 : at + 5]
                if done and (agent or word == "being"):
                    yield Hit(f"“{word} {verb}” is passive; say who does it", cue)
                    break


def no_verb(script: Script) -> Iterator[Hit]:
    """AD214: no verb, though the cue has half a second left for one. On-screen text and names alone need none."""
    lists = english()
    for cue in script.cues:
        needed = pace.speaking_time(cue.text, script.settings.rate, script.settings.language)
        if cue.span.duration - needed < ROOM_FOR_A_VERB or "“”" in prose(cue.text) or ":" in cue.text:
            continue
        for sentence in sentences(cue.text):
            words = [word.lower() for word in TOKEN.findall(sentence.replace("’", "'")) if word[0].isalpha()]
            if not words or words[0] not in lists["opens_fragment"]:
                continue
            verb = any(
                word in PRESENT or word in WERE or word in lists["plural_people"] or looks_present(word)
                for word in words
            )
            if not verb and not any(
                _is_past(words, words, at) or words[at] == "and" for at in range(len(words))
            ):
                yield Hit("has no verb, and time for one", cue)
                break


TENSE = (
    Rule("AD201", "E", "DCMP, ITC 3.1, NFX", past_tense, english=True),
    Rule("AD206", "W", "DCMP", passive, english=True),
    Rule("AD214", "I", "ADI", no_verb, english=True),
)
