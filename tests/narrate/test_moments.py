"""Actions that TVTSv2 ranks: told where they are sure, and of somebody who is alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from avtool.find import Part
from avtool.narrate import moments
from tests.narrate import made

PARTS = [Part(0, made.span(0, 5)), Part(1, made.span(5, 10))]
NAMES = np.eye(len(moments.DOINGS), dtype=np.float32)


def like(*sentences: str, cosine: float = 1.0) -> np.ndarray:
    """A vector for each moment that is as like a sentence as `cosine` says, and like no other."""
    found = np.zeros((len(sentences), len(NAMES) + 1), np.float32)
    for row, sentence in zip(found, sentences, strict=True):
        row[list(moments.DOINGS).index(sentence)] = cosine
        row[-1] = (1 - cosine**2) ** 0.5
    return found


def told(vectors: np.ndarray, film) -> list[tuple[int, str]]:
    names = np.pad(NAMES, ((0, 0), (0, 1)))
    return [(it.track, it.verb) for it in moments.actions(PARTS, vectors, names, film.tracks)]


def test_who_is_alone_does_what_is_surest():
    film = made.film(2)
    first, second = made.person(film, 0), made.person(film, 1)
    dance_and_read = like("a person dancing", "a person reading", cosine=0.3)
    assert told(dance_and_read, film) == [(first, "dances"), (second, "reads")]


def test_what_is_not_sure_or_not_told_is_left_out():
    film = made.film(2)
    for shot in (0, 1):
        made.person(film, shot)
    assert told(like("a person dancing", "a person reading", cosine=0.01), film) == []
    assert told(like("a person talking", "a place without people"), film) == []


def test_nobody_two_or_someone_passing_do_nothing():
    sure = like("a person dancing", "a person dancing")
    film = made.film(2)
    assert told(sure, film) == []
    for shot, seen in ((0, (0, 5)), (0, (0, 5)), (1, (0, 2))):
        made.person(film, shot, seen=seen)
    assert told(sure, film) == []


@given(st.integers(0, 2**32 - 1))
def test_an_action_is_one_of_the_list_within_its_moment(seed: int):
    film = made.film(2)
    for shot, seen in ((0, (0, 4)), (1, (0, 5))):
        made.person(film, shot, seen=seen)
    vectors = np.random.default_rng(seed).normal(size=(2, len(NAMES) + 1)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for action in moments.actions(PARTS, vectors, np.pad(NAMES, ((0, 0), (0, 1))), film.tracks):
        assert action.verb in moments.DOINGS.values() and moments.LEAST <= action.confidence <= 1
        assert action.span.clip(PARTS[action.shot].span) == action.span
