"""Sound of a film for analysis: mono in blocks (for mixing see `avtool.tracks.sound`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from avtool.errors import UsageError
from avtool.media.container import MICROSECONDS, opened, packets
from avtool.media.probe import AudioStream, Probe, microseconds
from avtool.timeline import SECOND, Span

RATE = 16_000  # samples a second for most analysis

# Dialogue of a surround mix is in the centre; left and right are kept at a quarter each, so that a mix whose
# centre is empty is still heard. Surrounds and bass are left out.
_SURROUND = {"FC": 1.0, "FL": 0.25, "FR": 0.25}
_JITTER = (
    50  # parts of a second between a frame's time and the end of the last that count as rounding (20 ms)
)
_PREROLL = SECOND // 2  # decoders of compressed sound need some before the first whole sample


def choose(film: Probe, track: int | None = None) -> AudioStream | None:
    """The `track`-th audio track from 0; by default the film's own default one that is not audio description.

    None where the film has no sound. Raises UsageError where there is no such track.
    """
    if track is not None:
        if 0 <= track < len(film.audio):
            return film.audio[track]
        raise UsageError(f"{film.path} has no audio track {track}; {_listed(film)}")
    return min(film.audio, key=lambda stream: (stream.description, not stream.default), default=None)


def blocks(
    film: Probe,
    track: int | None = None,
    span: Span | None = None,
    seconds: float = 30,
    rate: int = RATE,
) -> Iterator[tuple[int, np.ndarray]]:
    """The sound of `span` for analysis: float32 mono at `rate`, `seconds` long (the last one shorter).

    Each block comes with the time of its first sample in microseconds. The blocks cover the span without a break:
    where the track has not begun, has ended or cannot be decoded there is silence. A film without sound has no
    blocks. Raises UsageError where there is no such track.
    """
    stream = choose(film, track)
    if stream is None:
        return iter(())
    return _blocks(film, stream, span or film.span, round(seconds * rate), rate)


def _listed(film: Probe) -> str:
    if not film.audio:
        return "it has no sound"
    tracks = (
        " ".join(filter(None, (f"{n}:", stream.language, stream.title, stream.layout)))
        for n, stream in enumerate(film.audio)
    )
    return f"it has {', '.join(tracks)}"


def _blocks(
    film: Probe, stream: AudioStream, span: Span, size: int, rate: int
) -> Iterator[tuple[int, np.ndarray]]:
    first, total = _samples(span.start, rate), _samples(span.duration, rate)
    begin, block = 0, np.zeros(min(size, total), np.float32)
    at = 0  # up to here the span is written; of sound that overlaps, the earlier run stays
    # The last run is nothing at the span's end: it brings the silence before it.
    for position, samples in chain(
        _runs(film, stream, span, rate), [(first + total, np.zeros(0, np.float32))]
    ):
        start = position - first
        samples = samples[max(0, at - start) :]
        at = max(at, start)
        while begin < total:
            end = begin + len(block)
            part = samples[: max(0, end - at)]
            block[at - begin : at - begin + len(part)] = part
            samples, at = samples[len(part) :], at + len(part)
            if at < end:
                break
            yield span.start + begin * SECOND // rate, block
            begin, block = end, np.zeros(min(size, total - end), np.float32)


def _runs(film: Probe, track: AudioStream, span: Span, rate: int) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces of sound from `span`, perhaps a little more, each with its place in samples from the film's zero."""
    with opened(film.path) as container:
        stream = container.streams[track.index]
        assert isinstance(stream, av.AudioStream) and stream.time_base is not None
        if span.start > _PREROLL:
            timestamp = int((span.start - _PREROLL + film.origin) * MICROSECONDS / stream.time_base)
            with suppress(FFmpegError):  # where a container cannot seek, it is read from its beginning
                container.seek(timestamp, stream=stream)
        run: _Run | None = None
        for frame in _frames(container, stream):
            if frame.pts is None:
                place = run.end if run else 0
            else:
                place = _samples(microseconds(frame.pts, stream.time_base) - film.origin, rate)
            if place >= _samples(span.end, rate):
                break
            if run is None or not run.goes_on(place, frame):
                if run is not None:
                    yield from run.close()
                run = _Run(place, frame, rate)
            yield from run.feed(frame)
        if run is not None:
            yield from run.close()


def _frames(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    for packet in chain(packets(container, [stream]), [None]):
        with suppress(FFmpegError):  # a packet that cannot be decoded leaves a hole, which is silence
            yield from stream.decode(packet)


class _Run:
    """An unbroken stretch of one kind of sound on its way to mono at `rate`."""

    def __init__(self, place: int, frame: av.AudioFrame, rate: int) -> None:
        self._kind = _kind(frame)
        self._weights = _mix([channel.name for channel in frame.layout.channels])
        self._rate = rate
        # Interleaved: PyAV crashes on planes of eight channels and more.
        self._resampler = av.AudioResampler("flt", frame.layout, rate)
        self._place = place  # of the next sample to come out
        self._begin = place
        self._heard = 0.0  # seconds fed

    @property
    def end(self) -> int:
        """The place where the sound fed so far ends."""
        return self._begin + round(self._heard * self._rate)

    def goes_on(self, place: int, frame: av.AudioFrame) -> bool:
        """Whether `frame`, at `place`, follows without a break."""
        return _kind(frame) == self._kind and abs(place - self.end) <= self._rate // _JITTER

    def feed(self, frame: av.AudioFrame) -> Iterator[tuple[int, np.ndarray]]:
        self._heard += frame.samples / frame.sample_rate
        yield from self._mixed(self._resampler.resample(frame))

    def close(self) -> Iterator[tuple[int, np.ndarray]]:
        """What the resampler still holds."""
        yield from self._mixed(self._resampler.resample(None))

    def _mixed(self, frames: Sequence[av.AudioFrame | None]) -> Iterator[tuple[int, np.ndarray]]:
        for frame in filter(None, frames):
            yield self._place, frame.to_ndarray().reshape(-1, len(self._weights)) @ self._weights
            self._place += frame.samples


def _kind(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _mix(channels: list[str]) -> np.ndarray:
    """The weight of each channel in the mono mix; they add up to 1."""
    if "FC" in channels and len(channels) > 2:
        weights = np.array([_SURROUND.get(name, 0.0) for name in channels], np.float32)
    else:
        weights = np.array([name != "LFE" for name in channels], np.float32)
    return weights / max(weights.sum(), 1)


def _samples(time: int, rate: int) -> int:
    return round(time * rate / SECOND)
