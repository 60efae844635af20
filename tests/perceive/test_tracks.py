"""Tracks: nobody crosses a cut, nothing is invented between sightings, and what is saved comes back."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool.errors import MediaError
from avtool.perceive.objects import CLASSES, PERSON
from avtool.perceive.tracks import BODY, BOX, FACE, Crowd, Follower, gather
from avtool.timeline import SECOND, Shot, Span


def shots(*cuts: int) -> list[Shot]:
    return [Shot(index, Span(start, end), "cut", 1.0) for index, (start, end) in enumerate(pairwise(cuts))]


def rows(entries: list[tuple[int, int, int, tuple[float, float, float, float]]]) -> np.ndarray:
    return np.array([(time, chain, label, box, 0.9) for time, chain, label, box in entries], BOX)


def crowd_of(boxes: np.ndarray, cuts: list[Shot], faces: np.ndarray | None = None, descriptors=None) -> Crowd:
    faces = np.zeros(0, FACE) if faces is None else faces
    descriptors = np.full((len(faces), 128), np.nan, np.float32) if descriptors is None else descriptors
    return gather(boxes, np.zeros(0, BODY), faces, descriptors, cuts, 16 / 9)


HERE, THERE = (0.1, 0.1, 0.3, 0.9), (0.6, 0.1, 0.8, 0.9)


def test_a_follower_keeps_two_people_apart_as_they_move():
    follower = Follower(1.0)
    labels = np.array([PERSON, PERSON])
    first = follower.follow(0, labels, np.array([HERE, THERE]))
    moved = np.array([THERE, HERE]) + np.array((0.05, 0, 0.05, 0))
    assert follower.follow(SECOND // 2, labels, moved) == first[::-1]


def test_a_follower_goes_on_with_a_walker_whose_narrow_boxes_do_not_meet():
    follower = Follower(1.0)
    chains = [
        follower.follow(step * SECOND // 2, np.array([PERSON]), np.array([(x, 0.4, x + 0.05, 0.6)]))[0]
        for step, x in enumerate((0.1, 0.17, 0.24, 0.31))
    ]
    assert len(set(chains)) == 1


def test_a_box_of_another_class_continues_nothing():
    follower = Follower(1.0)
    dog = CLASSES.index("dog")
    first = follower.follow(0, np.array([PERSON]), np.array([HERE]))
    assert follower.follow(SECOND // 2, np.array([dog]), np.array([HERE])) != first


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), min_size=1, max_size=40, unique=True),
    st.sets(st.integers(1, 39), max_size=4),
)
def test_no_track_crosses_a_cut_and_every_sighting_is_in_one(seen, cuts):
    boxes = rows([(time * SECOND // 4, chain, PERSON, HERE) for time, chain in sorted(seen)])
    ends = [0, *(cut * SECOND // 4 for cut in sorted(cuts)), 11 * SECOND]
    crowd = crowd_of(boxes, shots(*ends))
    spans = {shot.index: shot.span for shot in shots(*ends)}
    for track in crowd.tracks:
        assert all(time in spans[track.shot] for time in track.times)
        assert list(track.times) == sorted(track.times)
    times = sorted(time for track in crowd.tracks for time in track.times)
    assert times == sorted(boxes["time"].tolist())


def test_what_lies_outside_of_every_shot_is_left_out():
    crowd = crowd_of(
        rows([(0, 0, PERSON, HERE), (5 * SECOND, 0, PERSON, HERE)]), shots(4 * SECOND, 6 * SECOND)
    )
    assert [track.times for track in crowd.tracks] == [(5 * SECOND,)]


@pytest.mark.parametrize(("distance", "tracks"), [(0.1, 1), (0.9, 2)])
def test_a_face_that_comes_back_elsewhere_mends_the_track_if_it_is_the_same(distance: float, tracks: int):
    boxes = rows([(0, 0, PERSON, HERE), (2 * SECOND, 1, PERSON, THERE)])
    faces = np.zeros(2, FACE)
    faces["time"], faces["chain"] = (0, 2 * SECOND), (0, 1)
    descriptors = np.zeros((2, 128), np.float32)
    descriptors[1, 0] = distance
    crowd = crowd_of(boxes, shots(0, 3 * SECOND), faces, descriptors)
    assert len(crowd.people) == tracks
    assert sum(len(seen.times) for seen in crowd.faces.values()) == 2


def test_things_are_counted_at_once_and_a_single_glimpse_is_none():
    car, cup = CLASSES.index("car"), CLASSES.index("cup")
    entries = [
        (time * SECOND, chain, car, box) for time in range(3) for chain, box in enumerate((HERE, THERE))
    ]
    crowd = crowd_of(rows([*entries, (0, 7, cup, HERE)]), shots(0, 4 * SECOND))
    assert [(thing.label, thing.count, thing.span.start) for thing in crowd.things] == [("car", 2, 0)]


def test_a_saved_crowd_comes_back(tmp_path: Path):
    car = CLASSES.index("car")
    boxes = rows([(t * SECOND, c, label, HERE) for t in range(3) for c, label in ((0, PERSON), (1, car))])
    bodies = np.zeros(3, BODY)
    bodies["time"], bodies["keypoints"] = boxes["time"][boxes["label"] == PERSON], 0.5
    faces = np.zeros(2, FACE)
    faces["time"], faces["smile"] = (0, SECOND), (0.1, 0.2)
    descriptors = np.full((2, 128), np.nan, np.float32)
    descriptors[1] = 0.25
    crowd = gather(boxes, bodies, faces, descriptors, shots(0, 5 * SECOND), 1.5)
    crowd.save(tmp_path / "people.npz")
    again = Crowd.load(tmp_path / "people.npz")
    assert again.tracks == crowd.tracks and again.things == crowd.things and again.aspect == 1.5
    for name, one, other in (("bodies", crowd.bodies, again.bodies), ("faces", crowd.faces, again.faces)):
        assert list(one) == list(other), name
        for track in one:
            for field in type(one[track]).__dataclass_fields__:
                np.testing.assert_array_equal(getattr(one[track], field), getattr(other[track], field))
    assert [path.name for path in tmp_path.iterdir()] == ["people.npz"]


def test_an_empty_crowd_comes_back(tmp_path: Path):
    crowd_of(np.zeros(0, BOX), []).save(tmp_path / "people.npz")
    assert Crowd.load(tmp_path / "people.npz").tracks == []


def test_a_file_that_is_not_a_crowd_is_told_in_one_line(tmp_path: Path):
    path = tmp_path / "people.npz"
    path.write_bytes(b"PK\x03\x04 nothing of the kind")
    with pytest.raises(MediaError, match="people.npz"):
        Crowd.load(path)
