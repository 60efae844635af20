"""Faces: found and measured on real portraits; one person's descriptors agree, two people's do not."""

import cv2
import numpy as np
import pytest
from skimage import data

from avtool.perceive.bodies import pose
from avtool.perceive.descriptor import describe
from avtool.perceive.faces import Face, find, find_close_up, head

WHOLE = np.array((0.0, 0.0, 1.0, 1.0), np.float32)


def face_of(picture: np.ndarray) -> tuple[Face, np.ndarray]:
    guess = head(picture, WHOLE, pose(picture, WHOLE))
    assert guess is not None
    found = find(picture, guess)
    assert found is not None and found[1] is not None
    return found[0], found[1]


@pytest.fixture(scope="module")
def astronaut() -> tuple[Face, np.ndarray]:
    return face_of(data.astronaut())


def test_the_astronaut_smiles_with_open_eyes(astronaut: tuple[Face, np.ndarray]):
    face, chip = astronaut
    x0, y0, x1, y1 = face.box
    assert x0 < 0.44 < x1 and y0 < 0.25 < y1 and x1 - x0 < 0.35
    assert face.smile > 0.07 and face.eye_open > 0.17 and abs(face.yaw) < 25
    assert 0.5 < face.quality <= 1
    assert chip.shape == (150, 150, 3)


def test_a_mirrored_face_turns_the_other_way(astronaut: tuple[Face, np.ndarray]):
    mirrored, _ = face_of(np.ascontiguousarray(data.astronaut()[:, ::-1]))
    assert mirrored.yaw == pytest.approx(-astronaut[0].yaw, abs=8)
    assert mirrored.smile == pytest.approx(astronaut[0].smile, abs=0.05)


def test_a_smaller_picture_of_one_person_is_described_alike(astronaut: tuple[Face, np.ndarray]):
    small = cv2.resize(data.astronaut(), None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    distance = np.linalg.norm(describe(astronaut[1]) - describe(face_of(small)[1]))
    assert distance < 0.45


def test_the_cameraman_shows_no_face_and_a_grey_wall_neither():
    assert find_close_up(np.full((180, 320, 3), 128, np.uint8)) is None


def test_a_close_up_is_found_without_a_body():
    crop = np.ascontiguousarray(data.astronaut()[0:250, 100:350])
    found = find_close_up(crop)
    assert found is not None and found[0].box[2] - found[0].box[0] > 0.25


def test_a_face_too_small_to_be_read_is_not_looked_for():
    tiny = cv2.resize(data.astronaut(), (48, 48), interpolation=cv2.INTER_AREA)
    keypoints = pose(data.astronaut(), WHOLE)
    assert head(tiny, WHOLE, keypoints) is None
