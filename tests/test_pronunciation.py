"""Words as the dictionary has them."""

import pytest

from avtool import pronunciation


@pytest.mark.parametrize(
    ("word", "phones", "syllables"),
    [
        ("cat", ["K", "AE1", "T"], 1),
        ("Alexander", ["AE2", "L", "IH0", "G", "Z", "AE1", "N", "D", "ER0"], 4),
        ("qzxt", [], 0),
        ("", [], 0),
    ],
)
def test_a_word(word: str, phones: list[str], syllables: int):
    assert pronunciation.phones(word) == phones
    assert pronunciation.syllables(word) == syllables
    assert pronunciation.known(word) == bool(phones)


def test_the_first_pronunciation_is_taken():
    assert pronunciation.phones("read") == ["R", "EH1", "D"]
    assert not pronunciation.known("read(1)")
