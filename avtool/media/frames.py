"""Frames of a film: one decoding pass shown to every perceiver, and single frames at given times."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain

import av
import numpy as np
from av.error import FFmpegError

from avtool.media.container import MICROSECONDS, opened, packets
from avtool.media.display import Deinterlacer, Screen
from avtool.media.probe import Probe, microseconds
from avtool.perceive import Perceiver
from avtool.timeline import SECOND, Span, merge

_BATCH_BYTES = 16 << 20  # a batch is handed over when it holds so much,
_BATCH_SPAN = 4 * SECOND  # or so long a piece of the film
_BATCHES_AHEAD = 4  # batches that wait while the perceivers are at work
_THREADS = 8  # each thread of the decoder holds a frame
_ROUNDING = 1_000  # microseconds: some containers round times to milliseconds
_HOLE = SECOND // 2  # without a frame, in a film of constant rate: something could not be read
_DOUBT = 16  # frames after a fault in which its hole may still show: decoders reorder as many


def show(
    film: Probe,
    perceivers: Sequence[Perceiver],
    span: Span | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Span]:
    """Decode the film (or `span` of it) once and show each perceiver the frames it asked for, in order.

    A perceiver with `fps` gets the first frame at or after each of its grid times n / fps on the film's clock, and
    no frame twice; a film of fewer frames is shown to it whole. Reading runs ahead in a thread of its own, never by
    more than a few batches. `progress` is told how many microseconds of the span are done. `finish` is left to the
    caller. Returns the stretches that could not be read.

    Raises MediaError where the film has no picture; what a perceiver raises stops the reading.
    """
    _ = film.picture
    span = span or film.span
    reading = _Reading(film, _views(perceivers), span)
    reading.start()
    done = 0
    try:
        for view, times, frames in reading.batches():
            for perceiver in view.perceivers:
                perceiver.see(times, frames)
            done = max(done, int(times[-1]) - span.start)
            if progress is not None:
                progress(done)
    finally:
        reading.stop()
    if progress is not None:
        progress(span.duration)
    return reading.unreadable


@dataclass(eq=False)
class _View:
    """The frames that perceivers of one rate, size and colour are shown, and the batch being filled."""

    fps: float | None
    size: tuple[int, int] | None
    gray: bool
    perceivers: list[Perceiver]
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

    def take(self) -> tuple[_View, np.ndarray, np.ndarray]:
        """The batch, and a fresh one begun."""
        assert self.frames is not None
        batch = self, np.array(self.times, np.int64), self.frames[: len(self.times)]
        self.times, self.frames = [], None
        return batch


_Batch = tuple[_View, np.ndarray, np.ndarray]


def _views(perceivers: Sequence[Perceiver]) -> list[_View]:
    views: dict[tuple, _View] = {}
    for perceiver in perceivers:
        kind = (perceiver.fps, perceiver.size, perceiver.gray)
        views.setdefault(kind, _View(*kind, perceivers=[])).perceivers.append(perceiver)
    return list(views.values())


class _Stopped(Exception):
    """The consumer wants no more."""


class _Reading(threading.Thread):
    """Decodes and converts ahead of the perceivers."""

    def __init__(self, film: Probe, views: list[_View], span: Span) -> None:
        super().__init__(name=f"reading {film.path.name}", daemon=True)
        self.unreadable: list[Span] = []
        self._film = film
        self._views = views
        self._span = span
        self._queue: queue.Queue[_Batch | BaseException | None] = queue.Queue(_BATCHES_AHEAD)
        self._stopping = threading.Event()

    def batches(self) -> Iterator[_Batch]:
        """The batches as they get ready; raises what the reading raised."""
        while (batch := self._queue.get()) is not None:
            if isinstance(batch, BaseException):
                raise batch
            yield batch

    def stop(self) -> None:
        """End the reading, wherever it is, and wait until it has let go of the file."""
        self._stopping.set()
        self.join()

    def run(self) -> None:
        try:
            self._read()
            self._hand_over(None)
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever it is, the consumer must not wait for ever
            self._hand_over(error)

    def _read(self) -> None:
        screen = Screen(self._film.picture)
        for time, frame in pictures(self._film, self._span, self.unreadable):
            wanting = [view for view in self._views if view.wants(time)]
            shown: dict[tuple, np.ndarray] = {}
            for view in wanting:
                kind = (view.size, view.gray)
                if kind not in shown:
                    shown[kind] = screen.show(frame, *kind)
                if view.add(time, shown[kind]):
                    self._hand_over(view.take())
            if self._stopping.is_set():
                raise _Stopped
        for view in self._views:
            if view.times:
                self._hand_over(view.take())

    def _hand_over(self, batch: _Batch | BaseException | None) -> None:
        while not self._stopping.is_set():
            try:
                return self._queue.put(batch, timeout=0.1)
            except queue.Full:
                continue
        raise _Stopped


def pictures(
    film: Probe, span: Span, unreadable: list[Span] | None = None
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Times and decoded frames inside `span`, in order, deinterlaced, without those that came out corrupt.

    The stretches that could not be read are added to `unreadable`.
    """
    weave = Deinterlacer()
    with closing(_decoder_before(film, span.start)) as decoder:
        for time, frame in decoder.frames:
            if time >= span.end:
                break
            yield from ((when, woven) for when, woven in weave.feed(time, frame) if when >= span.start)
        else:
            decoder.ended()
        yield from ((when, woven) for when, woven in weave.flush() if when >= span.start)
    if unreadable is not None:
        lost = (hole.clip(span) for hole in merge(decoder.holes, distance=SECOND))
        unreadable.extend(hole for hole in lost if hole is not None)


def _decoder_before(film: Probe, start: int) -> _Decoder:
    """A decoder whose first frame is whole and not later than `start`, at the film's first frame if need be."""
    back = SECOND // 2
    while start - back > film.picture.start:
        decoder = _Decoder(film)
        if decoder.seek(start - back):
            first = next(decoder.frames, None)
            if first is not None and first[0] <= start:
                decoder.frames = chain([first], decoder.frames)
                return decoder
        decoder.close()
        back *= 4
    return _Decoder(film)


class _Decoder:
    """Frames of the film's picture on the film's clock, and the holes that damage left in it.

    A hole is reported where decoding failed and frames are missing, or where half a second of a film of constant
    rate is.
    """

    def __init__(self, film: Probe) -> None:
        self._film = film
        self._video = film.picture
        self._container = opened(film.path)
        stream = self._container.streams[self._video.index]
        assert isinstance(stream, av.VideoStream)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = min(os.cpu_count() or 1, _THREADS)
        self._stream = stream
        self.holes: list[Span] = []
        self.frames = self._frames()
        self._step = round(SECOND / self._video.frame_rate)
        self._next = self._video.start  # where the next frame is due
        self._doubt = 0  # frames for which an earlier fault is still remembered

    def close(self) -> None:
        self._container.close()

    def seek(self, time: int) -> bool:
        """Go to a key frame before `time`; False where the container cannot."""
        if self._stream.start_time is None or self._stream.time_base is None:
            return False
        try:
            timestamp = (time + self._film.origin) * MICROSECONDS / self._stream.time_base
            self._container.seek(int(timestamp), stream=self._stream)
        except FFmpegError:
            return False
        self._next = time
        return True

    def ended(self) -> None:
        """The file has ended: what is missing at its end is a hole too."""
        end = self._video.start + self._video.duration
        if end - self._next >= _HOLE and (self._doubt or not self._video.variable):
            self.holes.append(Span(self._next, end))

    def _frames(self) -> Iterator[tuple[int, av.VideoFrame]]:
        last = -1
        for packet in chain(packets(self._container, [self._stream]), [None]):
            try:
                frames = self._stream.decode(packet)
            except FFmpegError:
                self._doubt = _DOUBT
                continue
            if packet is not None and packet.is_corrupt:
                self._doubt = _DOUBT
            for frame in frames:
                time = self._time(frame)
                if frame.is_corrupt or time <= last:
                    self._doubt = _DOUBT
                    continue
                self._look_for_hole(time)
                last, self._next = time, time + self._duration(frame)
                yield time, frame

    def _time(self, frame: av.VideoFrame) -> int:
        if self._film.container == "avi":
            # AVI has no presentation times. A frame comes out as many frames late as the decoder reorders.
            timestamp = None if frame.dts is None else frame.dts - self._stream.codec_context.reorder_depth
        else:
            timestamp = frame.pts
        if timestamp is None or frame.time_base is None:
            return self._next
        return microseconds(timestamp, frame.time_base) - self._film.origin

    def _duration(self, frame: av.VideoFrame) -> int:
        if not frame.duration or frame.time_base is None:
            return self._step
        return microseconds(frame.duration, frame.time_base)

    def _look_for_hole(self, time: int) -> None:
        missing = time - self._next
        if (self._doubt and missing > self._step // 2) or (missing >= _HOLE and not self._video.variable):
            self.holes.append(Span(self._next, time))
        self._doubt = max(0, self._doubt - 1)
