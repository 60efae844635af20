"""Every rule fires where it should, and not where it should not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool.narrate import facts, naming, style
from avtool.settings import Settings
from avtool.timeline import Description, Film, Gap, Span, clock
from tests.narrate import made

SETTINGS = Settings()


def findings(*cues: Description, film: Film | None = None, cast=None, **settings) -> dict[str, style.Finding]:
    """The last finding of every rule."""
    return {one.rule: one for one in style.check(cues, film, cast, Settings(**settings))}


def worded(text: str, **settings) -> dict[str, style.Finding]:
    """Findings about the wording of one cue that has time enough."""
    found = findings(made.cue(1, 10, 18, text), **settings)
    return {rule: one for rule, one in found.items() if rule.startswith("AD2")}


def test_rules_are_those_of_the_specification():
    assert [rule.id for rule in style.RULES] == [
        *(f"AD{number}" for number in range(101, 114)),
        *(f"AD{number}" for number in range(201, 219)),
    ]
    assert all(rule.find.__doc__ and rule.find.__doc__.startswith(rule.id) for rule in style.RULES)


WORDING = [
    ("AD201", "He opened the door.", "He opens the door."),
    ("AD202", "We see a red car.", "Ann sees a red car."),
    ("AD202", "A truck rolls toward us.", "A truck rolls toward Ann."),
    ("AD203", "The camera pans to a house.", "Ann washes the pans and sets a camera on the sill."),
    ("AD203", "Cut to a kitchen.", "Ann cuts the bread."),
    ("AD204", "Ann wants the ring.", "Ann reaches for the ring."),
    ("AD204", "Tom is jealous.", "Tom glares at his rival."),
    ("AD205", "Ann seems to sleep.", "A ship appears on the horizon."),
    ("AD206", "There is a man on the roof.", "There, a man climbs the roof."),
    ("AD206", "Tom is followed by two men.", "Tom is dressed in black."),
    ("AD208", "She opens the door.", "Ann opens the door and peers past her hand."),
    ("AD210", "A black man enters.", "A man in a black coat enters."),
    ("AD210", "An elderly woman waves.", "A woman with a cane waves."),
    ("AD211", "An ugly man enters.", "A man with a scar enters."),
    ("AD211", "A pretty girl waves.", "A girl with pretty much nothing on her plate waves."),
    ("AD212", "Ann, who holds a rope, waits while Tom climbs.", "Ann holds a rope while Tom climbs."),
    ("AD213", "A man stands on the left of the screen.", "A man stands on the left of the desk."),
    ("AD214", "A dark street at night.", "Rain falls on a dark street."),
    ("AD215", "Ann holds 3 coins.", "Ann holds three coins."),
    ("AD215", "Ann opens www.example.org.", "Ann opens a laptop."),
    ("AD215", "ANN OPENS THE DOOR.", "Ann watches TV."),
    ("AD216", "**Ann** opens the door.", "Ann points at a star on the map."),
    ("AD216", "In this clip, Ann opens the door.", "Ann plays a video clip."),
    ("AD216", "As an AI, I cannot identify anyone.", "Ann types on a computer."),
    ("AD216", "Der Mann öffnet die Tür und geht in das Haus.", "Hans opens the door of Haus Adler."),
    (
        "AD217",
        "What follows is too graphic to describe.",
        "Tom stabs the guard. Blood spurts from the wound.",
    ),
    ("AD217", "Ann shouts f*** at him.", "Ann shouts at him."),
    ("AD218", "Ann will never see him again.", "Ann waves at the train."),
]


@pytest.mark.parametrize(("rule", "wrong", "right"), WORDING)
def test_wording(rule: str, wrong: str, right: str):
    assert rule in worded(wrong)
    assert rule not in worded(right)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("AD201", 'A sign reads, "Closed. We moved to Mill Street."'),
        ("AD202", "Text: You see what we see."),
        ("AD203", "A poster: “The Camera Pans to Paris.”"),
        ("AD215", "A caption: Lisbon, 1938."),
        ("AD215", "A sign: NO ENTRY."),
        ("AD216", "A sign: Der Zug ist nicht im Bahnhof und wartet."),
    ],
)
def test_what_is_read_out_is_not_the_describers(rule: str, text: str):
    assert rule not in worded(text)


@pytest.mark.parametrize(
    ("rule", "text", "fix"),
    [
        ("AD201", "He went out and took a cab.", "He goes out and took a cab."),
        ("AD201", "They were alone.", "They are alone."),
        ("AD201", "Ann stopped the car.", "Ann stops the car."),
        ("AD201", "She hurried off.", "She hurries off."),
        ("AD202", "We see that a red car stops.", "A red car stops."),
        ("AD205", "Ann seems to be asleep.", "Ann is asleep."),
        ("AD205", "Ann appears to search the room.", "Ann searches the room."),
        ("AD215", "Ann lifts 12 boxes & a chair.", "Ann lifts twelve boxes and a chair."),
        ("AD216", "**Ann** nods.", "Ann nods."),
    ],
)
def test_mechanical_fixes(rule: str, text: str, fix: str):
    assert worded(text)[rule].fix == fix


def test_severity_of_we_see():
    assert worded("We see a house.")["AD202"].severity == "E"
    assert worded("A truck rolls toward us.")["AD202"].severity == "W"


def test_film_terms_can_be_allowed():
    assert "AD203" not in worded("Cut to a kitchen.", film_terms=True)


def test_rules_on_english_leave_other_languages_alone():
    found = worded("Der Mann will in das Haus, und der Hund will nicht.", language="de")
    assert set(found) == set()
    assert "AD216" in worded("The man walks into the house and looks at his dog.", language="de")


def described(film: Film, start: float, end: float, text: str = "Ann nods.", **more) -> set[str]:
    return set(findings(made.cue(1, start, end, text, **more), film=film))


def test_ad101_dialogue_is_not_covered():
    film = made.film(4)
    made.speech(film, 10, 12)
    assert "AD101" in described(film, 11.8, 13)
    assert "AD101" not in described(film, 11.95, 13)  # within the tolerance
    assert "AD101" not in described(film, 12.5, 14)


def test_ad101_proposes_the_nearest_pause():
    film = made.film(4)
    made.speech(film, 10, 12)
    finding = findings(made.cue(1, 11, 12, "Ann nods."), film=film)["AD101"]
    start, end = (finding.fix or "").split(" --> ")
    assert start == clock(12_200_000)  # the dialogue's end and the lead-in
    moved = Span(12_200_000, round(float(end.split(":")[2]) * 1e6))
    assert not {"AD101", "AD102", "AD103"} & described(film, moved.start / 1e6, moved.end / 1e6)


def test_ad102_and_ad103_leave_a_beat():
    film = made.film(4)
    made.speech(film, 5, 6)
    made.speech(film, 10, 12)
    assert "AD102" in described(film, 6.1, 8)
    assert "AD102" not in described(film, 6.2, 8)
    assert "AD103" in described(film, 8, 9.8)
    assert "AD103" not in described(film, 8, 9.7)


def test_ad104_short_pauses_stay_empty():
    film = made.film(4)
    made.speech(film, 5, 6)
    made.speech(film, 7, 8)
    assert "AD104" in described(film, 6.2, 6.8)
    made.speech(film, 9.5, 12)
    assert "AD104" not in described(film, 8.2, 9.2)


def test_ad105_what_cannot_be_spoken():
    text = "Ann climbs through the narrow window and drops into the courtyard."

    def severity(*cues: Description) -> list[str]:
        found = style.check(cues, None, None, SETTINGS)
        return [one.severity for one in found if one.rule == "AD105"]

    assert severity(made.cue(1, 0, 2.5, text)) == []
    # The voice may run on into silence, and borrow time from the next cue, but no miracle.
    assert severity(made.cue(1, 0, 1.6, text)) == ["W"]
    assert severity(made.cue(1, 0, 1.6, text), made.cue(2, 3.2, 5, "She runs.")) == ["W"]
    assert severity(made.cue(1, 0, 1, text), made.cue(2, 1.5, 4, "She runs.")) == ["W"]
    assert (
        severity(made.cue(1, 0, 1.6, text), made.cue(2, 1.8, 2, "She runs."), made.cue(3, 2, 2.4, text))[0]
        == "E"
    )
    assert severity(made.cue(1, 0, 0.7, text)) == ["E"]
    film = made.film(10)
    made.speech(film, 1.25, 4)
    found = {one.rule: one for one in style.check([made.cue(1, 0, 1.2, text)], film, None, SETTINGS)}
    assert found["AD105"].severity == "E"


def test_ad106_and_ad107_rates():
    text = "Ann runs up the stairs and opens the door."  # 9 words, 10 syllables
    assert "AD106" in findings(made.cue(1, 0, 1.5, text))
    middling = findings(made.cue(1, 0, 2.4, text))
    assert "AD107" in middling and "AD106" not in middling
    assert not {"AD106", "AD107"} & set(findings(made.cue(1, 0, 4, text)))


@pytest.mark.parametrize(("start", "rule"), [(4, True), (7, False), (20, False), (25, True)])
def test_ad108_near_its_event(start: float, rule: bool):
    found = findings(made.cue(1, start, start + 2, "Ann nods.", event=made.span(10, 20)))
    assert ("AD108" in found) == rule


def test_ad109_scene_changes():
    film = made.film(4)
    made.tag(film, 0, "library")
    made.tag(film, 1, "library")
    made.tag(film, 2, "castle")
    assert "AD109" in described(film, 9, 12)
    assert "AD109" not in described(film, 4, 6)  # a cut within the place
    assert "AD109" not in described(film, 10.1, 12)


def test_ad110_spacing():
    first = made.cue(1, 0, 2, "Ann nods.")
    found = findings(first, made.cue(2, 2.1, 5, "Tom runs."))
    assert found["AD110"].fix == "0:00:02.250 --> 0:00:05.000"
    assert "AD110" not in findings(first, made.cue(2, 2.3, 5, "Tom runs."))
    assert "AD110" not in findings(made.cue(1, 0, 2, "Ann nods,"), made.cue(2, 2, 5, "and Tom runs."))


def test_ad111_long_emptiness():
    film = made.film(20)
    assert "AD111" in set(findings(film=film))
    assert "AD111" not in described(film, 45, 55)


def test_ad112_not_every_moment():
    film = made.film(4)
    made.speech(film, 10, 20)
    assert "AD112" in described(film, 1, 9.5)
    assert "AD112" not in described(film, 1, 5)


def test_ad113_sounds_to_be_heard():
    film = made.film(4)
    made.speech(film, 10, 15, kind="song")
    found = described(film, 12, 14)
    assert "AD113" in found and "AD101" not in found
    assert "AD113" not in described(film, 5, 9)


def test_ad207_repeats_and_what_is_said():
    again = [made.cue(1, 0, 2, "Ann nods."), made.cue(2, 5, 7, "Tom runs."), made.cue(3, 10, 12, "Ann nods.")]
    assert findings(*again)["AD207"].cue == "ad-0003"
    assert "AD207" not in findings(*again, repeat_window=1)
    film = made.film(10)
    made.speech(film, 20, 22, "Look, the harbour bridge burns!")
    assert "AD207" in described(film, 25, 28, "The harbour bridge burns.")
    assert "AD207" not in described(film, 25, 28, "The harbour crane falls.")


def test_ad208_who_is_meant():
    both = made.cast(pronoun="he")
    before = made.cue(1, 0, 2, "Marcus Hale and Ellen Ross enter.")
    sits = made.cue(2, 5, 7, "He sits.")
    assert "AD208" in findings(before, sits, cast=both)
    assert "AD208" not in findings(before, sits, cast=made.cast())
    far = [made.cue(number, number * 10, number * 10 + 2, "A door slams.") for number in (1, 2, 3)]
    assert "AD208" in findings(before, *far, made.cue(4, 50, 52, "He sits."))


def test_ad209_names_not_known_yet():
    film = made.film(8)
    made.speech(film, 20, 21, "Ellen!")
    early, late = made.cue(1, 5, 8, "Ellen Ross waves."), made.cue(2, 25, 28, "Ellen Ross waves.")
    cast = made.cast(label="the woman in red")
    finding = findings(early, film=film, cast=cast, name_policy="introduced")["AD209"]
    assert finding.severity == "E" and finding.fix == "The woman in red waves."
    assert "AD209" not in findings(late, film=film, cast=cast, name_policy="introduced")
    assert "AD209" not in findings(early, film=film, cast=cast)
    assert "AD209" in findings(early, cast=made.cast(known_from="00:00:20"))
    title = made.cue(3, 0, 2, "Credits: Ellen Ross.", represents="visual.text.credit")
    assert "AD209" not in findings(title, film=film, cast=cast, name_policy="introduced")


def test_ad210_the_cast_file_may_say_so():
    cast = made.cast(label="the elderly woman")
    assert "AD210" not in findings(made.cue(1, 0, 5, "The elderly woman waves."), cast=cast)


def test_ad218_nobody_before_they_are_met():
    film = made.film(8)
    made.person(film, 6, "Ellen Ross")
    assert "AD218" in findings(made.cue(1, 5, 8, "Ellen Ross waves."), film=film, cast=made.cast())
    assert "AD218" not in findings(made.cue(1, 31, 33, "Ellen Ross waves."), film=film, cast=made.cast())


def test_what_is_perceived_decides_nothing_without_a_film():
    found = findings(made.cue(1, 0, 5, "Ann nods."))
    assert not found


def test_findings_come_in_order_and_tell_where():
    cues = [made.cue(2, 10, 18, "We see a car."), made.cue(1, 0, 8, "He opened the door.")]
    found = style.check(cues, None, None, SETTINGS)
    assert [one.span for one in found] == sorted(one.span for one in found)
    assert {one.cue for one in found} == {"ad-0001", "ad-0002"}
    assert all(one.source and one.message for one in found)


def test_own_sentences_keep_the_rules():
    film = made.film(8)
    film.gaps = [Gap(0, film.span, film.span, "edge", "edge")]
    cast = made.cast(label="the woman in the orange suit")
    marcus, ellen = made.person(film, 0, "Marcus Hale"), made.person(film, 0, "Ellen Ross")
    made.act(film, marcus, "comes close to", 0, 2, other=ellen)
    made.act(film, ellen, "closes the eyes", 3, 4)
    made.act(film, made.person(film, 1), "holds", 1, 3, object="cell phone")
    made.act(film, made.person(film, 2, "Marcus Hale"), "looks down", 1, 3)
    for shot, label in ((3, "castle"), (4, "restaurant")):
        made.tag(film, shot, label)
    made.thing(film, 5, "bicycle", 3)
    made.text(film, "OPEN 24 HOURS & SUNDAYS", "sign", 31, 34)
    made.text(film, "WE CLOSED IN 1938", "title", 36, 39)
    candidates = facts.candidates(film, cast, SETTINGS)
    assert len(candidates) > 8
    for policy in ("always", "introduced"):
        settings = Settings(name_policy=policy)
        for candidate in facts.candidates(film, cast, settings):
            cue = Description(
                "ad-1", Span(candidate.event.start, candidate.event.start + 8_000_000), candidate.text
            )
            cue = naming.address([cue], cast)[0]
            found = style.check([cue], None, cast, settings)
            assert [one for one in found if one.severity != "I"] == [], cue.text


@given(st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**7), st.text(max_size=60)), max_size=6))
def test_any_script_can_be_checked(cues: list[tuple[int, int, str]]):
    film = made.film(4)
    made.speech(film, 3, 7, "Who is there?")
    script = [
        Description(f"ad-{number}", Span(start, start + length), text)
        for number, (start, length, text) in enumerate(cues)
    ]
    for finding in style.check(script, film, made.cast(), SETTINGS):
        assert finding.message and finding.severity in "EWI"
