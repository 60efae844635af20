import pytest

from avtool.narrate import phrases


@pytest.mark.parametrize(
    ("noun", "said"),
    [
        ("umbrella", "an umbrella"),
        ("unicorn", "a unicorn"),
        ("hour", "an hour"),
        ("TV", "a TV"),
        ("X-ray", "an X-ray"),
        ("potted plant", "a potted plant"),
    ],
)
def test_article(noun: str, said: str):
    assert phrases.article(noun) == said


@pytest.mark.parametrize(
    ("label", "count", "said"),
    [
        ("bus", 2, "two buses"),
        ("tv", 1, "a TV"),
        ("scissors", 1, "a pair of scissors"),
        ("scissors", 2, "two scissors"),
        ("sheep", 9, "several sheep"),
        ("wine glass", 3, "three wine glasses"),
        ("teddy bear", 2, "two teddy bears"),
        ("person", 2, "two people"),
    ],
)
def test_things(label: str, count: int, said: str):
    assert phrases.things(label, count) == said


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ("raises a hand", "raise a hand"),
        ("walks", "walk"),
        ("closes the eyes", "close the eyes"),
        ("carries a bag", "carry a bag"),
        ("lies", "lie"),
        ("watches", "watch"),
        ("passes", "pass"),
        ("goes", "go"),
        ("has", "have"),
        ("brushes", "brush"),
        ("fixes", "fix"),
        ("uses", "use"),
    ],
)
def test_agree(one: str, several: str):
    assert phrases.agree(one) == several


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("HARBOUR\nOFFICE", "Harbour Office"),
        ("Exit", "Exit"),
        ("NYPD 42", "NYPD 42"),
        ("DON'T RUN", "Don't Run"),
        ("AN X", "An X"),
        ("CO-OP", "Co-Op"),
        ("BBC NEWS", "BBC News"),
    ],
)
def test_read_out(text: str, said: str):
    assert phrases.read_out(text) == said
