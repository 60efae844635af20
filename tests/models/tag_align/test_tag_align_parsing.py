"""Captions into objects and attributes, and the two files that training reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avmodels.errors import DataError
from avmodels.tag_align import lists, parsing


def tags(caption: str, compounds: frozenset[str] = frozenset()) -> tuple[set[str], set[str]]:
    return parsing.tags_of(parsing.phrases(caption), compounds)


@pytest.mark.parametrize(
    ("caption", "objects", "attributes"),
    [
        # the published figure's
        (
            "A small kitten lying on the grass, playing with a brown shoe.",
            {"kitten", "grass", "shoe"},
            {"small", "brown"},
        ),
        ("Two children are riding red bicycles", {"child", "bicycle"}, {"red"}),
        (
            "a broken wooden chair and three knives on the table",
            {"chair", "knife", "table"},
            {"broken", "wooden"},
        ),
        (
            "a smiling woman wearing glasses and a leather jacket",
            {"woman", "glass", "jacket"},
            {"smiling", "leather"},
        ),
        ("<PERSON> holds an umbrella in London", {"person", "umbrella"}, set()),
        ("stock photo of a view", set(), set()),
        ("", set(), set()),
    ],
)
def test_a_caption_names_objects_and_attributes(
    caption: str, objects: set[str], attributes: set[str]
) -> None:
    assert tags(caption) == (objects, attributes)


def test_nouns_that_always_stand_together_are_one_object() -> None:
    captions = [
        "a traffic light",
        "a red traffic light at a road",
        "a light on a road",
        "a leather bag",
        "a bag",
    ]
    found = [parsing.phrases(caption) for caption in captions]
    made = parsing.vocabulary(found, objects=10, attributes=10, least=2)
    assert made.compounds == {"traffic light"}
    assert made.objects == {"bag": 2, "road": 2, "traffic light": 2}
    assert made.attributes == {}


def test_the_files_are_those_that_training_reads(tmp_path: Path) -> None:
    captions = ["a red ball", "two red balls and a blue box", "a blue box", "nothing here"]
    rows = [f"{number}.png,{caption}" for number, caption in enumerate(captions)]
    (tmp_path / "captions.csv").write_text("\n".join(["path,caption", *rows]))
    made = parsing.parse(tmp_path, objects=2, attributes=5, least=2)
    words = list(made.words())
    assert words == ["ball", "box", "blue", "red"]
    assert lists.tag_words(tmp_path / "tags.csv", 4) == words
    pairs = lists.read_pairs([tmp_path], 4)
    assert [[words[n] for n in pairs.present(i)] for i in range(4)] == [
        ["ball", "red"],
        ["ball", "box", "blue", "red"],
        ["box", "blue"],
        [],
    ]


def test_captions_are_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "captions.csv").write_text("path,caption\n1.png,a red ball\n")
    first = parsing.parse(tmp_path, least=1)
    monkeypatch.setattr(parsing, "phrases", lambda caption: 1 / 0)
    assert parsing.parse(tmp_path, least=1) == first
    assert json.loads((tmp_path / "phrases.jsonl").read_text()) == ["1.png", [[["red"], ["ball"]]]]


def test_captions_that_are_missing_or_name_too_little_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither captions.csv nor tar files"):
        parsing.parse(tmp_path)
    (tmp_path / "captions.csv").write_text("path,caption\n1.png,a red ball\n")
    with pytest.raises(DataError, match="name nothing 5 times"):
        parsing.parse(tmp_path)
