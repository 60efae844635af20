"""What of a network's words may be said."""

from __future__ import annotations

from pathlib import Path

import pytest

from avtool.cast import Cast, CastMember
from avtool.narrate import sentences
from avtool.narrate.clips import Clip, budget, clips, pieces
from avtool.settings import Settings
from avtool.timeline import SECOND, Fact, Film, Gap, Shot, Sighting, Span

SHOT = Span(0, 4 * SECOND)


def cast_of(*names: str, aliases: tuple[str, ...] = ()) -> Cast:
    members = tuple(
        CastMember.model_construct(
            name=name, images=(), actor=None, aliases=aliases, known_from=None, label=None
        )
        for name in names
    )
    return Cast.model_construct(cast=members, pronunciations={})


def clip(*names: str, words: int = 12) -> Clip:
    return Clip(0, SHOT, words, tuple(Fact("who", name, 0.9, (0,), (1,)) for name in names))


@pytest.mark.parametrize(
    ("said", "ended", "kept"),
    [
        ("marta opens the door", True, "Marta opens the door."),
        ("marta opens the door", False, None),
        ("Marta opens the door. She steps out and", False, "Marta opens the door."),
        ("Marta opens the door. She steps\nout.", True, "Marta opens the door. She steps out."),
        ("Marta opens the door. She steps out and walks far away over the fields.", True, "Marta opens the door."),
        ("Marta opens the wide old wooden door of the long barn far out in the fields.", True, None),
        ("Marta", True, None),
        ("", True, None),
        ("<unk> opens the door.", True, None),
        ("Marta opens the ⁇ door.", True, None),
    ],
)  # fmt: skip
def test_only_whole_sentences_within_the_budget(said: str, ended: bool, kept: str | None) -> None:
    assert sentences.sayable(said, ended, clip("Marta", "marta"), cast_of("Marta")) == kept


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Marta walks to the right.", None),
        ("Joren walks to the right.", "Joren"),
        ("Marta follows Joren.", "Joren"),
        ("Marta follows Hermione.", "Hermione"),
        ("Hermione opens the door.", "Hermione"),
        ("Harry opens the door.", "Harry"),
        ("Bill opens the door.", "Bill"),
        ("The man opens the door.", None),
        ("Someone walks away. Cars pass.", None),
        ("Snow falls on the roofs.", None),
        ("Slowly, a door opens.", None),
        ("Walking away, Marta turns.", None),
        ("A man walks. Quill follows.", "Quill"),
    ],
)
def test_nobody_is_named_who_was_not_seen(text: str, name: str | None) -> None:
    assert sentences.misnamed(text, ["Marta"], cast_of("Marta", "Joren")) == name


def test_names_that_are_words_or_of_other_scripts() -> None:
    cast = cast_of("Will", "Rose", "佐藤", "Анна")
    assert sentences.misnamed("Rose looks at a rose.", ["Rose"], cast) is None
    assert sentences.misnamed("A will lies on the table.", [], cast) is None
    assert sentences.misnamed("Will reads.", ["Rose"], cast) == "Will"
    assert sentences.misnamed("A man greets 佐藤さん.", ["Rose"], cast) == "佐藤"
    assert sentences.misnamed("A man greets Анна.", ["Анна"], cast) is None
    assert sentences.misnamed("A man greets Анна.", [], cast) == "Анна"


def test_an_alias_of_somebody_seen_may_be_said() -> None:
    assert (
        sentences.misnamed(
            "Marta's sister Mart sits.", ["Marta Hale"], cast_of("Marta Hale", aliases=("Mart",))
        )
        is None
    )


def film(*sightings: Sighting, gap: Span = SHOT) -> Film:
    return Film(
        Path("film.mp4"),
        Span(0, 20 * SECOND),
        shots=[Shot(0, SHOT, "start", 1.0), Shot(1, Span(4 * SECOND, 20 * SECOND), "cut", 1.0)],
        gaps=[Gap(0, gap, gap, "edge", "speech")],
        sightings=list(sightings),
    )


def test_a_clip_has_the_words_that_a_pause_near_it_has_room_for() -> None:
    settings = Settings()
    assert budget(SHOT, film(), settings) == int(4 * settings.rate / 60)
    assert budget(Span(15 * SECOND, 16 * SECOND), film(), settings) == 0
    assert [one.shot for one in clips(film(), None, settings)] == [0, 1]
    long = pieces(Shot(0, Span(0, 13 * SECOND), "start", 1.0))
    assert len(long) == 3 and long[-1].end == 13 * SECOND


def test_only_who_was_seen_in_a_clip_is_in_it() -> None:
    seen = Sighting(7, 0, SHOT, "Marta", 0.9, faces=3)
    doubted = Sighting(8, 0, SHOT, "Joren", 0.8, second="Marta", second_confidence=0.79)
    whole = Sighting(-1, 1, Span(4 * SECOND, 9 * SECOND), "Joren", 0.8)
    first, second, *_ = clips(film(seen, doubted, whole), cast_of("Marta", "Joren"), Settings())
    assert (first.names, second.names) == (["Marta"], ["Joren"])
    assert first.people[0].tracks == (7,) and second.people[0].tracks == ()


def test_a_sentence_carries_who_is_named_and_what_the_network_said() -> None:
    told = [(clip("Marta", "Joren"), [("Marta sits.", 0.6)])]
    (found,) = sentences.candidates(told, film(), "Uni-AD")
    assert [(fact.kind, fact.claim) for fact in found.facts] == [
        ("who", "Marta"),
        ("narrator", "Uni-AD: Marta sits."),
    ]
    assert found.confidence == 0.6 and found.event == SHOT
