"""What people do with things and with each other, on made tracks and bodies."""

import numpy as np
import pytest

from avtool.perceive import encounters
from avtool.perceive.bodies import Joint
from avtool.perceive.tracks import Bodies, Crowd
from avtool.timeline import SECOND, Track

TIMES = np.arange(9) * SECOND // 4


def track(number: int, boxes: np.ndarray, label: str = "person") -> Track:
    """A track seen four times a second in `boxes` (n, 4)."""
    rows = tuple(tuple(row) for row in boxes.tolist())
    return Track(number, 0, label, tuple(TIMES.tolist()), rows, (0.9,) * len(rows))  # pyright: ignore[reportArgumentType]


def standing(x: float, wrist: tuple[float, float]) -> Bodies:
    """A body whose trunk is around `x`, both wrists at `wrist`."""
    keypoints = np.zeros((len(TIMES), 17, 3), np.float32)
    keypoints[..., 2] = 0.9
    keypoints[:, [Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER], :2] = [(x + 0.04, 0.3), (x - 0.04, 0.3)]
    keypoints[:, [Joint.LEFT_HIP, Joint.RIGHT_HIP], :2] = [(x + 0.03, 0.6), (x - 0.03, 0.6)]
    keypoints[:, [Joint.LEFT_WRIST, Joint.RIGHT_WRIST], :2] = wrist
    return Bodies(TIMES, keypoints)


def still(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.tile((left, top, right, bottom), (len(TIMES), 1))


def verbs(crowd: Crowd) -> list[tuple[str, int, int | None, str | None]]:
    return [(it.verb, it.track, it.other, it.object) for it in encounters.actions(crowd)]


PERSON, CUP = still(0.4, 0.1, 0.6, 0.95), still(0.54, 0.44, 0.58, 0.52)


@pytest.mark.parametrize(
    ("wrist", "label", "found"),
    [
        ((0.56, 0.48), "cup", [("holds", 0, None, "cup")]),
        ((0.42, 0.60), "cup", []),
        ((0.56, 0.48), "chair", []),
    ],
)
def test_a_wrist_that_stays_on_a_thing_that_a_hand_can_hold_holds_it(wrist, label, found):
    tracks = [track(0, PERSON), track(1, CUP, label)]
    assert verbs(Crowd(tracks, {0: standing(0.5, wrist)}, {}, [])) == found


def walking(stop: float) -> np.ndarray:
    """A person who starts at the left edge and goes on until the left side is at `stop`, then stays."""
    left = np.minimum(np.linspace(0.0, 2 * stop, len(TIMES)), stop)
    return np.stack([left, np.full(9, 0.2), left + 0.15, np.full(9, 0.95)], axis=1)


@pytest.mark.parametrize(("stop", "found"), [(0.5, [("comes close to", 0, 1, None)]), (0.2, [])])
def test_who_walks_up_to_somebody_and_stays_comes_close(stop, found):
    other = still(0.68, 0.2, 0.83, 0.95)
    assert verbs(Crowd([track(0, walking(stop)), track(1, other)], {}, {}, [], aspect=1.6)) == found


def test_who_passes_by_does_not_come_close():
    left = np.concatenate([np.linspace(0.0, 0.5, 5), np.linspace(0.6, 0.84, 4)])
    passing = np.stack([left, np.full(9, 0.2), left + 0.15, np.full(9, 0.95)], axis=1)
    other = still(0.6, 0.2, 0.75, 0.95)
    assert verbs(Crowd([track(0, passing), track(1, other)], {}, {}, [], aspect=1.6)) == []


@pytest.mark.parametrize(
    ("wrists", "found"),
    [
        (((0.54, 0.4), (0.46, 0.4)), [("hugs", 0, 1, None)]),
        (((0.46, 0.8), (0.46, 0.4)), []),  # only one of them reaches round the other
    ],
)
def test_two_breast_to_breast_with_arms_round_each_other_hug(wrists, found):
    tracks = [track(0, still(0.36, 0.1, 0.56, 0.95)), track(1, still(0.44, 0.1, 0.64, 0.95))]
    bodies = {0: standing(0.46, wrists[0]), 1: standing(0.54, wrists[1])}
    assert verbs(Crowd(tracks, bodies, {}, [])) == found
