"""A film's pictures in order of time, on the film's clock, with account of what damage has taken from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from itertools import chain

import av
from av.error import FFmpegError

from avtool.media.container import MICROSECONDS, opened, packets
from avtool.media.display import Deinterlacer
from avtool.media.probe import Probe, microseconds
from avtool.timeline import SECOND, Span, merge

_THREADS = 8  # each thread of the decoder holds a frame
_HOLE = SECOND // 2  # without a frame, in a film of constant rate: something could not be read
_DOUBT = 16  # frames after a fault in which its hole may still show: decoders reorder as many


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
