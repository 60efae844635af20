"""Shots: where one run of the camera ends and the next begins.

TransNetV2 gives each frame two probabilities: of being the last before a cut, and of lying inside a transition.
It sees windows of 400 frames of which the middle 350 are kept; the published inference keeps 50 of 100, for
three quarters more work and probabilities that differ by less than the rounding of bfloat16. What it marks is
then read with the eyes of an editor: black belongs to a fade, a flash or a strobe is no cut, and a cut falls
where the picture jumps.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from avtool import cores
from avtool.perceive import bars
from avtool.perceive.transnet import HEIGHT, WIDTH, TransNetV2
from avtool.timeline import SECOND, Shot, Span, Transition
from avtool.weights import trusted

WINDOW, STEP = 400, 350  # frames
CONTEXT = (WINDOW - STEP) // 2

CERTAIN = 0.5  # the published threshold
LIKELY = 0.15  # enough where the picture jumps as well
JUMP = 12.0  # mean difference of two frames, of 255
SPIKE = 2.0  # times the largest jump among the NEIGHBOURS on either side
NEIGHBOURS = 8  # frames
GRADUAL = 4  # frames: a hard cut marks one, now and then two or three
SLACK = 3  # frames between two parts of one transition, as between fading out and fading in
SHORTEST = int(0.3 * SECOND)  # anything shorter is a flash, not a shot


@dataclass(frozen=True, slots=True)
class Boundary:
    """A change of shot at `time`, where the new one begins."""

    time: int
    transition: Transition
    confidence: float


class Shots:
    """The perceiver of shots. It keeps 22 bytes a frame, and the pictures of one window."""

    fps: float | None = None
    size: tuple[int, int] | None = (
        2 * HEIGHT,
        2 * WIDTH,
    )  # twice as fine as the network wants, so that black bars can be cut off
    gray: bool = False

    def __init__(self) -> None:
        state = torch.load(trusted("transnetv2"), map_location="cpu", weights_only=True)
        self._network = TransNetV2(state, cores.precision())
        self._waiting_times = np.empty(0, np.int64)
        self._waiting = np.empty((0, 2 * HEIGHT, 2 * WIDTH, 3), np.uint8)
        self._times = array("q")
        self._cut = array("f")  # probability that this is the last frame of its shot
        self._change = array("f")  # probability that the frame lies inside a transition
        self._jump = array("f")  # mean difference from the frame before
        self._brightest = array("B")  # of any spot and colour
        self._passing = array("B")  # 1 where what changes after this frame does not last

    def see(self, times: np.ndarray, frames: np.ndarray) -> None:
        first = not self._waiting_times.size
        self._waiting_times = np.concatenate([self._waiting_times, times])
        self._waiting = np.concatenate([self._waiting, frames])
        if first:
            self._repeat(CONTEXT, 0)
        while len(self._waiting) >= WINDOW:
            self._predict(STEP)

    def finish(self) -> None:
        left = len(self._waiting) - CONTEXT
        if left > 0:
            self._repeat(0, CONTEXT)
            while left > 0:
                self._predict(min(left, STEP))
                left -= STEP

    def shots(self, whole: Span) -> list[Shot]:
        """The shots that tile `whole`, none shorter than 0.3 s unless `whole` is."""
        found = _boundaries(
            np.array(self._times, np.int64),
            np.array(self._cut, np.float32),
            np.array(self._change, np.float32),
            np.array(self._jump, np.float32),
            np.array(self._brightest, np.uint8) < bars.BLACK,
            np.array(self._passing, bool),
        )
        kept = _apart(found, whole)
        starts = [Boundary(whole.start, "start", 1.0), *kept]
        ends = [*(boundary.time for boundary in kept), whole.end]
        return [
            Shot(index, Span(start.time, end), start.transition, start.confidence)
            for index, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]

    def _repeat(self, before: int, after: int) -> None:
        """Let the first and the last frame waiting stand in for what the film does not have."""
        self._waiting_times = np.pad(self._waiting_times, (before, after), "edge")
        self._waiting = np.pad(self._waiting, ((before, after), (0, 0), (0, 0), (0, 0)), "edge")

    def _predict(self, count: int) -> None:
        """Note `count` frames from the middle of the window that waits, and let those go."""
        times, window = self._waiting_times[:WINDOW], self._waiting[:WINDOW]
        frames = _without_bars(window)
        with torch.inference_mode():
            cut, change = (logits.sigmoid().numpy() for logits in self._network(torch.from_numpy(frames)))
        for at in range(CONTEXT, CONTEXT + count):
            self._times.append(times[at])
            self._cut.append(cut[at])
            self._change.append(change[at])
            self._jump.append(_difference(frames[at], frames[at - 1]))
            self._brightest.append(window[at].max())
            self._passing.append(int(cut[at] > LIKELY and _passes(times, frames, at)))
        self._waiting_times, self._waiting = self._waiting_times[count:], self._waiting[count:]


def _without_bars(window: np.ndarray) -> np.ndarray:
    """The window (frames, height, width, 3) at the network's size, less the bars that are black throughout.

    Bars take a share of the picture and make the network unsure: on a pillarboxed music video it is certain of
    106 cuts with them and of 124 without, all real.
    """
    rows, columns = bars.inside(window)
    window = window[:, rows, columns]
    return np.stack([cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for frame in window])


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return cv2.norm(one, other, cv2.NORM_L1) / one.size


def _passes(times: np.ndarray, frames: np.ndarray, at: int) -> bool:
    """Whether the picture after frame `at` was there just before, or the one at `at` soon comes back."""
    old, new = frames[at], frames[at + 1]
    same = _difference(old, new) / 3
    back = any(
        _difference(old, frames[later]) < same
        for later in range(at + 2, len(frames))
        if times[later] - times[at + 1] <= SHORTEST
    )
    return back or any(
        _difference(new, frames[earlier]) < same
        for earlier in range(at)
        if times[at] - times[earlier] <= SHORTEST
    )


def _boundaries(
    times: np.ndarray,
    cut: np.ndarray,
    change: np.ndarray,
    jump: np.ndarray,
    black: np.ndarray,
    passing: np.ndarray,
) -> list[Boundary]:
    """Every transition of the film, from what was noted of its frames (all (frames,))."""
    marked = cut > CERTAIN
    for frame in np.flatnonzero(cut > LIKELY).tolist():
        marked[frame] |= _jumps(jump, frame + 1)
    marked &= ~passing
    lasting_black = np.zeros_like(black)
    for first, last in _runs(black):
        lasting_black[first : last + 1] = times[last] - times[first] >= SHORTEST

    found = []
    for first, last in _runs(_close(marked | black | (change > CERTAIN))):
        inside = slice(first, last + 1)
        opens, ends = first <= SLACK, last >= len(times) - 1 - SLACK
        if opens or ends or not (marked | lasting_black)[inside].any():
            continue
        if black[inside].any():
            start = first + int(np.flatnonzero(black[inside])[-1]) + 1
            gradual = np.count_nonzero(~black[inside]) >= GRADUAL
        else:
            start = first + int(np.argmax(np.where(marked, cut, 0)[inside])) + 1
            gradual = last - first + 1 >= GRADUAL and not _jumps(jump, start)
        kind = "cut" if not gradual else "fade" if black[inside].any() else "dissolve"
        found.append(Boundary(int(times[start]), kind, float(max(cut[inside].max(), change[inside].max()))))
    return found


def _jumps(jump: np.ndarray, frame: int) -> bool:
    """Whether the picture at `frame` differs from the one before as neighbouring frames here do not."""
    if frame >= len(jump) or jump[frame] < JUMP:
        return False
    around = np.r_[jump[max(0, frame - NEIGHBOURS) : frame], jump[frame + 1 : frame + 1 + NEIGHBOURS]]
    return bool(jump[frame] >= SPIKE * around.max(initial=0))


def _close(flags: np.ndarray) -> np.ndarray:
    """`flags` with holes of at most SLACK frames filled."""
    filled = flags.copy()
    for first, last in _runs(~flags):
        if first > 0 and last < len(flags) - 1 and last - first < SLACK:
            filled[first : last + 1] = True
    return filled


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of every run of true flags."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]


def _apart(found: list[Boundary], whole: Span) -> list[Boundary]:
    """The surest boundaries that leave every shot of `whole` at least 0.3 s, in order."""
    kept: list[Boundary] = []
    for boundary in sorted(found, key=lambda boundary: (-boundary.confidence, boundary.time)):
        at = boundary.time
        if at - whole.start < SHORTEST or whole.end - at < SHORTEST:
            continue
        if all(abs(at - other.time) >= SHORTEST for other in kept):
            kept.append(boundary)
    return sorted(kept, key=lambda boundary: boundary.time)
