from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool.errors import UsageError
from avtool.narrate import facts
from avtool.narrate.lexicon import english
from avtool.settings import Settings
from avtool.timeline import Attribute, Film, Gap
from tests.narrate import made

SETTINGS = Settings()


def longest(film: Film, cast=None, settings: Settings = SETTINGS) -> list[str]:
    """The longest sentence of every group, in order."""
    groups: dict[int, str] = {}
    for candidate in facts.candidates(film, cast, settings):
        groups.setdefault(candidate.group, candidate.text)
    return list(groups.values())


def test_a_moment_is_told_at_several_lengths():
    film = made.film(1)
    marcus = made.person(film, 0, "Marcus Hale")
    made.act(film, marcus, "walks", 0.5, 2)
    made.act(film, marcus, "looks down", 1, 4)
    made.tag(film, 0, "library")
    said = [candidate.text for candidate in facts.candidates(film, made.cast(), SETTINGS)]
    assert said == [
        "In a library, Marcus Hale walks and looks down.",
        "Marcus Hale walks and looks down.",
        "Marcus Hale walks.",
    ]


def test_one_thing_is_told_with_what_it_is_like():
    film = made.film(2)
    for shot, count in ((0, 1), (1, 2)):
        made.thing(film, shot, "car", count)
        film.attributes.append(Attribute("car", shot, "orange", film.shots[shot].span.start, 0.85))
    film.shots[1] = replace(film.shots[1], span=made.span(100, 105))
    film.things[1] = replace(film.things[1], span=made.span(100, 105))
    one, several = facts.candidates(film, None, SETTINGS)
    assert one.text == "An orange car." and several.text == "Two cars."
    assert [(fact.kind, fact.claim) for fact in one.facts] == [("thing", "car"), ("attribute", "orange car")]
    assert one.confidence == 0.85


def test_every_sentence_carries_what_it_rests_on():
    film = made.film(1)
    marcus, ellen = made.person(film, 0, "Marcus Hale", 0.8), made.person(film, 0, "Ellen Ross")
    made.act(film, marcus, "hugs", 1, 3, other=ellen)
    (candidate,) = facts.candidates(film, made.cast(), SETTINGS)
    assert candidate.text == "Marcus Hale hugs Ellen Ross."
    assert {fact.claim for fact in candidate.facts} == {
        "Marcus Hale",
        "Ellen Ross",
        "Marcus Hale hugs Ellen Ross",
    }
    assert {track for fact in candidate.facts for track in fact.tracks} == {marcus, ellen}
    assert candidate.confidence == 0.8  # no surer than the weakest fact
    assert candidate.event == made.span(1, 3)
    for fact in candidate.facts:
        assert fact.times and all(time in film.shots[0].span for time in fact.times)


def test_strangers_are_counted_and_never_guessed():
    film = made.film(3)
    for _ in range(2):
        made.act(film, made.person(film, 0), "runs", 0, 3)
    for _ in range(4):
        made.person(film, 1)
    for _ in range(8):
        made.person(film, 2)
    assert longest(film) == ["Two people run.", "Four people.", "A crowd of people."]


def test_one_stranger_is_one_someone():
    film = made.film(2)
    stranger = made.person(film, 0)
    made.act(film, stranger, "closes the eyes", 0, 1)
    made.act(film, stranger, "holds", 2, 3, object="cell phone")
    before, after = made.person(film, 1, seen=(0, 2)), made.person(film, 1, seen=(3, 5))
    made.act(film, before, "raises a hand", 0, 1)
    made.act(film, after, "points", 3, 4)  # perhaps the same person, tracked twice
    assert longest(film) == ["Someone closes their eyes, then holds a cell phone.", "Someone raises a hand."]


def test_two_strangers_are_told_apart():
    film = made.film(1)
    made.act(film, made.person(film, 0), "raises a hand", 0, 2)
    made.act(film, made.person(film, 0), "points", 1, 2)
    assert longest(film) == ["Someone raises a hand, and someone else points."]


def test_the_second_named_person_of_a_sentence_may_be_a_pronoun():
    film = made.film(1)
    marcus, ellen = made.person(film, 0, "Marcus Hale"), made.person(film, 0, "Ellen Ross")
    made.act(film, marcus, "comes close to", 0, 1, other=ellen)
    made.act(film, ellen, "closes the eyes", 2, 3)
    assert longest(film, made.cast()) == ["Marcus Hale comes close to Ellen Ross, and she closes her eyes."]
    assert longest(film, made.cast(pronoun=None)) == [
        "Marcus Hale comes close to Ellen Ross, and Ellen Ross closes their eyes."
    ]


@pytest.mark.parametrize(
    ("confidence", "second", "subject"),
    [(0.9, 0.2, "Marcus Hale"), (0.7, 0.0, "Someone"), (0.8, 0.75, "Someone")],
)
def test_names_need_confidence_and_a_lead(confidence: float, second: float, subject: str):
    film = made.film(1)
    made.act(film, made.person(film, 0, "Marcus Hale", confidence, second), "points", 0, 1)
    assert longest(film, made.cast()) == [f"{subject} points."]


@pytest.mark.parametrize(
    ("policy", "subject"),
    [("always", "Ellen Ross"), ("introduced", "The woman in red"), ("never", "The woman in red")],
)
def test_name_policy_before_the_name_is_spoken(policy, subject: str):
    film = made.film(3)
    made.act(film, made.person(film, 0, "Ellen Ross"), "points", 0, 1)
    made.act(film, made.person(film, 2, "Ellen Ross"), "walks", 0, 1)
    made.speech(film, 5, 6, "Come in, Ellen.")
    said = longest(film, made.cast(label="the woman in red"), Settings(name_policy=policy))
    assert said[0] == f"{subject} points."
    assert said[1] == ("The woman in red walks." if policy == "never" else "Ellen Ross walks.")


def test_the_cast_file_may_hold_a_name_back():
    film = made.film(4)
    for shot in (0, 3):
        made.act(film, made.person(film, shot, "Ellen Ross"), "walks", 0, 1)
    assert longest(film, made.cast(known_from="00:00:10")) == ["Someone walks.", "Ellen Ross walks."]


def test_no_description_knows_a_name_before_the_listener():
    film = made.film(2)
    made.act(film, made.person(film, 1, "Ellen Ross"), "walks", 0, 1)
    made.speech(film, 4, 5, "Come in, Ellen.")  # the description may begin at 1 s
    assert longest(film, made.cast(), Settings(name_policy="introduced")) == ["Someone walks."]


def test_nobody_is_two_people_at_once():
    film = made.film(1)
    made.act(film, made.person(film, 0, "Marcus Hale", 0.95), "points", 0, 1)
    made.act(film, made.person(film, 0, "Marcus Hale", 0.80), "runs", 0, 1)
    assert longest(film, made.cast()) == ["Marcus Hale points, and someone runs."]


def test_shot_and_reverse_shot_are_told_once():
    film = made.film(6)
    for shot in range(6):
        made.person(film, shot, ("Marcus Hale", "Ellen Ross")[shot % 2])
        made.act(film, shot + 1, "stands", 0, 5)
    assert longest(film, made.cast()) == ["Marcus Hale stands.", "Ellen Ross stands."]


def test_what_fell_under_dialogue_is_told_at_the_next_chance():
    film = made.film(4)
    film.gaps = [Gap(0, made.span(13, 20), made.span(13, 20), "speech", "edge")]
    for shot in range(4):
        made.act(film, made.person(film, shot, "Marcus Hale"), "points", 0, 5)
    events = [candidate.event for candidate in facts.candidates(film, made.cast(), SETTINGS)]
    assert made.span(10, 15) in events


def test_speech_that_is_heard_is_not_told():
    film = made.film(2)
    for shot in range(2):
        made.act(film, made.person(film, shot, "Marcus Hale"), "speaks", 1, 3)
    made.speech(film, 1, 3)
    assert longest(film, made.cast()) == ["Marcus Hale."]


def test_filler_is_not_told():
    film = made.film(2)
    made.act(film, made.person(film, 0), "stands", 0, 5)
    made.person(film, 1)
    assert longest(film) == []


def test_weak_perceptions_are_not_told():
    film = made.film(1)
    made.act(film, made.person(film, 0), "runs", 0, 2, confidence=0.4)
    made.thing(film, 0, "dog", confidence=0.4)
    made.tag(film, 0, "castle", confidence=0.3)
    made.text(film, "EXIT", "sign", 0, 3, confidence=0.5)
    assert longest(film) == []


def test_places_and_things():
    film = made.film(4)
    made.tag(film, 0, "castle")
    made.tag(film, 1, "castle")  # the same place still
    made.tag(film, 1, "guitar")
    made.tag(film, 2, "bicycle")  # counted already
    made.thing(film, 2, "bicycle", 2)
    made.thing(film, 2, "car")
    made.thing(film, 3, "knife", 3)
    assert longest(film) == ["A castle.", "A guitar.", "Two bicycles and a car.", "Three knives."]


def test_two_senses_are_surer_than_one():
    film = made.film(2)
    for shot in (0, 1):
        made.thing(film, shot, "cat", 2, confidence=0.5)
    made.tag(film, 1, "cat", 0.8)
    assert longest(film) == ["Two cats."]


def test_every_place_has_its_words():
    from avtool.perceive.tags import PLACES  # with its network: late

    assert set(english()["places"]) == PLACES


def test_text_is_read_out():
    film = made.film(6)
    made.text(film, "THE QUIET STREET", "title", 0, 3)
    made.text(film, "LISBON, 1938", "caption", 5, 8)
    made.text(film, "Harbour Office", "sign", 10, 13)
    made.text(film, "BBC", "logo", 0, 30)
    made.text(film, "Where are you?", "subtitle", 10, 12)
    made.text(film, "TAXI", "sign", 15, 15.3)  # too short to read
    made.text(film, "HARBOUR OFFICE", "sign", 20, 23)  # read already
    made.text(film, "DO NOT ENTER", "sign", 25, 28)
    made.speech(film, 25, 27, "It says do not enter!")
    said = [(candidate.text, candidate.represents) for candidate in facts.candidates(film, None, SETTINGS)]
    assert said == [
        ("Title: The Quiet Street.", "visual.text.title"),
        ("A caption: Lisbon, 1938.", "visual.text"),
        ("A sign: Harbour Office.", "visual.text"),
    ]


def test_worth_follows_the_order_of_telling():
    film = made.film(1)
    marcus = made.person(film, 0, "Marcus Hale")
    made.act(film, marcus, "runs", 0, 2)
    made.thing(film, 0, "potted plant")
    made.text(film, "Harbour", "sign", 0, 3)
    worth = {candidate.text: candidate.worth for candidate in facts.candidates(film, made.cast(), SETTINGS)}
    assert worth["Marcus Hale runs."] > worth["A sign: Harbour."] > worth["A potted plant."]


def test_only_english():
    with pytest.raises(UsageError, match="English"):
        facts.candidates(made.film(1), None, Settings(language="de"))


@given(st.data())
def test_any_film_gives_sound_candidates(data: st.DataObject):
    film = made.film(3)
    verbs = ["walks", "stands", "raises a hand", "closes the eyes", "hugs", "holds"]
    for _ in range(data.draw(st.integers(0, 8))):
        shot = data.draw(st.integers(0, 2))
        seen = sorted(
            data.draw(st.lists(st.sampled_from([0, 1, 2.5, 4, 5]), min_size=2, max_size=2, unique=True))
        )
        name = data.draw(st.sampled_from([None, "Marcus Hale", "Ellen Ross"]))
        track = made.person(film, shot, name, seen=(seen[0], seen[1]))
        for verb in data.draw(st.lists(st.sampled_from(verbs), max_size=3)):
            what = "bottle" if verb == "holds" else None
            made.act(film, track, verb, seen[0], seen[1], object=what)
    found = facts.candidates(film, made.cast(), SETTINGS)
    assert found == facts.candidates(film, made.cast(), SETTINGS)
    lengths: dict[int, int] = {}
    for candidate in found:
        assert candidate.facts and candidate.worth >= facts.LEAST
        assert candidate.text[0].isupper() and candidate.text.endswith(".")
        assert candidate.event.overlap(film.shots[candidate.shot].span) > 0
        assert len(candidate.text) < lengths.get(candidate.group, 10**6)
        lengths[candidate.group] = len(candidate.text)


def test_what_is_heard_and_seen_is_worth_less_telling():
    film = made.film(1)
    for label in ("dog", "boat"):
        made.thing(film, 0, label)
    assert longest(film)[0] == "A boat and a dog." or longest(film)[0] == "A dog and a boat."
    made.sound(film, 0)
    worth = {one.text: one.worth for one in facts.candidates(film, None, SETTINGS)}
    assert worth["A boat."] == pytest.approx(0.54)
    film.things = film.things[:1]
    (candidate,) = facts.candidates(film, None, SETTINGS)
    assert (candidate.text, candidate.worth) == ("A dog.", pytest.approx(0.27))


def test_a_sound_is_named_where_it_is_not_seen_and_something_else_shows_what_makes_it():
    film = made.film(3)
    made.thing(film, 0, "dog")
    made.thing(film, 0, "chair")
    made.thing(film, 1, "chair")
    made.sound(film, 1, like=0)
    assert longest(film)[1:] == ["A chair.", "A dog is heard, out of sight."]
    heard = next(one for one in facts.candidates(film, None, SETTINGS) if one.text.startswith("A dog is"))
    assert [fact.kind for fact in heard.facts] == ["sound"] and heard.shot == 1
    made.thing(film, 1, "dog")  # it is in this picture, too
    assert not any("heard" in said for said in longest(film))
    film.things = film.things[:-1]
    made.thing(film, 0, "cat")  # which of the two is it?
    assert not any("heard" in said for said in longest(film))
