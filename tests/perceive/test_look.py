"""Looks: camera moves made over photographs, and the scale of people whose size is known."""

from __future__ import annotations

import numpy as np
import pytest

from avtool.perceive.look import Looks
from avtool.perceive.tracks import Faces
from avtool.timeline import SECOND, Box, Look, Shot, Span, Track
from tests.perceive.pictures import BLACK, View, show, take, view

STEP = SECOND // 5
FRAMES = 15
WHOLE = Shot(0, Span(0, FRAMES * STEP), "start", 1.0)


def look_of(pictures: list[np.ndarray]) -> Look:
    looks = Looks()
    show(looks, pictures, STEP)
    (look,) = looks.looks([WHOLE], [], {})
    return look


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "rocket.jpg", "motorcycle_left.png"])
@pytest.mark.parametrize(
    ("begin", "end", "camera"),
    [
        ((0.0, 0.5, 1.8), (1.0, 0.5, 1.8), "pan right"),
        ((1.0, 0.5, 1.8), (0.0, 0.5, 1.8), "pan left"),
        ((0.5, 0.0, 1.8), (0.5, 1.0, 1.8), "tilt down"),
        ((0.5, 1.0, 1.8), (0.5, 0.0, 1.8), "tilt up"),
        ((0.5, 0.5, 1.0), (0.5, 0.5, 1.4), "push in"),
        ((0.5, 0.5, 1.4), (0.5, 0.5, 1.0), "pull out"),
        ((0.5, 0.5, 1.0), (0.5, 0.5, 1.0), "still"),
        ((0.5, 0.5, 1.0), (0.52, 0.5, 1.03), "still"),
    ],
)
def test_camera(name: str, begin: View, end: View, camera: str) -> None:
    assert look_of(take(name, FRAMES, begin, end)).camera == camera


def test_shaking_goes_nowhere() -> None:
    places = np.random.default_rng(1).normal(0.5, 0.08, (FRAMES, 2))
    assert look_of([view("coffee.png", across, down, 1.5) for across, down in places]).camera == "shaky"


def test_motion_is_in_picture_widths_a_second() -> None:
    # At 1.8 times as near, the camera crosses 0.8 of a picture's width, in 14 steps of a fifth of a second.
    moving = look_of(take("motorcycle_left.png", FRAMES, (0, 0.5, 1.8), (1, 0.5, 1.8)))
    assert moving.motion == pytest.approx(0.8 / (14 / 5), rel=0.25)
    assert look_of([view("coffee.png")] * FRAMES).motion == pytest.approx(0, abs=1e-3)


def test_brightness() -> None:
    assert look_of([BLACK] * FRAMES).brightness == 0
    assert look_of([BLACK + 255] * FRAMES).brightness == pytest.approx(1, abs=0.01)


def test_what_happens_at_a_cut_is_no_motion_of_either_shot() -> None:
    looks = Looks()
    show(looks, [view("coffee.png")] * 10 + [view("rocket.jpg")] * 10, STEP)
    cut = 10 * STEP
    shots = [Shot(0, Span(0, cut), "start", 1.0), Shot(1, Span(cut, 2 * cut), "cut", 1.0)]
    assert [look.motion < 1e-3 for look in looks.looks(shots, [], {})] == [True, True]


def track(box: Box, label: str = "person", number: int = 0) -> Track:
    return Track(number, 0, label, (0, STEP), (box, box), (0.9, 0.9))


def faces(height: float) -> Faces:
    measure = np.ones(2, np.float32)
    return Faces(
        times=np.array([0, STEP]),
        boxes=np.tile(np.array([0.4, 0.2, 0.6, 0.2 + height], np.float32), (2, 1)),
        mouth_open=measure,
        mouth_width=measure,
        eye_open=measure,
        smile=measure,
        yaw=measure,
        pitch=measure,
        quality=measure,
        descriptors=np.zeros((2, 128), np.float32),
    )


def scale_of(tracks: list[Track], known: dict[int, Faces]) -> str | None:
    looks = Looks()
    looks.finish()
    (look,) = looks.looks([WHOLE], tracks, known)
    return look.scale


@pytest.mark.parametrize(
    ("box", "scale"),
    [
        ((0.45, 0.5, 0.5, 0.62), "extreme long"),
        ((0.4, 0.4, 0.5, 0.8), "long"),
        ((0.4, 0.1, 0.6, 0.9), "full"),
        ((0.35, 0.2, 0.65, 1.0), "medium"),
        ((0.2, 0.1, 0.8, 1.0), "close-up"),
    ],
)
def test_scale_by_the_box(box: Box, scale: str) -> None:
    assert scale_of([track(box)], {}) == scale


@pytest.mark.parametrize(
    ("height", "scale"), [(0.8, "extreme close-up"), (0.4, "close-up"), (0.2, "medium"), (0.08, "full")]
)
def test_a_measured_face_tells_better_than_the_box(height: float, scale: str) -> None:
    assert scale_of([track((0.2, 0.1, 0.8, 1.0))], {0: faces(height)}) == scale


def test_scale_is_that_of_the_largest_person() -> None:
    assert scale_of([track((0.2, 0.1, 0.8, 1.0)), track((0.9, 0.5, 0.95, 0.6), number=1)], {}) == "close-up"
    assert scale_of([track((0.1, 0.1, 0.9, 0.9), label="car")], {}) is None
