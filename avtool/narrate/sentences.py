"""What a network wrote, as sentences that may be spoken: cut at a clean end, naming only who is seen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import lemminflect

from avtool.narrate import naming, pace, phrases
from avtool.narrate.clips import FEWEST, Clip
from avtool.narrate.lexicon import english
from avtool.narrate.rules.verbs import DETERMINERS, SUBJECTS
from avtool.timeline import Candidate, Fact, Film

if TYPE_CHECKING:
    from avtool.cast import Cast

WHO_FIRST, WHO = 0.4, 0.2  # what a name adds to the worth of a sentence, the first time and later
END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s|$)")
# Words that open a sentence without an article and are no names.
BARE = frozenset(
    {
        *("someone", "somebody", "everyone", "everybody", "nobody", "something", "nothing", "no", "one"),
        *("snow", "rain", "water", "fire", "smoke", "light", "dust", "blood", "night", "music", "traffic"),
        *("fog", "mist", "sand", "steam", "ice", "lightning", "thunder"),
    }
)
STRANGE = re.compile(r"[\ufffd⁇\x00-\x1f<>{}\[\]|#*_]|https?:")


def sayable(text: str, ended: bool, clip: Clip, cast: Cast | None) -> str | None:
    """What of a network's words on a clip may be said: whole sentences within its budget of words, in plain text, that
    name only those who are seen. None where nothing may.

    A last sentence without its stop is whole where the network has `ended` there.
    """
    text = " ".join(text.split())
    ends = [match.end() for match in END.finditer(pace.ABBREVIATION.sub(lambda m: " " * len(m[0]), text))]
    ends += [len(text)] if ended and text and len(text) not in ends else []
    end = max((end for end in ends if pace.words(text[:end]) <= clip.words), default=0)
    text = text[:end].strip()
    if pace.words(text) < FEWEST or STRANGE.search(text) or misnamed(text, clip.names, cast):
        return None
    return phrases.sentence(text)


def misnamed(text: str, names: Sequence[str], cast: Cast | None) -> str | None:
    """The first name in `text` that is of none of those seen, whose `names` are what narration may call them.

    Names are those of the cast, and words with a capital that no sentence begins with, or that only a name explains
    there. In doubt a word is a name: the sentence is then not said.
    """
    here = [one for one in cast.cast if one.name in names] if cast else []
    allowed = {spelling for one in here for spelling in naming.spoken_names(one)} | set(names)
    rest = text
    for spelling in sorted(allowed, key=len, reverse=True):
        rest = rest.replace(spelling, " " * len(spelling))
    for one in cast.cast if cast else ():
        for spelling in naming.spoken_names(one):
            if spelling not in allowed and re.search(rf"(?<!\w){re.escape(spelling)}(?!\w)", rest):
                return spelling
            if not spelling.isascii() and spelling in rest:  # a script without spaces has no edges of words
                return spelling
    return next(capitals(rest), None)


def capitals(text: str) -> Iterator[str]:
    """The words of `text` that look like names."""
    begins = True
    for word in re.findall(r"[^\W\d_][\w'’-]*|[.!?…]", text):
        if word in ".!?…":
            begins = True
            continue
        if (
            word[0].isupper()
            and word not in ("I", "TV", "OK")
            and (not begins or opens_as_name(word.lower()))
        ):
            yield word
        begins = False


def opens_as_name(word: str) -> bool:
    """Whether a word that opens a sentence can be a name there: nothing but a noun in the singular, which had an
    article, or a word that the dictionary has not."""
    bare = (DETERMINERS, SUBJECTS, english()["function_words"], english()["bare"], BARE)
    if any(word in words for words in bare) or word.endswith("ing"):
        return False
    lemmas = lemminflect.getAllLemmas(word)
    if lemmas.keys() & {"ADJ", "ADV"}:
        return False
    return word in lemmas.get("NOUN", (word,))


def candidates(
    told: Sequence[tuple[Clip, Sequence[tuple[str, float]]]], film: Film, narrator: str
) -> list[Candidate]:
    """Sentences (text, confidence) of clips as candidates, those of a clip one group, with their evidence."""
    found: list[Candidate] = []
    met: set[str] = set()
    for group, (clip, sentences) in enumerate(told):
        for text, confidence in sentences:
            here = tuple(fact for fact in clip.people if fact.claim in text or _begins(fact.claim, text))
            worth = confidence + sum(WHO if fact.claim in met else WHO_FIRST for fact in here)
            whole = Fact("narrator", f"{narrator}: {text}", confidence, (clip.span.start, clip.span.middle))
            facts = (*here, *evidence(text, clip, film), whole)
            found.append(Candidate(text, clip.span, clip.shot, worth, group, facts))
        met.update(name for name in clip.names if any(name in text for text, _ in sentences))
    return found


def _begins(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name.split()[0])}(?!\w)", text) is not None


def evidence(text: str, clip: Clip, film: Film) -> list[Fact]:
    """What the senses saw in the clip and the sentence tells as well: actions, things, places."""
    words = {lemma(word) for word in re.findall(r"[a-z]+", text.lower())}
    found = [
        Fact("action", one.verb, one.confidence, (one.span.start, one.span.middle), (one.track,))
        for one in film.actions
        if one.shot == clip.shot and one.span.overlap(clip.span) and lemma(one.verb.split()[0]) in words
    ]
    seen = [
        (one.label, one.confidence) for one in film.things if one.shot == clip.shot and one.label != "person"
    ]
    found += [
        Fact("thing", label, confidence, (clip.span.middle,))
        for label, confidence in seen
        if words >= {lemma(word) for word in label.split()}
    ]
    return found + [
        Fact("place", one.label, one.confidence, (one.span.middle,))
        for one in film.tags
        if one.shot == clip.shot and words >= {lemma(word) for word in one.label.split()}
    ]


def lemma(word: str) -> str:
    """A word as the dictionary has it, as a verb or else a noun."""
    forms = lemminflect.getAllLemmas(word)
    return next((forms[kind][0] for kind in ("VERB", "NOUN") if kind in forms), word)
