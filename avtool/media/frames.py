"""Frames of a film: one decoding pass shown to every perceiver, and single frames at given times."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field

import av
import numpy as np

from avtool.errors import MediaError
from avtool.media.decoding import watch
from avtool.media.display import Screen
from avtool.media.probe import Probe
from avtool.perceive import Perceiver
from avtool.timeline import SECOND, Span, merge

_BATCH_BYTES = 8 << 20  # a batch is handed over when it holds so much,
_BATCH_SPAN = 4 * SECOND  # or so long a piece of the film
_BATCHES_AHEAD = 3  # batches that wait for each perceiver
_NEAR = 5 * SECOND  # between frames to grab, that are decoded through rather than sought
_ROUNDING = 1_000  # microseconds: some containers round times to milliseconds


def show(
    film: Probe,
    perceivers: Sequence[Perceiver],
    span: Span | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Span]:
    """Decode the film (or `span` of it) once and show each perceiver the frames it asked for, in order.

    A perceiver with `fps` gets the first frame at or after each of its grid times n / fps on the film's clock, the
    first of the span, and no frame twice; a film of fewer frames is shown to it whole. Reading and every perceiver
    have a thread of their own; reading runs ahead of the slowest by a few batches. Perceivers of one rate, size and
    colour are shown the same arrays: they must not write to them. `progress` is told, in the caller's thread, how
    many microseconds of the span everybody has seen. `finish` is left to the caller. Returns the stretches that
    could not be read.

    Raises MediaError where the film has no picture; what a perceiver raises stops them all.
    """
    _ = film.picture
    span = span or film.span
    news: _News = queue.SimpleQueue()
    stopping = threading.Event()
    eyes = [_Eye(perceiver, news, stopping) for perceiver in perceivers]
    reading = _Reading(film, _views(eyes), span, news, stopping)
    for thread in (reading, *eyes):
        thread.start()
    seen = dict.fromkeys(eyes, span.start)
    told = span.start
    try:
        while seen:
            eye, event = news.get()
            if isinstance(event, BaseException):
                raise event
            assert eye is not None  # only what is raised comes from the reading
            if event is None:
                del seen[eye]
            else:
                seen[eye] = event
            if progress is not None and seen and (least := min(seen.values())) > told:
                told = least
                progress(told - span.start)
    finally:
        stopping.set()
        reading.join()
        for eye in eyes:
            eye.wake()
            eye.join()
    if progress is not None:
        progress(span.duration)
    return reading.unreadable


def grab(film: Probe, times: Sequence[int], size: tuple[int, int] | None = None) -> np.ndarray:
    """The frames on the screen at `times` (microseconds), as RGB uint8 (len(times), height, width, 3).

    That is, for each, the last frame that begins by then, or the film's first. `size` is (height, width); None is
    the size as displayed. Raises MediaError where the film has no picture, or none can be read at a time.
    """
    height, width = size or (film.picture.height, film.picture.width)
    screen = Screen(film.picture)
    grabbed: dict[int, np.ndarray] = {}
    for near in _neighbours(sorted(set(times))):
        grabbed |= {time: screen.show(frame, size, gray=False) for time, frame in _on_screen(film, near)}
    return np.array([grabbed[time] for time in times], np.uint8).reshape(len(times), height, width, 3)


def _neighbours(times: Sequence[int]) -> Iterator[list[int]]:
    """`times` in groups for which reading on is quicker than seeking anew."""
    group: list[int] = []
    for time in times:
        if group and time - group[-1] > _NEAR:
            yield group
            group = []
        group.append(time)
    if group:
        yield group


def _on_screen(film: Probe, times: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    """Each of `times`, which are in order, with its frame."""
    waiting = deque(times)
    shown: av.VideoFrame | None = None
    with closing(watch(film, times[0], [])) as frames:
        for begin, frame in frames:
            while waiting and begin > waiting[0] + _ROUNDING:
                yield waiting.popleft(), shown or frame
            if not waiting:
                return
            shown = frame
    if shown is None:
        raise MediaError(f"{film.path}: no picture can be read at {times[0] / SECOND:.3f} s or later")
    yield from ((time, shown) for time in waiting)


@dataclass(eq=False)
class _View:
    """The frames that perceivers of one rate, size and colour are shown, and the batch being filled."""

    fps: float | None
    size: tuple[int, int] | None
    gray: bool
    eyes: list[_Eye]
    due: int = 0  # microseconds of the next grid time
    times: list[int] = field(default_factory=list)
    frames: np.ndarray | None = None

    def wants(self, time: int) -> bool:
        """Whether the frame at `time` is one of this view's; if so, the next grid time is set."""
        if self.fps is None:
            return True
        if time + _ROUNDING < self.due:
            return False
        self.due = round((int((time + _ROUNDING) * self.fps / SECOND) + 1) * SECOND / self.fps)
        return True

    def add(self, time: int, picture: np.ndarray) -> bool:
        """Put a frame into the batch; whether the batch is full."""
        if self.frames is None:
            room = max(1, min(_BATCH_BYTES // picture.nbytes, 256))
            self.frames = np.empty((room, *picture.shape), np.uint8)
        self.frames[len(self.times)] = picture
        self.times.append(time)
        return len(self.times) == len(self.frames) or time - self.times[0] >= _BATCH_SPAN

    def hand_over(self) -> None:
        """Give the batch to all who share the view, and begin a fresh one."""
        assert self.frames is not None
        times = np.array(self.times, np.int64)
        for eye in self.eyes:
            eye.give((times, self.frames[: len(self.times)]))
        self.times, self.frames = [], None


def _views(eyes: Sequence[_Eye]) -> list[_View]:
    views: dict[tuple, _View] = {}
    for eye in eyes:
        kind = (eye.perceiver.fps, eye.perceiver.size, eye.perceiver.gray)
        views.setdefault(kind, _View(*kind, eyes=[])).eyes.append(eye)
    return list(views.values())


class _Stopped(Exception):
    """Nobody wants more."""


# Which perceiver has seen all up to a time, is done (None) or has failed; or how the reading (None) has failed.
_News = queue.SimpleQueue[tuple["_Eye | None", int | BaseException | None]]


class _Eye(threading.Thread):
    """Shows one perceiver its batches, in the order in which they are given."""

    def __init__(self, perceiver: Perceiver, news: _News, stopping: threading.Event) -> None:
        super().__init__(name=f"watching {type(perceiver).__name__}", daemon=True)
        self.perceiver = perceiver
        self._news = news
        self._stopping = stopping
        self._batches: queue.Queue[tuple[np.ndarray, np.ndarray] | None] = queue.Queue(_BATCHES_AHEAD)

    def give(self, batch: tuple[np.ndarray, np.ndarray] | None) -> None:
        """Let `batch` of times and frames be seen next, None where there is no more. Waits for room.

        Raises _Stopped when it is not wanted any more.
        """
        while not self._stopping.is_set():
            try:
                return self._batches.put(batch, timeout=0.1)
            except queue.Full:
                continue
        raise _Stopped

    def wake(self) -> None:
        """Let it find out that it is to stop."""
        with suppress(queue.Full):
            self._batches.put_nowait(None)

    def run(self) -> None:
        try:
            while (batch := self._batches.get()) is not None and not self._stopping.is_set():
                times, frames = batch
                self.perceiver.see(times, frames)
                self._news.put((self, int(times[-1])))
        except BaseException as failure:  # noqa: BLE001 - whatever it is, the caller's thread must raise it
            self._news.put((self, failure))
        else:
            self._news.put((self, None))


class _Reading(threading.Thread):
    """Decodes and converts ahead of the perceivers."""

    def __init__(
        self, film: Probe, views: list[_View], span: Span, news: _News, stopping: threading.Event
    ) -> None:
        super().__init__(name=f"reading {film.path.name}", daemon=True)
        self.unreadable: list[Span] = []
        self._film = film
        self._views = views
        self._span = span
        self._news = news
        self._stopping = stopping

    def run(self) -> None:
        with suppress(_Stopped):
            try:
                self._read()
            except Exception as failure:  # noqa: BLE001 - whatever it is, the caller must not wait for ever
                self._news.put((None, failure))

    def _read(self) -> None:
        screen = Screen(self._film.picture)
        holes: list[Span] = []
        with closing(watch(self._film, self._span.start, holes)) as frames:
            for time, frame in frames:
                if time >= self._span.end or self._stopping.is_set():
                    break
                if time >= self._span.start:
                    self._share_out(time, frame, screen)
        for view in self._views:
            if view.times:
                view.hand_over()
            for eye in view.eyes:
                eye.give(None)
        lost = (hole.clip(self._span) for hole in merge(holes, distance=SECOND))
        self.unreadable.extend(hole for hole in lost if hole is not None)

    def _share_out(self, time: int, frame: av.VideoFrame, screen: Screen) -> None:
        shown: dict[tuple, np.ndarray] = {}
        for view in self._views:
            if view.wants(time):
                kind = (view.size, view.gray)
                if kind not in shown:
                    shown[kind] = screen.show(frame, *kind)
                if view.add(time, shown[kind]):
                    view.hand_over()
