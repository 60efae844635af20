"""A film's pictures in order of time, on the film's clock, with account of what damage has taken from it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import chain

import av
from av.error import FFmpegError
from av.video.frame import PictureType

from avtool import cores
from avtool.media.container import MICROSECONDS, opened, packets
from avtool.media.display import Deinterlacer
from avtool.media.probe import Probe, microseconds
from avtool.timeline import SECOND, Span

_THREADS = 8  # each thread of the decoder holds a frame
_HOLE = SECOND // 2  # without a frame, in a film of constant rate: something could not be read


def watch(film: Probe, start: int, holes: list[Span]) -> Generator[tuple[int, av.VideoFrame]]:
    """Times and whole frames in order, deinterlaced, from one that is on the screen at `start` or before it.

    The stretches that could not be read are added to `holes` as they are passed. Raises MediaError where the film
    has no picture.
    """
    weave = Deinterlacer()
    with closing(_decoder_before(film, start, holes)) as decoder:
        for time, frame in decoder.frames:
            yield from weave.feed(time, frame)
        decoder.ended()
        yield from weave.flush()


def _decoder_before(film: Probe, start: int, holes: list[Span]) -> _Decoder:
    """A decoder whose first frame is whole and not later than `start`, at the film's first frame if need be."""
    back = SECOND // 2
    while start - back > film.picture.start:
        decoder = _Decoder(film, holes)
        if decoder.seek(start - back):
            first = next(decoder.frames, None)
            if first is not None and first[0] <= start:
                decoder.frames = chain([first], decoder.frames)
                return decoder
        decoder.close()
        holes.clear()
        back *= 4
    return _Decoder(film, holes)


class _Decoder:
    """Frames of the film's picture on the film's clock, and the holes that damage left in it.

    After a fault decoders go on from what they have, and show old pictures as new ones. So from a packet that
    cannot be decoded, a corrupt frame, or half a second missing from a film of constant rate, nothing is believed
    until the next picture that needs no other.
    """

    def __init__(self, film: Probe, holes: list[Span]) -> None:
        self._film = film
        self._video = film.picture
        self._container = opened(film.path)
        stream = self._container.streams[self._video.index]
        assert isinstance(stream, av.VideoStream)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = min(len(cores.mine()), _THREADS)
        self._stream = stream
        self._time_base = stream.time_base or MICROSECONDS
        self._holes = holes
        self.frames = self._frames()
        self._step = round(SECOND / self._video.frame_rate)
        self._next = self._video.start  # where the next frame is due
        self._fault: int | None = None  # believe nothing until a whole picture from this time on

    def close(self) -> None:
        self._container.close()

    def seek(self, time: int) -> bool:
        """Go to a key frame before `time`; False where the container cannot."""
        if self._stream.start_time is None:
            return False
        try:
            timestamp = (time + self._film.origin) * MICROSECONDS / self._time_base
            self._container.seek(int(timestamp), stream=self._stream)
        except FFmpegError:
            return False
        self._next, self._fault = time, 0  # any whole picture will do to begin with
        return True

    def ended(self) -> None:
        """The file has ended: what is missing at its end is a hole too."""
        end = self._video.start + self._video.duration
        if end - self._next >= _HOLE and (self._fault is not None or not self._video.variable):
            self._holes.append(Span(self._next, end))

    def _frames(self) -> Iterator[tuple[int, av.VideoFrame]]:
        last = -1
        for packet in chain(packets(self._container, [self._stream]), [None]):
            try:
                frames = self._stream.decode(packet)
            except FFmpegError:
                frames, faulty = [], True
            else:
                faulty = packet is not None and packet.is_corrupt
            if faulty:
                self._fault = self._place(packet)
            for frame in frames:
                time = self._time(frame)
                missing = time - self._next
                if frame.is_corrupt or (missing >= _HOLE and not self._video.variable):
                    self._fault = time
                if time <= last or frame.is_corrupt or not self._believable(time, frame):
                    continue
                if self._fault is not None and missing > self._step // 2:
                    self._holes.append(Span(self._next, time))
                self._fault = None
                last, self._next = time, time + self._duration(frame)
                yield time, frame

    def _believable(self, time: int, frame: av.VideoFrame) -> bool:
        whole = frame.key_frame or frame.pict_type in (PictureType.I, PictureType.NONE)
        return self._fault is None or (whole and time >= self._fault)

    def _place(self, packet: av.Packet | None) -> int:
        """When the picture in `packet` is due, as far as it tells."""
        if packet is None:
            return self._next
        return self._clock(packet.dts if packet.pts is None else packet.pts)

    def _time(self, frame: av.VideoFrame) -> int:
        if self._film.container == "avi":
            # AVI has no presentation times. A frame comes out as many frames late as the decoder reorders.
            timestamp = None if frame.dts is None else frame.dts - self._stream.codec_context.reorder_depth
        else:
            timestamp = frame.pts
        return self._clock(timestamp)

    def _duration(self, frame: av.VideoFrame) -> int:
        return microseconds(frame.duration, self._time_base) if frame.duration else self._step

    def _clock(self, timestamp: int | None) -> int:
        """The stream's timestamp on the film's clock; without one, where the next frame is due."""
        return (
            self._next if timestamp is None else microseconds(timestamp, self._time_base) - self._film.origin
        )
