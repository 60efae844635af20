from avtool.narrate import naming
from avtool.timeline import Fact
from tests.narrate import made


def cue(number: int, start: float, words: str, *names: str, represents="visual.nonText"):
    facts = tuple(Fact("who", name, 0.9, (0,)) for name in names)
    return made.cue(number, start, start + 2, words, facts=facts, represents=represents)


def test_full_name_first_then_alias_then_pronoun():
    told = [
        cue(1, 0, "Marcus Hale walks.", "Marcus Hale"),
        cue(2, 20, "Marcus Hale points at a car.", "Marcus Hale"),
        cue(3, 24, "Marcus Hale runs.", "Marcus Hale"),
        cue(4, 27, "Marcus Hale hugs Ellen Ross.", "Marcus Hale", "Ellen Ross"),
        cue(5, 30, "Ellen Ross smiles.", "Ellen Ross"),
    ]
    assert [cue.text for cue in naming.address(told, made.cast())] == [
        "Marcus Hale walks.",
        "Marcus points at a car.",
        "He runs.",
        "Marcus hugs Ellen Ross.",
        "Ellen smiles.",
    ]


def test_no_pronoun_that_the_cast_file_does_not_give():
    told = [cue(1, 0, "Ellen Ross walks.", "Ellen Ross"), cue(2, 4, "Ellen Ross runs.", "Ellen Ross")]
    assert naming.address(told, made.cast(pronoun=None))[1].text == "Ellen runs."


def test_on_screen_text_stays_as_it_reads():
    told = [
        cue(1, 0, "Marcus Hale walks.", "Marcus Hale"),
        cue(2, 4, "Credits: Marcus Hale.", represents="visual.text.credit"),
    ]
    assert naming.address(told, made.cast())[1].text == "Credits: Marcus Hale."


def test_a_name_is_known_from_speech_caption_or_cast_file():
    film = made.film(4)
    ellen = made.cast().cast[1]
    assert naming.known_at(ellen, film) is None
    made.text(film, "ELLEN ROSS, PILOT", "caption", 12, 14)
    assert naming.known_at(ellen, film) == 12_000_000
    made.speech(film, 8, 9, "Ellen's here.")
    assert naming.known_at(ellen, film) == 8_000_000
    made.speech(film, 2, 3, "Excellent.")
    assert naming.known_at(ellen, film) == 8_000_000
    assert naming.known_at(made.cast(known_from="00:00:01").cast[1], film) == 1_000_000
