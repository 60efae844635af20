"""The sense for people on a made film of real pictures: followed, read, described, and the same every time."""

import numpy as np
import pytest
from skimage import data

from avtool.perceive.people import People
from avtool.perceive.tracks import Crowd
from avtool.timeline import SECOND, Shot, Span

STEP = SECOND // 4


def film() -> np.ndarray:
    """Two shots of two seconds: the astronaut between black bars, slowly moved; then a coffee cup alone."""
    frames = np.zeros((16, 288, 512, 3), np.uint8)
    portrait = data.astronaut()[::2, ::2]
    for row in range(8):
        frames[row, 16:272, 100 + 4 * row : 356 + 4 * row] = portrait
    frames[8:, 16:272, 100:400] = data.coffee()[:256, :300]
    return frames


def look(frames: np.ndarray) -> Crowd:
    people = People(*frames.shape[1:3])
    people.see(np.arange(len(frames), dtype=np.int64) * STEP, frames)
    people.finish()
    cut = 8 * STEP
    return people.people([Shot(0, Span(0, cut), "start", 1.0), Shot(1, Span(cut, 2 * cut), "cut", 1.0)])


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    return look(film())


def test_one_person_is_followed_through_her_shot_only(crowd: Crowd):
    assert [(track.shot, len(track.times)) for track in crowd.people] == [(0, 4)]
    track = crowd.people[0]
    assert track.boxes[-1][0] > track.boxes[0][0]
    assert len(crowd.bodies[track.id].times) == 8


def test_her_face_is_measured_often_and_described_sometimes(crowd: Crowd):
    faces = crowd.faces[crowd.people[0].id]
    described = np.isfinite(faces.descriptors[:, 0])
    assert len(faces.times) >= 6
    assert 1 <= described.sum() < len(faces.times)
    assert (faces.quality[described] > 0.2).all()
    assert np.median(faces.smile) > 0.05


def test_the_same_film_gives_the_same_bytes(crowd: Crowd):
    again = look(film())
    assert again.tracks == crowd.tracks
    for track, faces in crowd.faces.items():
        assert faces.descriptors.tobytes() == again.faces[track].descriptors.tobytes()
    for track, bodies in crowd.bodies.items():
        assert bodies.keypoints.tobytes() == again.bodies[track].keypoints.tobytes()


def test_tall_pictures_are_looked_at_smaller():
    assert People(2160, 3840).size == (720, 1280)
    assert People(90, 160).size == (90, 160)
