"""Bodies: keypoints lie on the astronaut's face, at the same place of any crop."""

import numpy as np
import pytest
from skimage import data

from avtool.perceive.bodies import SEEN, Joint, pose, same

WHOLE = np.array((0.0, 0.0, 1.0, 1.0), np.float32)


def test_the_astronauts_nose_and_eyes_are_where_they_are():
    keypoints = pose(data.astronaut(), WHOLE)
    assert keypoints.shape == (17, 3)
    assert (keypoints[[Joint.NOSE, Joint.LEFT_EYE, Joint.RIGHT_EYE], 2] > SEEN).all()
    assert keypoints[Joint.NOSE, :2] == pytest.approx((0.44, 0.25), abs=0.04)
    assert keypoints[Joint.LEFT_EYE, 0] > keypoints[Joint.RIGHT_EYE, 0]


def test_a_box_elsewhere_in_a_larger_picture_moves_the_keypoints_with_it():
    large = np.zeros((1024, 1024, 3), np.uint8)
    large[512:, 512:] = data.astronaut()
    alone = pose(data.astronaut(), WHOLE)
    placed = pose(large, np.array((0.5, 0.5, 1.0, 1.0), np.float32))
    assert np.abs(placed[Joint.NOSE, :2] - (alone[Joint.NOSE, :2] + 1) / 2).max() < 0.02


def test_a_body_is_the_same_as_itself_and_not_as_one_beside_it():
    keypoints = pose(data.astronaut(), WHOLE)
    beside = keypoints + np.array((0.5, 0, 0), np.float32)
    assert same(keypoints, keypoints, 1.0)
    assert not same(keypoints, beside, 1.0)
