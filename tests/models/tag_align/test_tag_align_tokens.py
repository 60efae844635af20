"""CLIP's byte pairs."""

from __future__ import annotations

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from avmodels.nn.clip_tokens import END, START, VOCABULARY, clean, encode, tokenize, vocabulary


def test_the_vocabulary_is_whole() -> None:
    ids, ranks = vocabulary()
    assert len(ids) == START == VOCABULARY - 2
    assert len(ranks) == VOCABULARY - 2 - 512
    assert sorted(ids.values()) == list(range(START))


def test_known_words() -> None:
    assert tokenize(["a photo of a cat."])[0, :9].tolist() == [START, 320, 1125, 539, 320, 2368, 269, END, 0]
    assert tokenize([]).shape == (0, 77)


def test_an_empty_text_is_start_and_end() -> None:
    row = tokenize([""])[0]
    assert row[:2].tolist() == [START, END]
    assert not row[2:].any()


def test_a_long_text_is_cut_and_still_ends() -> None:
    long = "word " * 100
    row = tokenize([long])[0]
    assert len(encode(long)) == 100
    assert row[-1] == END
    assert row[1:-1].unique().numel() == 1


@given(st.text(alphabet=string.ascii_letters + string.digits + " '.,!?-<|>", max_size=40))
def test_case_and_space_do_not_matter(text: str) -> None:
    assert encode(f"  {text.upper()} ") == encode(" ".join(text.lower().split()))


@settings(deadline=None)  # the first call imports the mender
@given(st.text(alphabet=string.printable.replace("&", ""), max_size=40).filter(str.isprintable))
def test_plain_text_needs_no_mending(text: str) -> None:
    from ftfy import fix_text

    assert clean(text) == " ".join(fix_text(text).split()).lower()


@given(st.text(max_size=30))
def test_any_text_gives_ids_of_the_vocabulary(text: str) -> None:
    assert all(0 <= token < VOCABULARY for token in encode(text))
