"""What a body does, from its keypoints: stands, sits, walks, runs, raises a hand, points, turns.

Every rule speaks of lengths of the body itself (torso, leg, arm), so that neither the size of the person nor a
moving camera matters, and asks for a posture that is held or a movement that is whole. Where a joint it needs is
not seen, it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from avtool.perceive.bodies import Joint
from avtool.perceive.tracks import Bodies
from avtool.timeline import SECOND, Span

SEEN = 0.2  # keypoints that score above it are believed here: a rule asks for several that agree
STILL, STROLL, RUN = 0.5, 0.8, 5.0  # torsos a second: slower stands, a walk begins at, a run begins at
AROUND = int(0.55 * SECOND)  # before and after a sample is looked at to tell how it moves
BRIDGE = int(0.8 * SECOND)  # two samples of one action lie no farther apart

LEFT_LEG = (Joint.LEFT_HIP, Joint.LEFT_KNEE, Joint.LEFT_ANKLE)
RIGHT_LEG = (Joint.RIGHT_HIP, Joint.RIGHT_KNEE, Joint.RIGHT_ANKLE)
LEFT_ARM = (Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW, Joint.LEFT_WRIST)
RIGHT_ARM = (Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST)
SHOULDERS = (Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER)
HIPS = (Joint.LEFT_HIP, Joint.RIGHT_HIP)

Times = np.ndarray  # (n,) microseconds
Points = np.ndarray  # (n, 17, 2) in picture heights
Seen = np.ndarray  # (n, 17) whether a keypoint is


def actions(bodies: Bodies, aspect: float) -> Iterator[tuple[str, Span]]:
    """Every action of one body, a verb and when; `aspect` is the picture's width over its height."""
    points = bodies.keypoints[..., :2] * np.array((aspect, 1), np.float32)
    seen = bodies.keypoints[..., 2] > SEEN
    for verb, rule in RULES.items():
        for span in rule(bodies.times, points, seen):
            yield verb, span


def runs(times: Times, known: np.ndarray, holds: np.ndarray, least: int) -> list[Span]:
    """The spans over which `holds` (n,) stays true for `least` microseconds, on two samples or more.

    Samples that are not `known` (n,) speak neither for nor against; one that differs from both its neighbours
    is taken for a slip.
    """
    rows = np.flatnonzero(known)
    if not len(rows):
        return []
    held = holds[rows].copy()
    held[1:-1] = holds[rows][:-2] & holds[rows][2:] | held[1:-1] & (holds[rows][:-2] | holds[rows][2:])
    breaks = np.flatnonzero((np.diff(held) != 0) | (np.diff(times[rows]) > BRIDGE)) + 1
    spans = [
        Span(int(times[rows[run[0]]]), int(times[rows[run[-1]]]) + 1)
        for run in np.split(np.arange(len(rows)), breaks)
        if held[run[0]] and len(run) >= 2
    ]
    return [span for span in spans if span.duration >= least]


def windows(times: Times, reach: int) -> Iterator[slice]:
    """For every sample, the samples at most `reach` microseconds before and after it. `times` are in order."""
    first = np.searchsorted(times, times - reach, side="left")
    last = np.searchsorted(times, times + reach, side="right")
    yield from map(slice, first.tolist(), last.tolist())


def stands(times: Times, points: Points, seen: Seen) -> list[Span]:
    """Thighs upright below an upright torso, and straight where the feet are seen, at one place for half a
    second. Where the camera moves along or away it says nothing."""
    shoulders, hips = points[:, SHOULDERS].mean(1), points[:, HIPS].mean(1)
    torso = np.maximum(hips[:, 1] - shoulders[:, 1], 1e-6)
    trunk = _all(seen, [*SHOULDERS, *HIPS])
    knees = _any(seen, [Joint.LEFT_KNEE, Joint.RIGHT_KNEE])
    # A seated person's knees would be in the picture where it goes on below the hips.
    cropped = (hips[:, 1] + 0.4 * torso < 1) & (hips[:, 1] + 0.8 * torso > 1)
    upright = _lean(shoulders, hips) < 25
    for hip, knee, ankle in (LEFT_LEG, RIGHT_LEG):
        thigh = _lean(points[:, hip], points[:, knee]) < 30
        thigh &= points[:, knee, 1] - points[:, hip, 1] > 0.45 * torso
        upright &= thigh | ~seen[:, knee]
        upright &= (_angle(points, hip, knee, ankle) > 150) | ~_all(seen, [knee, ankle])
    known = trunk & (knees | cropped)
    speed = np.linalg.norm(_velocity(times, hips, torso, known), axis=1)
    return runs(
        times,
        known,
        upright & (speed < STILL) & _rests(times, points - hips[:, None], torso, seen),
        SECOND // 2,
    )


def _rests(times: Times, points: Points, torso: np.ndarray, seen: Seen) -> np.ndarray:
    """Whether knees and feet, in `points` relative to the hips, keep their place around each sample, (n,)."""
    rests = np.ones(len(times), bool)
    for joint in (*LEFT_LEG[1:], *RIGHT_LEG[1:]):
        rows = np.flatnonzero(seen[:, joint])
        for row, window in zip(rows, windows(times[rows], AROUND), strict=True):
            near = rows[window]
            rests[row] &= bool((np.ptp(points[near, joint], axis=0) < 0.5 * torso[row]).all())
    return rests


def sits(times: Times, points: Points, seen: Seen) -> list[Span]:
    """Knees at about the height of the hips, ankles below them, torso upright, for a second and a half."""
    known = _all(seen, [*LEFT_LEG, *RIGHT_LEG]) & _all(seen, SHOULDERS)
    shoulders, hips = points[:, SHOULDERS].mean(1), points[:, HIPS].mean(1)
    torso = np.maximum(hips[:, 1] - shoulders[:, 1], 1e-6)
    seated = _lean(shoulders, hips) < 35
    for hip, knee, ankle in (LEFT_LEG, RIGHT_LEG):
        seated &= np.abs(points[:, knee, 1] - points[:, hip, 1]) < 0.45 * torso
        seated &= points[:, ankle, 1] - points[:, knee, 1] > 0.4 * torso
    return runs(times, known, seated, SECOND * 3 // 2)


def walks(times: Times, points: Points, seen: Seen) -> list[Span]:
    """The legs part and close while the body travels one way, for three quarters of a second."""
    return _travels(times, points, seen, STROLL, RUN)


def runs_fast(times: Times, points: Points, seen: Seen) -> list[Span]:
    """As walks, faster than anybody walks."""
    return _travels(times, points, seen, RUN, np.inf)


def _travels(times: Times, points: Points, seen: Seen, least: float, most: float) -> list[Span]:
    """Spans in which the body goes one way, faster than `least` and slower than `most`
    torsos a second, while the legs part and close."""
    shoulders, hips = points[:, SHOULDERS].mean(1), points[:, HIPS].mean(1)
    torso = np.maximum(hips[:, 1] - shoulders[:, 1], 1e-6)
    known = _all(seen, [*SHOULDERS, *LEFT_LEG, *RIGHT_LEG])
    velocity = _velocity(times, hips, torso, known)
    ankles = points[:, Joint.LEFT_ANKLE] - points[:, Joint.RIGHT_ANKLE]
    stride = np.linalg.norm(ankles, axis=1) / torso
    spans = []
    for way in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        speed = velocity @ np.array(way)
        for span in runs(times, known, (speed > least) & (speed < most), SECOND * 3 // 4):
            rows = known & (times >= span.start) & (times < span.end)
            if rows.sum() >= 4 and np.ptp(stride[rows]) > 0.3:
                spans.append(span)
    return sorted(spans)


def _velocity(times: Times, places: np.ndarray, unit: np.ndarray, known: np.ndarray) -> np.ndarray:
    """How `places` (n, 2) move from half a second before each sample to half a second after, in `unit` (n,) a
    second: (n, 2). NaN where the samples around are not `known`."""
    velocity = np.full(places.shape, np.nan)
    rows = np.flatnonzero(known)
    for row, window in zip(rows, windows(times[rows], AROUND), strict=True):
        near = rows[window]
        lapse = times[near[-1]] - times[near[0]]
        if lapse >= 0.4 * SECOND:
            way = places[near[-1]] - places[near[0]]
            velocity[row] = way / (lapse / SECOND) / np.median(unit[near])
    return velocity


def raises_hand(times: Times, points: Points, seen: Seen) -> list[Span]:
    """A wrist as high as the shoulders and above its elbow, seen twice in a row."""
    shoulders, hips = points[:, SHOULDERS].mean(1), points[:, HIPS].mean(1)
    torso = np.maximum(hips[:, 1] - shoulders[:, 1], 1e-6)
    known, up = np.zeros((2, len(times)), bool)
    for shoulder, elbow, wrist in (LEFT_ARM, RIGHT_ARM):
        high = points[:, wrist, 1] < points[:, shoulder, 1]
        high &= points[:, wrist, 1] < points[:, elbow, 1] - 0.15 * torso
        arm = _all(seen, [shoulder, elbow, wrist])
        known |= arm
        up |= arm & high
    return runs(times, known, up, 0)


def points_at(times: Times, points: Points, seen: Seen) -> list[Span]:
    """One arm stretched out level and held so, the other hanging."""
    known, out = np.zeros((2, len(times)), bool)
    for arm, other in ((LEFT_ARM, RIGHT_ARM), (RIGHT_ARM, LEFT_ARM)):
        shoulder, _, wrist = arm
        length = np.maximum(_length(points[:, shoulder], points[:, wrist]), 1e-6)
        level = np.abs(_lean(points[:, shoulder], points[:, wrist]) - 90) < 30
        rest = _lean(points[:, other[0]], points[:, other[2]]) < 30
        held = np.zeros(len(times), bool)
        reach = points[:, wrist] - points[:, shoulder]
        held[1:] = np.linalg.norm(np.diff(reach, axis=0), axis=1) < 0.25 * length[1:]
        held[:-1] |= held[1:]
        both = _all(seen, [*arm, *other])
        known |= both
        out |= both & (_angle(points, *arm) > 155) & level & rest & held
    return runs(times, known, out, SECOND // 2)


def turns(times: Times, points: Points, seen: Seen) -> list[Span]:
    """The shoulders of a body that stays where it is change sides, and keep them: who faced the picture shows
    the back, or the other way round."""
    shoulders, hips = points[:, SHOULDERS], points[:, HIPS].mean(1)
    torso = np.maximum(np.abs(hips[:, 1] - shoulders[:, :, 1].mean(1)), 1e-6)
    width = (shoulders[:, 0, 0] - shoulders[:, 1, 0]) / torso
    trunk = _all(seen, [*SHOULDERS, *HIPS])
    slow = np.linalg.norm(_velocity(times, hips, torso, trunk), axis=1) < STROLL
    rows = np.flatnonzero(trunk & (np.abs(width) > 0.4))
    side = np.sign(width[rows])
    return [
        Span(int(times[rows[at - 1]]), int(times[rows[at]]) + 1)
        for at in range(2, len(rows) - 1)
        if side[at - 2] == side[at - 1] != side[at] == side[at + 1]
        and times[rows[at]] - times[rows[at - 1]] <= SECOND
        and slow[rows[at - 1 : at + 1]].all()
    ]


def _all(seen: Seen, joints: Sequence[int]) -> np.ndarray:
    """Whether all of `joints` are seen, (n,)."""
    return np.asarray(seen[:, joints].all(1))


def _any(seen: Seen, joints: Sequence[int]) -> np.ndarray:
    """Whether one of `joints` is seen, (n,)."""
    return np.asarray(seen[:, joints].any(1))


def _angle(points: Points, first: int, middle: int, last: int) -> np.ndarray:
    """The angle at `middle`, in degrees, (n,)."""
    a, b = points[:, first] - points[:, middle], points[:, last] - points[:, middle]
    lengths = np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-9)
    return np.degrees(np.arccos(((a * b).sum(1) / lengths).clip(-1, 1)))


def _lean(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """The angle between the way from `upper` to `lower` (n, 2) and straight down, in degrees."""
    way = lower - upper
    return np.degrees(np.arctan2(np.abs(way[:, 0]), way[:, 1]))


def _length(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.linalg.norm(first - second, axis=1)


RULES = {
    "stands": stands,
    "sits": sits,
    "walks": walks,
    "runs": runs_fast,
    "raises a hand": raises_hand,
    "points": points_at,
    "turns": turns,
}
