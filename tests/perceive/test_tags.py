"""Tags: right on photographs of one thing, silent on pictures of people, texture and titles."""

from __future__ import annotations

import numpy as np
import pytest
from torchvision.models import EfficientNet_B0_Weights

from avtool.perceive import tags as module
from avtool.perceive.tags import PLACES, SURE_ALONE, Tags, labels
from avtool.timeline import SECOND, Shot, Span
from tests.perceive.pictures import BLACK, lettered, photograph, show, take

SHOWN = {"coffee.png": "espresso", "chelsea.png": "cat"}
NOT_SHOWN = (
    "astronaut.png",
    "camera.png",
    "coins.png",
    "grass.png",
    "brick.png",
    "hubble_deep_field.jpg",
    "rocket.jpg",
)


@pytest.fixture(scope="module")
def seen() -> Tags:
    """One frame a second: every photograph for one second each, then a title."""
    tags = Tags(*BLACK.shape[:2])
    pictures = [photograph(name) for name in (*SHOWN, *NOT_SHOWN)] + [
        lettered(BLACK, ("THE END", 0.2, 0.5, 0.5))
    ]
    for second, picture in enumerate(pictures):
        tags.see(np.array([second * SECOND]), picture[None])
    tags.finish()
    return tags


def shot(first: int, last: int) -> Shot:
    return Shot(first, Span(first * SECOND, (last + 1) * SECOND), "cut", 1.0)


def test_photographs_of_one_thing_are_tagged_and_others_are_not(seen: Tags) -> None:
    shots = [shot(second, second) for second in range(len(SHOWN) + len(NOT_SHOWN) + 1)]
    found = seen.tags(shots)
    assert {tag.shot: tag.label for tag in found} == dict(enumerate(SHOWN.values()))
    assert all(SURE_ALONE <= tag.confidence <= 1 for tag in found)


def test_a_shot_is_tagged_only_for_what_it_shows_all_along(seen: Tags) -> None:
    assert seen.tags([shot(0, 1)]) == []  # coffee, then a cat


def test_several_frames_of_one_thing_make_one_tag() -> None:
    tags = Tags(*BLACK.shape[:2])
    show(tags, take("coffee.png", 3), SECOND)
    (tag,) = tags.tags([Shot(7, Span(0, 3 * SECOND), "start", 1.0)])
    assert (tag.label, tag.shot, tag.span) == ("espresso", 7, Span(0, 3 * SECOND))


def test_bars_make_no_difference() -> None:
    plain, barred = Tags(*BLACK.shape[:2]), Tags(*BLACK.shape[:2])
    picture = photograph("chelsea.png")
    wide = np.zeros((picture.shape[0] + 120, picture.shape[1], 3), np.uint8)
    wide[60:-60] = picture
    plain.see(np.array([0]), picture[None])
    barred.see(np.array([0]), wide[None])
    assert plain._noted == barred._noted


def test_every_word_stands_for_a_class_of_imagenet() -> None:
    classes = set(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
    named = {name for names in module._NAMES.values() for name in names}
    assert named <= classes
    assert module._PLAIN <= classes
    assert set(labels()) >= PLACES
    assert len(labels()) == len(classes)


def test_clothes_and_graphics_are_not_spoken_of() -> None:
    classes = EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]
    spoken = dict(zip(classes, labels(), strict=True))
    assert not any(
        spoken[name] for name in ("suit", "lab coat", "web site", "book jacket", "prison", "bubble")
    )
