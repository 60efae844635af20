"""Tags out of captions: the objects they name and the attributes they give them, without anybody's help.

The authors released no parser; their figure draws {kitten, grass, shoe} and {small, brown} from "A small kitten
lying on the grass, playing with a brown shoe." TextBlob tells the parts of speech, NLTK finds the noun phrases,
and lemminflect the singular; all of their rules come with them.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from avmodels.errors import DataError
from avmodels.tag_align.lists import read_captions
from avmodels.tag_align.tars import Row, tar_rows

# Attributes, then nouns of which the last is the head. A participle in -ing is an attribute only behind an article
# or an adjective: "a smiling woman", but not "wearing glasses".
GRAMMAR = "PHRASE: {(<DT|JJ.*><VBG>)?<JJ.*|VBN>*<NN|NNS>+}"
ATTRIBUTE, NOUN = ("JJ", "JJR", "JJS", "VBN", "VBG"), ("NN", "NNS")
# Words of captions that name nothing to be seen in the picture.
UNSEEN = frozenset(
    [
        "art",
        "background",
        "category",
        "close",
        "closeup",
        "collection",
        "concept",
        "day",
        "design",
        "drawing",
        "edition",
        "event",
        "evening",
        "example",
        "front",
        "group",
        "icon",
        "idea",
        "illustration",
        "image",
        "kind",
        "lot",
        "morning",
        "movie",
        "night",
        "number",
        "other",
        "pair",
        "part",
        "photo",
        "photograph",
        "picture",
        "piece",
        "poster",
        "premiere",
        "print",
        "render",
        "scene",
        "season",
        "set",
        "shot",
        "side",
        "sketch",
        "stock",
        "style",
        "such",
        "term",
        "thing",
        "time",
        "today",
        "top",
        "type",
        "vector",
        "version",
        "video",
        "view",
        "wallpaper",
        "way",
        "week",
        "year",
    ]
)
PLACEHOLDER = re.compile(r"<(\w+)>")
# Two nouns are one object where they stand together so often, as a share of the rarer one's phrases.
COMPOUND = 0.3


class Phrase(NamedTuple):
    """A noun phrase in lower case: its attributes, and its nouns in the singular, the head last."""

    attributes: tuple[str, ...]
    nouns: tuple[str, ...]


class Vocabulary(NamedTuple):
    """The words that captions name most often, with how many of the captions do."""

    objects: dict[str, int]
    attributes: dict[str, int]
    compounds: frozenset[str]

    def words(self) -> dict[str, int]:
        """The tags in order: objects, then attributes that are not objects too."""
        return self.objects | {word: n for word, n in self.attributes.items() if word not in self.objects}


@cache
def _chunker() -> Any:
    from nltk import RegexpParser

    return RegexpParser(GRAMMAR)


@cache
def singular(noun: str) -> str:
    """A noun in the singular, as it is where that is not known."""
    from lemminflect import getLemma

    return (getLemma(noun, "NOUN") or (noun,))[0]


def phrases(caption: str) -> list[Phrase]:
    """The noun phrases of a caption; placeholders such as CC12M's <PERSON> are nouns."""
    from textblob.en import tag

    spoken = PLACEHOLDER.sub(lambda match: match[1].lower(), caption)
    tagged = [(word.lower() if kind in (*ATTRIBUTE, *NOUN) else word, kind) for word, kind in tag(spoken)]
    if not tagged:
        return []
    found = []
    for part in _chunker().parse(tagged):
        if isinstance(part, tuple):
            continue
        words = [(word, kind) for word, kind in part.leaves() if word.isalpha()]
        nouns = tuple(singular(word) for word, kind in words if kind in NOUN)
        attributes = tuple(word for word, kind in words if kind in ATTRIBUTE and word not in UNSEEN)
        if nouns:
            found.append(Phrase(attributes, nouns))
    return found


def tags_of(found: Iterable[Phrase], compounds: frozenset[str]) -> tuple[set[str], set[str]]:
    """The objects and the attributes of some phrases; a noun before the head is an attribute (a leather jacket),
    or makes one object with it (a traffic light)."""
    objects: set[str] = set()
    attributes: set[str] = set()
    for phrase in found:
        *before, head = phrase.nouns
        if before and f"{before[-1]} {head}" in compounds:
            head = f"{before.pop()} {head}"
        if head not in UNSEEN:
            objects.add(head)
            attributes.update(phrase.attributes)
            attributes.update(noun for noun in before if noun not in UNSEEN)
    return objects, attributes


def vocabulary(found: Iterable[list[Phrase]], objects: int, attributes: int, least: int) -> Vocabulary:
    """The `objects` and `attributes` that most captions have, of those that `least` captions have.

    `found` is gone through twice.
    """
    pairs, alone = Counter[str](), Counter[str]()
    for caption in found:
        for phrase in caption:
            alone.update(set(phrase.nouns))
            pairs.update({" ".join(two) for two in zip(phrase.nouns, phrase.nouns[1:], strict=False)})
    compounds = frozenset(
        pair
        for pair, n in pairs.items()
        if n >= least and n >= COMPOUND * min(alone[word] for word in pair.split())
    )
    counts = Counter[str](), Counter[str]()
    for caption in found:
        for counter, words in zip(counts, tags_of(caption, compounds), strict=True):
            counter.update(words)
    chosen = [
        dict(
            sorted(((w, n) for w, n in counter.items() if n >= least), key=lambda it: (-it[1], it[0]))[:most]
        )
        for counter, most in zip(counts, (objects, attributes), strict=True)
    ]
    return Vocabulary(chosen[0], chosen[1], compounds)


class Parsed:
    """The phrases of a folder's captions, parsed once and kept beside them in phrases.jsonl; gone through at will."""

    def __init__(self, folder: Path):
        self.path = folder / "phrases.jsonl"
        sources = [folder / "captions.csv", *folder.glob("*.tar")]
        newest = max((path.stat().st_mtime for path in sources if path.is_file()), default=0.0)
        if self.path.is_file() and self.path.stat().st_mtime > newest:
            return
        beside = self.path.with_name(f"{self.path.name}.part")
        with beside.open("w", encoding="utf-8") as file:
            for row in rows(folder):
                file.write(json.dumps([row.name, phrases(row.caption)], ensure_ascii=False) + "\n")
        os.replace(beside, self.path)

    def named(self) -> Iterator[tuple[str, list[Phrase]]]:
        """Every picture's name and phrases."""
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                name, found = json.loads(line)
                yield name, [Phrase(tuple(attributes), tuple(nouns)) for attributes, nouns in found]

    def __iter__(self) -> Iterator[list[Phrase]]:
        return (found for _, found in self.named())


def rows(folder: Path) -> Iterable[Row]:
    """The captions of a folder (see lists.read_pairs). Raises DataError where there is none."""
    table = folder / "captions.csv"
    if not table.is_file() and not any(folder.glob("*.tar")):
        raise DataError(f"{folder} holds neither captions.csv nor tar files")
    return read_captions(table) if table.is_file() else tar_rows(folder)


def parse(folder: Path, objects: int = 10_000, attributes: int = 0, least: int = 5) -> Vocabulary:
    """Writes tags.csv (word, count) and tags.json ({picture: [tag number, ...]}) for the captions of a folder.

    Tags are the most frequent objects, then attributes, as published 10 000 objects alone. Raises DataError where
    the captions are missing or name nothing often enough.
    """
    parsed = Parsed(folder)
    made = vocabulary(parsed, objects, attributes, least)
    words = made.words()
    if not words:
        raise DataError(f"the captions of {folder} name nothing {least} times; lower --least")
    numbers = {word: number for number, word in enumerate(words)}
    index = {
        name: sorted(
            numbers[word] for word in set().union(*tags_of(found, made.compounds)) if word in numbers
        )
        for name, found in parsed.named()
    }
    for name, text in (("tags.json", json.dumps(index, ensure_ascii=False)), ("tags.csv", _table(words))):
        beside = folder / f"{name}.part"
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, folder / name)
    return made


def _table(words: dict[str, int]) -> str:
    from io import StringIO

    text = StringIO()
    csv.writer(text).writerows([("word", "count"), *words.items()])
    return text.getvalue()
