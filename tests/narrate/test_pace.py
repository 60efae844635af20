import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool import pronunciation
from avtool.narrate import pace


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Mara lifts the lantern.", 6),
        ("HARBOUR OFFICE", 4),
        ("1938", 5),  # nineteen thirty-eight
        ("1,200", 4),
        ("3.5", 3),
        ("21st", 3),
        ("Dr. Okafor", 5),
        ("NYC", 3),
        ("U.S.A.", 3),
        ("5%", 3),
        ("Zorbelline's", 3),  # in no dictionary
        ("“Exit,” a sign says", 5),
        ("", 0),
        ("-- ...", 0),
    ],
)
def test_syllables_as_read_out(text: str, count: int):
    assert pace.syllables(text) == count


def test_spelling_rule_agrees_with_the_dictionary():
    words = [word.lower() for word in sorted(pronunciation._dictionary()) if word.isalpha()][::20]
    right = sum(pace._by_rule(word) == pronunciation.syllables(word) for word in words)
    assert right / len(words) > 0.88


@pytest.mark.parametrize(
    ("text", "language", "count"),
    [
        ("Elle ouvre la porte", "fr", 7),
        ("Der Mann geht", "de", 3),
        ("彼は走る", "ja", 4),
        ("дом", "ru", 1),
    ],
)
def test_syllables_of_other_languages(text: str, language: str, count: int):
    assert pace.syllables(text, language) == count


def test_speaking_time_is_the_formula():
    # 6 syllables at 175 words a minute: 4.375 syllables a second, and the breath.
    assert pace.speaking_time("Mara lifts the lantern.", 175) == round((6 / 4.375 + 0.06) * 1e6)
    plain = pace.speaking_time("He nods she smiles", 175)
    assert pace.speaking_time("He nods, she smiles", 175) == pytest.approx(plain + 120_000, abs=1)
    assert pace.speaking_time("He nods. She smiles.", 175) == pytest.approx(plain + 300_000, abs=1)


def test_a_title_ends_no_sentence():
    assert pace.speaking_time("Dr. Okafor nods", 175) == pace.speaking_time("Doctor Okafor nods", 175)


@given(st.text(), st.text())
def test_more_text_never_takes_less_time(first: str, second: str):
    assert pace.speaking_time(f"{first} {second}", 175) >= pace.speaking_time(first, 175) - 1


@given(st.text(), st.sampled_from(["en", "fr", "ja", "zh-Hans", "ar"]))
def test_any_text_has_a_time(text: str, language: str):
    assert pace.speaking_time(text, 230, language) >= 60_000


@given(st.integers(0, 10**12 - 1))
def test_numbers_have_words(value: int):
    assert all(word.replace("-", "").isalpha() for word in pace.number(value).split())


def test_words_counts_hyphenated_words_once():
    assert pace.words("A well-lit room, 10:30 -- it's late.") == 6
