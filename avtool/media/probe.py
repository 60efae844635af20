"""What is in a film's file: streams, times, picture geometry, sound layout, chapters, AD that is there already."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, islice, pairwise
from pathlib import Path
from statistics import median
from typing import Literal

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.reformatter import ColorTrc

from avtool.errors import MediaError
from avtool.media.container import MICROSECONDS, opened, packets
from avtool.timeline import SECOND, Span

HOUR = 3600 * SECOND
LONGEST = 100 * HOUR  # a film that tells of more has a damaged header

_MIB = 1 << 20
_FIRST_PACKETS = 300  # looked at for a picture, and for the frame rate's kind where there is no index
_INDEXED = 20_000  # index entries looked at for the frame rate's kind
_HOLES = 0.05  # share of odd steps between frames that a constant rate may have
_REORDERED = 16  # packets whose picture may be shown after that of a later packet
_HDR: dict[int, Literal["PQ", "HLG"]] = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}
_DESCRIPTION_WORDS = re.compile(
    r"audio[\s_-]*descri|descri(ptive|bed)[\s_-]*(audio|video)|visual(ly)?[\s_-]*impaired|narrative description"
    r"|audio[\s_-]*deskription|h[oö]rfilm|(?-i:\bAD\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class VideoStream:
    """The picture. `width` and `height` are as displayed: after rotation and pixel aspect."""

    index: int
    codec: str
    width: int
    height: int
    coded_width: int
    coded_height: int
    rotation: int  # degrees anticlockwise that the coded picture is turned for display: 0, 90, 180, 270
    pixel_aspect: Fraction
    frame_rate: Fraction  # the mean
    variable: bool  # frames are not where a constant rate would put them
    interlaced: bool
    bit_depth: int
    hdr: Literal["PQ", "HLG"] | None
    start: int  # microseconds on the film's clock
    duration: int


@dataclass(frozen=True, slots=True)
class AudioStream:
    """One audio track that can be decoded. `description` tells that it is audio description already."""

    index: int
    codec: str
    language: str | None
    title: str | None
    channels: int
    layout: str
    sample_rate: int
    start: int
    duration: int
    default: bool
    description: bool


@dataclass(frozen=True, slots=True)
class SubtitleStream:
    """One subtitle track. `description` tells that it holds audio description as text."""

    index: int
    codec: str
    language: str | None
    title: str | None
    default: bool
    forced: bool
    hearing_impaired: bool
    description: bool


@dataclass(frozen=True, slots=True)
class Chapter:
    span: Span
    title: str | None


@dataclass(frozen=True, slots=True)
class Probe:
    """A film's file. Times are microseconds on the film's clock, whose zero is `origin` in the file's own."""

    path: Path
    container: str
    duration: int
    origin: int
    video: VideoStream | None
    audio: tuple[AudioStream, ...]
    subtitles: tuple[SubtitleStream, ...]
    chapters: tuple[Chapter, ...]
    digest: str

    @property
    def span(self) -> Span:
        return Span(0, self.duration)

    @property
    def described(self) -> bool:
        """Whether the film carries an audio-description track already."""
        return any(track.description for track in (*self.audio, *self.subtitles))

    @property
    def picture(self) -> VideoStream:
        """The video stream; MediaError where the film has none."""
        if self.video is None:
            raise MediaError(f"{self.path} has no picture (no video stream)")
        return self.video


def probe(path: str | Path) -> Probe:
    """Look into the film at `path`: its headers and first frames, never the whole of it.

    Raises MediaError where it cannot be read, or has a video stream without a frame.
    """
    path = Path(path)
    with opened(path) as container:
        origin = container.start_time or 0
        duration = _duration(container, path, origin)
        if not 0 <= duration <= LONGEST:
            raise MediaError(
                f"{path} says it lasts {duration / HOUR:,.0f} hours: its times are damaged; repair it"
            )
        film = Probe(
            path=path,
            container=container.format.name,
            duration=duration,
            origin=origin,
            video=_video(container, path, origin, duration),
            audio=tuple(
                _audio(stream, origin, duration) for stream in container.streams.audio if stream.codec_context
            ),
            subtitles=tuple(_subtitle(stream) for stream in container.streams.subtitles),
            chapters=tuple(_chapters(container, origin)),
            digest=_digest(path, duration),
        )
    return film


def picture_stream(container: InputContainer) -> av.VideoStream | None:
    """The first stream of moving pictures; cover art is none."""
    for stream in container.streams.video:
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails):
            return stream
    return None


def frame_rate(stream: av.VideoStream) -> Fraction:
    """The mean frame rate as the container tells it; 25 where it tells none."""
    return stream.average_rate or stream.guessed_rate or Fraction(25)


def microseconds(timestamp: int, time_base: Fraction) -> int:
    """A stream's timestamp in microseconds of the file's own clock."""
    return round(timestamp * time_base / MICROSECONDS)


def _video(container: InputContainer, path: Path, origin: int, duration: int) -> VideoStream | None:
    stream = picture_stream(container)
    if stream is None:
        return None
    if stream.codec_context is None:
        raise MediaError(
            f"{path}: there is no decoder for its picture; convert the film, for instance to H.264"
        )
    frame, timestamps = _first_frame(container, stream)
    if frame is None:
        raise MediaError(
            f"{path} has a video stream but no picture that can be decoded; copy or record it again"
        )
    aspect = stream.sample_aspect_ratio or Fraction(1)
    rotation = frame.rotation % 360 // 90 * 90
    width, height = _displayed_size(frame.width, frame.height, aspect, rotation)
    start, length = _extent(stream, origin, duration)
    return VideoStream(
        index=stream.index,
        codec=stream.codec_context.name,
        width=width,
        height=height,
        coded_width=frame.width,
        coded_height=frame.height,
        rotation=rotation,
        pixel_aspect=aspect,
        frame_rate=frame_rate(stream),
        variable=_varies(timestamps),
        interlaced=frame.interlaced_frame or stream.codec_context.field_order > 1,
        bit_depth=frame.format.components[0].bits,
        hdr=_HDR.get(frame.color_trc),
        start=start,
        duration=length,
    )


def _first_frame(container: InputContainer, stream: av.VideoStream) -> tuple[av.VideoFrame | None, list[int]]:
    """The first picture, and timestamps in order of enough frames to tell how regular they are."""
    frame, timestamps = None, []
    # MP4, MOV and AVI list every frame in their index; others list key frames or nothing.
    indexed = 0 < stream.frames == len(stream.index_entries)
    for packet in islice(packets(container, [stream]), _FIRST_PACKETS):
        timestamps.append(packet.dts if packet.pts is None else packet.pts)
        if frame is None:
            frame = next(iter(_decode(stream, packet)), None)
        elif indexed:
            break
    if frame is None:
        frame = next(iter(_decode(stream, None)), None)
    if indexed:
        return frame, sorted(entry.timestamp for entry in stream.index_entries[:_INDEXED])
    known = sorted(timestamp for timestamp in timestamps if timestamp is not None)
    return frame, known[:-_REORDERED] if len(timestamps) == _FIRST_PACKETS else known


def _decode(stream: av.VideoStream, packet: av.Packet | None) -> list[av.VideoFrame]:
    try:
        return stream.decode(packet)
    except FFmpegError:
        return []


def _displayed_size(width: int, height: int, aspect: Fraction, rotation: int) -> tuple[int, int]:
    """Width and height on a screen of square pixels: the shorter side is stretched, no pixel is lost."""
    if aspect > 1:
        width = round(width * aspect)
    else:
        height = round(height / aspect)
    return (height, width) if rotation % 180 else (width, height)


def _varies(timestamps: list[int]) -> bool:
    """Whether some frame is more than half a frame away from its place at the mean rate.

    A few holes (damage, dropped frames) do not make a rate variable: steps unlike the median are left out, unless
    they are many.
    """
    steps = [later - earlier for earlier, later in pairwise(timestamps)]
    if len(steps) < 2:
        return False
    typical = median(steps)
    regular = [step for step in steps if abs(step - typical) * 2 <= typical]
    if len(steps) - len(regular) > max(1, _HOLES * len(steps)):
        return True
    period = Fraction(sum(regular), len(regular))
    places = enumerate(accumulate(regular), start=1)
    return any(abs(place - n * period) * 2 > period for n, place in places)


def _audio(stream: av.AudioStream, origin: int, duration: int) -> AudioStream:
    start, length = _extent(stream, origin, duration)
    return AudioStream(
        index=stream.index,
        codec=stream.codec_context.name,
        language=_language(stream),
        title=_title(stream),
        channels=stream.codec_context.layout.nb_channels,
        layout=stream.codec_context.layout.name,
        sample_rate=stream.codec_context.sample_rate,
        start=start,
        duration=length,
        default=bool(stream.disposition & Disposition.default),
        description=_is_description(stream),
    )


def _subtitle(stream: Stream) -> SubtitleStream:
    return SubtitleStream(
        index=stream.index,
        codec=stream.codec_context.name if stream.codec_context else "unknown",
        language=_language(stream),
        title=_title(stream),
        default=bool(stream.disposition & Disposition.default),
        forced=bool(stream.disposition & Disposition.forced),
        hearing_impaired=bool(stream.disposition & Disposition.hearing_impaired),
        description=_is_description(stream),
    )


def _language(stream: Stream) -> str | None:
    return None if stream.language in (None, "und") else stream.language


def _title(stream: Stream) -> str | None:
    return stream.metadata.get("title") or stream.metadata.get("name")


def _is_description(stream: Stream) -> bool:
    if stream.disposition & (Disposition.visual_impaired | Disposition.descriptions):
        return True
    return bool(_DESCRIPTION_WORDS.search(f"{_title(stream)} {stream.metadata.get('handler_name')}"))


def _extent(stream: Stream, origin: int, duration: int) -> tuple[int, int]:
    """Start and duration of a stream on the film's clock."""
    base = stream.time_base or MICROSECONDS
    start = 0 if stream.start_time is None else microseconds(stream.start_time, base) - origin
    if stream.duration:
        return start, microseconds(stream.duration, base)
    return start, max(0, (_tagged_end(stream) or duration + origin) - origin - start)


def _tagged_end(stream: Stream) -> int | None:
    """Matroska's DURATION tag, "00:01:02.345000000": when the stream ends on the file's clock."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    return round((int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)) / MICROSECONDS)


def _chapters(container: InputContainer, origin: int) -> list[Chapter]:
    chapters = []
    for chapter in container.chapters():
        start = max(0, microseconds(chapter["start"], chapter["time_base"] or MICROSECONDS) - origin)
        end = max(start, microseconds(chapter["end"], chapter["time_base"] or MICROSECONDS) - origin)
        chapters.append(Chapter(Span(start, end), chapter["metadata"].get("title")))
    return chapters


def _duration(container: InputContainer, path: Path, origin: int) -> int:
    """The film's duration in microseconds. Recordings that do not tell it are read to their end."""
    if container.duration:
        return container.duration
    end, pictures = origin, 0
    with opened(path) as whole:
        picture = picture_stream(whole)
        for packet in packets(whole, whole.streams):
            pictures += packet.stream is picture
            if packet.pts is not None and packet.time_base is not None:
                end = max(end, microseconds(packet.pts + (packet.duration or 0), packet.time_base))
        if end == origin and picture is not None:  # a raw stream: pictures without times
            end += round(pictures / frame_rate(picture) / MICROSECONDS)
    return end - origin


def _digest(path: Path, duration: int) -> str:
    """SHA-256 of the file's size, first and last MiB and duration: quick, and enough to tell films apart."""
    size = path.stat().st_size
    digest = hashlib.sha256(f"{size} {duration} ".encode())
    with path.open("rb") as file:
        digest.update(file.read(_MIB))
        file.seek(max(0, size - _MIB))
        digest.update(file.read(_MIB))
    return digest.hexdigest()
