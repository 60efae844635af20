"""Extended description (WCAG 2.2, 1.2.7): where nothing fits, the film waits for what must be said.

First a pause that is almost long enough is stretched, its ambience with it; else the film is held: the picture
stands, the room goes on sounding. Stops are rare, short, and only where they cut nothing that is heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

import ffmpeg
import numpy as np

from avtool.settings import Settings
from avtool.timeline import SECOND, Shot, Span, Speech, clock, complement
from avtool.tracks import files, sound
from avtool.tracks.fit import Spoken, Unspoken, free
from avtool.tracks.loudness import HOP, WINDOW, Loudness
from avtool.tracks.sound import RATE, samples
from avtool.tracks.timemap import Piece, TimeMap

# The rules of spec 3.6.
APART = 20 * SECOND  # from one stop to the next
LONGEST = 12 * SECOND  # a stop
QUIET = -50.0  # LUFS: where a stop cuts no sound
AIR = 250_000  # microseconds of hold before and after the voice
STRETCH, SLOWEST = 2 * SECOND, 1.3  # a pause gains no more, and runs no slower, by being stretched

TONE = RATE // 2  # samples of room tone that are repeated in a hold
LISTEN = 4 * TONE  # before the stop, where the quietest room tone is looked for
BLEND = RATE // 20  # samples of crossfade


@dataclass(frozen=True, slots=True)
class Stop:
    """A stretch of film that takes `added` microseconds longer; an empty one is a hold. `spoken` is said there."""

    old: Span
    added: int
    spoken: Spoken


def plan(
    unspoken: Sequence[Unspoken],
    spoken: Sequence[Spoken],
    speech: Sequence[Speech],
    shots: Sequence[Shot],
    programme: Loudness,
    whole: Span,
    settings: Settings,
) -> tuple[list[Stop], list[Unspoken]]:
    """Where the film waits for what of `unspoken` only lacks time, and what is left out all the same.

    The first of `unspoken` has the first choice.
    """
    pauses = free(speech, whole, settings)
    busy = [one.cue.span.grow(AIR, AIR) for one in spoken]
    points = _points(shots, programme, pauses)
    early, late = round(settings.early * SECOND), round(settings.late * SECOND)
    stops: list[Stop] = []
    left: list[Unspoken] = []
    for one in unspoken:
        reach = one.cue.span.start - early, one.cue.span.start + late
        rooms = [part for pause in pauses for part in complement(busy, pause)] if one.clip else []
        stop = one.clip and (
            _stretched(one, rooms, reach, settings) or _held(one, points, busy, stops, reach, settings)
        )
        if stop:
            stops.append(stop)
            busy.append(stop.old.grow(AIR, AIR))
        else:
            left.append(one if not one.clip else replace(one, reason=f"{one.reason}; {_why_not(one, stops)}"))
    return sorted(stops, key=lambda stop: stop.old), left


def _points(shots: Sequence[Shot], programme: Loudness, pauses: Sequence[Span]) -> list[int]:
    """Where the film may be held: at cuts and in silence, outside dialogue."""
    quiet = (np.flatnonzero(programme.momentary < QUIET) + 1) * HOP - WINDOW // 2
    points = {shot.span.start for shot in shots if shot.span.start > 0} | {int(time) for time in quiet}
    return sorted(point for point in points if any(point in pause for pause in pauses))


def _stretched(
    one: Unspoken, rooms: Sequence[Span], reach: tuple[int, int], settings: Settings
) -> Stop | None:
    """The pause at the cue, made just long enough."""
    assert one.clip is not None
    for room in rooms:
        lacks = one.clip.duration - room.duration
        near = room.end > reach[0] and room.start < reach[1]
        if near and 0 < lacks <= min(STRETCH, (SLOWEST - 1) * room.duration):
            return Stop(room, lacks, _said(one, room.start, settings))
    return None


def _held(
    one: Unspoken,
    points: Sequence[int],
    busy: Sequence[Span],
    stops: Sequence[Stop],
    reach: tuple[int, int],
    settings: Settings,
) -> Stop | None:
    """A hold at the point nearest to the cue."""
    assert one.clip is not None
    length = one.clip.duration + 2 * AIR
    wanted = one.cue.span.start
    near = [
        point
        for point in points
        if reach[0] <= point <= reach[1]
        and not any(point in span for span in busy)
        and all(abs(point - stop.old.start) >= APART for stop in stops if not stop.old.duration)
    ]
    if length > LONGEST or not near:
        return None
    point = min(near, key=lambda point: abs(point - wanted))
    return Stop(Span(point, point), length, _said(one, point, settings))


def _said(one: Unspoken, time: int, settings: Settings) -> Spoken:
    assert one.clip is not None
    cue = replace(one.cue, span=Span(time, time + one.clip.duration))
    return Spoken(cue, one.clip, min(settings.rate, settings.rate_max))


def _why_not(one: Unspoken, stops: Sequence[Stop]) -> str:
    assert one.clip is not None
    if one.clip.duration + 2 * AIR > LONGEST:
        return f"takes longer than the {LONGEST // SECOND} s for which a film may be held"
    if any(abs(stop.old.start - one.cue.span.start) < APART for stop in stops):
        return f"the film is held less than {APART // SECOND} s away"
    return f"neither a cut nor silence near {clock(one.cue.span.start)} to hold the film at"


def time_map(stops: Sequence[Stop], whole: Span) -> TimeMap:
    """Where the film's time lies in the extended version."""
    pieces, at, added = [], whole.start, 0
    for stop in stops:
        if stop.old.start > at:
            pieces.append(Piece(Span(at, stop.old.start), Span(at + added, stop.old.start + added)))
        if stop.old.duration:
            longer = Span(stop.old.start + added, stop.old.end + added + stop.added)
            pieces.append(Piece(stop.old, longer))
        at, added = stop.old.end, added + stop.added
    pieces.append(Piece(Span(at, whole.end), Span(at + added, whole.end + added)))
    return TimeMap(tuple(pieces))


def placed(spoken: Sequence[Spoken], stops: Sequence[Stop], times: TimeMap) -> list[Spoken]:
    """Everything that is said, in order, at its time in the extended version."""
    moved = []
    for one in spoken:
        start = times.at(one.cue.span.start)
        assert start is not None, "an extended version leaves nothing out"
        moved.append((one, start))
    for stop in stops:
        after = times.at(stop.old.start)
        assert after is not None
        moved.append((stop.spoken, after if stop.old.duration else after - stop.added + AIR))
    said = (
        replace(one, cue=replace(one.cue, span=Span(start, start + one.clip.duration)))
        for one, start in moved
    )
    return sorted(said, key=lambda one: one.cue.span)


def notice(stops: Sequence[Stop], language: str) -> str:
    """What the extended version's script says of itself: that it is one, and how many seconds are added where."""
    added = [f"{stop.spoken.cue.id} adds {stop.added / SECOND:.3f} s" for stop in stops]
    total = sum(stop.added for stop in stops) / SECOND
    return "\n".join([files.notice(language), f"extended: true, {total:.3f} s longer", *added])


def heard(programme: Loudness, times: TimeMap) -> Loudness:
    """The loudness of the extended programme, as that of the film lets expect it."""
    length = times.pieces[-1].new.end // HOP
    middles = times.back((np.arange(length) + 1) * HOP - WINDOW // 2)
    places = np.clip(np.round((middles + WINDOW // 2) / HOP).astype(int) - 1, 0, len(programme.momentary) - 1)
    return Loudness(programme.integrated, programme.peak, programme.momentary[places])


def lengthened(blocks: Iterator[np.ndarray], times: TimeMap, layout: str) -> Iterator[np.ndarray]:
    """Sound (samples, channels) in blocks, as long as the extended version."""
    take = _reader(blocks, sound.CHANNELS[layout])
    past = np.zeros((0, sound.CHANNELS[layout]), np.float32)
    at = 0  # samples written
    for piece in times.pieces:
        hold = samples(piece.new.start) - at
        if hold > 0:
            yield from _blocks(room_tone(past, hold))
            at += hold
        length, left = samples(piece.new.end) - at, samples(piece.old.end) - samples(piece.old.start)
        if piece.old.duration != piece.new.duration:
            yield from _blocks(_slowed(take(left), length, layout))
        else:
            for first in range(0, length, sound.BLOCK):
                block = take(min(sound.BLOCK, length - first))
                past = np.concatenate([past, block])[-LISTEN:]
                yield block
        at += length


def room_tone(past: np.ndarray, length: int) -> np.ndarray:
    """`length` samples of the quietest half second of `past` (samples, channels), repeated without a seam."""
    size = min(TONE, len(past))
    if size <= 2 * BLEND:
        return np.zeros((length, past.shape[1]), np.float32)
    energy = np.cumsum(np.concatenate([[0.0], np.square(past, dtype=np.float64).sum(axis=1)]))
    quietest = int(np.argmin(energy[size:] - energy[:-size]))
    tone = past[quietest : quietest + size]
    rise = np.sin(np.linspace(0, np.pi / 2, BLEND, dtype=np.float32))[:, None]  # equal power
    loop = tone[: size - BLEND].copy()
    loop[:BLEND] = loop[:BLEND] * rise + tone[size - BLEND :] * rise[::-1]
    return np.tile(loop, (ceil(length / len(loop)), 1))[:length]


def _slowed(segment: np.ndarray, length: int, layout: str) -> np.ndarray:
    """`segment` (samples, channels) made `length` samples long, its pitch kept."""
    raw = ffmpeg.input("pipe:", format="f32le", ar=RATE, ac=sound.CHANNELS[layout], channel_layout=layout)
    slow = raw.filter("atempo", len(segment) / length).output("pipe:", format="f32le")
    with sound.running(slow, "the ambience cannot be stretched", feed=True) as process:
        out, _ = process.communicate(np.ascontiguousarray(segment, np.float32).tobytes())
    slowed = np.frombuffer(out, np.float32).reshape(-1, sound.CHANNELS[layout])[:length]
    return np.concatenate([slowed, np.zeros((length - len(slowed), slowed.shape[1]), np.float32)])


def _reader(blocks: Iterator[np.ndarray], channels: int) -> Callable[[int], np.ndarray]:
    """What hands out as many samples as asked for, silence after the end."""
    rest = np.zeros((0, channels), np.float32)

    def take(count: int) -> np.ndarray:
        nonlocal rest
        parts = [rest]
        while sum(map(len, parts)) < count:
            parts.append(next(blocks, np.zeros((count, channels), np.float32)))
        joined = np.concatenate(parts)
        rest = joined[count:]
        return joined[:count]

    return take


def _blocks(whole: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(whole), sound.BLOCK):
        yield whole[first : first + sound.BLOCK]
