"""Objects: an astronaut is a person where she is, whatever the picture's size."""

import numpy as np
from skimage import data

from avtool.perceive.objects import PERSON, detect


def test_the_astronaut_is_the_only_person_and_lies_where_she_is():
    found = detect(data.astronaut())
    people = np.flatnonzero(found.labels == PERSON)
    assert len(people) == 1
    x0, y0, x1, y1 = found.boxes[people[0]]
    assert x0 < 0.15 and y0 < 0.1 and x1 > 0.7 and y1 > 0.95
    assert (np.diff(found.scores) <= 0).all()


def test_boxes_are_of_the_picture_without_the_bars_that_make_it_square():
    wide = np.zeros((512, 1024, 3), np.uint8)
    wide[:, 512:] = data.astronaut()
    found = detect(wide)
    box = found.boxes[found.labels == PERSON][0]
    assert box[0] > 0.5 and box[3] > 0.95


def test_an_empty_picture_holds_nothing():
    found = detect(np.zeros((90, 160, 3), np.uint8))
    assert len(found) == 0 and found.boxes.shape == (0, 4)


def test_the_same_picture_gives_the_same_bytes():
    one, other = detect(data.astronaut()), detect(data.astronaut())
    assert one.boxes.tobytes() == other.boxes.tobytes() and one.scores.tobytes() == other.scores.tobytes()
