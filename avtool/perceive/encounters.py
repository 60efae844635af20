"""What people do with things and with each other: holds, comes close to, hugs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from avtool.perceive.bodies import SEEN, Joint
from avtool.perceive.postures import HIPS, SHOULDERS, runs
from avtool.perceive.tracks import Crowd
from avtool.timeline import SECOND, Action, Span, Track

# Kinds of objects that one hand holds; others are leant on, sat on, or carried out of sight.
# fmt: off
HELD = frozenset((
    "umbrella", "handbag", "frisbee", "baseball bat", "tennis racket", "bottle", "wine glass", "cup", "fork",
    "knife", "spoon", "banana", "apple", "sandwich", "hot dog", "donut", "remote", "cell phone", "book",
    "scissors", "teddy bear", "hair drier", "toothbrush",
))
# fmt: on
APART, CLOSE = 0.6, 0.15  # of two people: the space between their boxes, in their mean height
APPROACH = 4 * SECOND  # within which they come from apart to close


def holds(crowd: Crowd) -> Iterator[tuple[Track, Track, Span]]:
    """A wrist lies on one and the same object on three looks or more, for a second: person, object, when."""
    for thing in crowd.tracks:
        if thing.label not in HELD:
            continue
        places = dict(zip(thing.times, thing.boxes, strict=True))
        for person in crowd.people:
            body = crowd.bodies.get(person.id)
            if person.shot != thing.shot or body is None:
                continue
            rows = [row for row, time in enumerate(body.times.tolist()) if time in places]
            if len(rows) < 3:
                continue
            times = body.times[rows]
            boxes = np.array([places[time] for time in times.tolist()])
            wrists = body.keypoints[rows][:, [Joint.LEFT_WRIST, Joint.RIGHT_WRIST]]
            size = boxes[:, 2:] - boxes[:, :2]
            reach = np.concatenate((boxes[:, :2] - 0.25 * size, boxes[:, 2:] + 0.25 * size), 1)[:, None]
            near = (wrists[..., :2] >= reach[..., :2]).all(2) & (wrists[..., :2] <= reach[..., 2:]).all(2)
            seen = wrists[..., 2] > SEEN
            for span in runs(times, np.any(seen, 1), np.any(near & seen, 1), SECOND):
                yield person, thing, span


def approaches(crowd: Crowd) -> Iterator[tuple[Track, Track, Span]]:
    """Two people of like size, seen side by side, come from apart to close and stay so for a second: who moved
    more, the other, when. Passers-by do not stay."""
    for first, second in _pairs(crowd):
        times, boxes = _together(first, second)
        if len(times) < 3:
            continue
        boxes = boxes * np.array((crowd.aspect, 1) * 2)
        heights = boxes[..., 3] - boxes[..., 1]
        height = heights.mean(1)
        alike = heights.max(1) < 1.3 * heights.min(1)
        level = np.minimum(boxes[:, 0, 3], boxes[:, 1, 3]) - np.maximum(boxes[:, 0, 1], boxes[:, 1, 1])
        space = np.maximum(boxes[:, 0, 0] - boxes[:, 1, 2], boxes[:, 1, 0] - boxes[:, 0, 2]) / height
        beside = alike & (level > 0.7 * height)
        stays = [times.searchsorted(span.start) for span in runs(times, beside, space < CLOSE, SECOND)]
        for end in stays:
            begins = np.flatnonzero(
                beside[:end] & (space[:end] > APART) & (times[end] - times[:end] < APPROACH)
            )
            if len(begins):
                begin = begins[-1]
                centres = boxes[[begin, end]][..., [0, 2]].mean(2)
                moved = np.abs(centres[1] - centres[0])
                who, whom = (first, second) if moved[0] >= moved[1] else (second, first)
                yield who, whom, Span(int(times[begin]), int(times[end]) + 1)
                break


def embraces(crowd: Crowd) -> Iterator[tuple[Track, Track, Span]]:
    """Two people of like size breast to breast, each with a wrist on the other's trunk, for a second."""
    for first, second in _pairs(crowd):
        bodies = crowd.bodies.get(first.id), crowd.bodies.get(second.id)
        if bodies[0] is None or bodies[1] is None:
            continue
        times, rows, others = np.intersect1d(bodies[0].times, bodies[1].times, return_indices=True)
        if len(times) < 3:
            continue
        one, two = bodies[0].keypoints[rows], bodies[1].keypoints[others]
        trunk = [*SHOULDERS, *HIPS]
        known = np.all(np.minimum(one, two)[:, trunk, 2] > SEEN, 1)
        scale = np.array((crowd.aspect, 1))
        centres = [body[:, trunk, :2].mean(1) * scale for body in (one, two)]
        torso = [
            np.linalg.norm((body[:, SHOULDERS, :2].mean(1) - body[:, HIPS, :2].mean(1)) * scale, axis=1)
            for body in (one, two)
        ]
        near = np.linalg.norm(centres[0] - centres[1], axis=1) < 0.6 * np.minimum(*torso)
        alike = np.maximum(*torso) < 1.4 * np.minimum(*torso)
        around = _touches(one, two, scale) & _touches(two, one, scale)
        for span in runs(times, known, near & alike & around, SECOND):
            yield first, second, span


def actions(crowd: Crowd) -> Iterator[Action]:
    """Every action with a thing or another person; the confidence is left at 1."""
    for person, thing, span in holds(crowd):
        yield Action(person.id, person.shot, "holds", span, 1.0, object=thing.label)
    for verb, rule in (("comes close to", approaches), ("hugs", embraces)):
        for who, whom, span in rule(crowd):
            yield Action(who.id, who.shot, verb, span, 1.0, other=whom.id)


def _touches(body: np.ndarray, other: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Whether a wrist of `body` (n, 17, 3) lies within a quarter torso of the other's trunk, (n,)."""
    trunk = other[:, [*SHOULDERS, *HIPS], :2] * scale
    slack = (trunk[:, 2:, 1].mean(1) - trunk[:, :2, 1].mean(1))[:, None] / 4
    wrists = body[:, [Joint.LEFT_WRIST, Joint.RIGHT_WRIST]]
    points = wrists[..., :2] * scale
    low, high = trunk.min(1) - slack, trunk.max(1) + slack
    inside = (points >= low[:, None]).all(2) & (points <= high[:, None]).all(2)
    return (inside & (wrists[..., 2] > SEEN)).any(1)


def _pairs(crowd: Crowd) -> Iterator[tuple[Track, Track]]:
    shots: dict[int, list[Track]] = {}
    for track in crowd.people:
        shots.setdefault(track.shot, []).append(track)
    for tracks in shots.values():
        yield from combinations(tracks, 2)


def _together(first: Track, second: Track) -> tuple[np.ndarray, np.ndarray]:
    """The times at which both were seen (n,), and their boxes (n, 2, 4)."""
    times, rows, others = np.intersect1d(first.times, second.times, return_indices=True)
    boxes = np.stack((np.array(first.boxes)[rows], np.array(second.boxes)[others]), 1)
    return times, boxes
