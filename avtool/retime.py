"""A script moved to another cut of its film: the sound of the two is aligned, and the cues follow.

Windows of the old film's sound are looked for in the new one by correlation of their bands' loudness; the best
path through where they were found (Viterbi) tells which stretches both have; edges and offsets are then refined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avtool.errors import MediaError
from avtool.media import audio
from avtool.media.probe import Probe, probe
from avtool.timeline import SECOND, Description, Span
from avtool.tracks.timemap import Piece, TimeMap

FRAME = SECOND // 10  # of the features, in microseconds
SIZE = audio.RATE * FRAME // SECOND  # samples
BANDS = 12
LOWEST, HIGHEST = 200.0, 6000.0  # hertz
AROUND = 20  # frames whose mean is taken off, that levels and filters do not count
WINDOW, STEP = 100, 50  # frames of a window, and from one to the next
SPEEDS = (1.0, 24 / 25, 25 / 24)  # length of the new version to the old: as it was, PAL's speed-up, and back
PEAKS = 5  # places at which a window is taken to be
SURE = 0.35  # correlation from which on a window counts as found
ALIKE = 0.4  # likewise of a single frame
JUMP = 0.6  # what going on elsewhere costs, in correlation

FINE = audio.RATE // 1000  # samples a step of the fine alignment: a millisecond
REACH = 150  # milliseconds by which frames may be off
ANCHORS = 5  # places of a stretch where it is aligned finely
STEADY = 60 * SECOND  # a shorter stretch has no drift that could be told

Run = list[tuple[int, int]]  # of windows that were found: frame of the old version, frame of the new one


@dataclass(frozen=True, slots=True)
class Retimed:
    """The cues at their new times, those that were cut out, and how the two versions lie to each other."""

    cues: list[Description]
    lost: list[Description]
    times: TimeMap


def retime(cues: Sequence[Description], old: str | Path, new: str | Path) -> Retimed:
    """Move `cues` from the film `old` to `new`, another cut of it; a cue keeps the length of its voice.

    Raises MediaError where a film cannot be read, has no sound, or the two have nothing in common.
    """
    times = align(probe(old), probe(new))
    kept, lost = [], []
    for cue in cues:
        start = times.at(cue.span.start)
        if start is None:
            lost.append(cue)
        else:
            kept.append(replace(cue, span=Span(start, start + cue.span.duration), event=None, gap=None))
    return Retimed(kept, lost, times)


def align(old: Probe, new: Probe) -> TimeMap:
    """Where the time of `old` lies in `new`, by their sound; good to some milliseconds where both have it."""
    for film in (old, new):
        if not film.audio:
            raise MediaError(f"{film.path} has no sound to align by")
    first, second = features(old), features(new)
    speed = max(
        SPEEDS, key=lambda speed: _found(_warped(first, speed), second, STEP * 6)[1].max(axis=1).mean()
    )
    warped = _warped(first, speed)
    places, scores = _found(warped, second, STEP)
    runs = _runs(_path(places, scores))
    if not runs:
        raise MediaError(f"{old.path} and {new.path} have no sound in common; are they cuts of one film?")
    edges = _edges(runs, warped, second)
    return TimeMap(
        tuple(
            _refined(old, new, run, begin, end, speed)
            for run, (begin, end) in zip(runs, edges, strict=True)
            if begin < end
        )
    )


def features(film: Probe) -> np.ndarray:
    """Loudness of the film's sound by band and time, float32 (frames, BANDS), levels taken off."""
    edges = np.geomspace(LOWEST, HIGHEST, BANDS + 1) * SIZE / audio.RATE
    places = np.unique(np.round(edges).astype(int))
    window = np.hanning(SIZE).astype(np.float32)
    parts = []
    for _, block in audio.blocks(film, seconds=60):
        frames = np.resize(block, (len(block) // SIZE, SIZE)) * window
        power = np.square(np.abs(np.fft.rfft(frames, axis=1)))
        parts.append(np.log(np.add.reduceat(power, places, axis=1)[:, : len(places) - 1] + 1e-6))
    loud = np.concatenate(parts).astype(np.float32)
    from scipy.ndimage import uniform_filter1d

    return loud - uniform_filter1d(loud, AROUND, axis=0)


def _warped(frames: np.ndarray, speed: float) -> np.ndarray:
    """`frames` as they would be at another speed."""
    if speed == 1:
        return frames
    at = np.arange(int(len(frames) * speed)) / speed
    low = np.minimum(at.astype(int), len(frames) - 2)
    share = (at - low)[:, None].astype(np.float32)
    return frames[low] * (1 - share) + frames[low + 1] * share


def _found(old: np.ndarray, new: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """For windows of `old`, `step` frames apart: places in `new` and correlations there, both (windows, PEAKS)."""
    from scipy.fft import next_fast_len

    size = next_fast_len(len(new) + WINDOW, real=True)
    spectrum = np.fft.rfft(new, size, axis=0)
    energy = np.cumsum(np.concatenate([[0.0], np.square(new, dtype=np.float64).sum(axis=1)]))
    lags = max(1, len(new) - WINDOW + 1)
    loud = (
        np.sqrt(np.maximum(energy[WINDOW : WINDOW + lags] - energy[:lags], 1e-6))
        if len(new) >= WINDOW
        else 1.0
    )
    starts = range(0, max(1, len(old) - WINDOW + 1), step)
    places, scores = np.zeros((len(starts), PEAKS), int), np.zeros((len(starts), PEAKS))
    for row, start in enumerate(starts):
        window = old[start : start + WINDOW]
        together = np.fft.irfft((np.conj(np.fft.rfft(window, size, axis=0)) * spectrum).sum(axis=1), size)[
            :lags
        ]
        match = together / (loud * max(float(np.linalg.norm(window)), 1e-3))
        for peak in range(PEAKS):
            best = int(match.argmax())
            places[row, peak], scores[row, peak] = best, match[best]
            match[max(0, best - 5) : best + 6] = -1
    return places, scores


def _path(places: np.ndarray, scores: np.ndarray) -> Run:
    """The likeliest story of all windows."""
    windows = len(places)
    gain = np.concatenate([scores - SURE, np.zeros((windows, 1))], axis=1)  # the last state: not found
    best, came = gain[0].copy(), np.zeros((windows, PEAKS + 1), int)
    best[:-1] -= JUMP
    for row in range(1, windows):
        step = places[row][None, :] - places[row - 1][:, None]
        cost = np.full((PEAKS + 1, PEAKS + 1), JUMP)
        cost[:-1, :-1] = np.where(abs(step - STEP) <= 1, 0.0, np.where(step > 0, JUMP, np.inf))
        cost[:, -1] = 0.0
        total = best[:, None] - cost
        came[row] = total.argmax(axis=0)
        best = total.max(axis=0) + gain[row]
    state, story = int(best.argmax()), []
    for row in range(windows - 1, -1, -1):
        if state < PEAKS:
            story.append((row * STEP, int(places[row, state])))
        state = came[row, state]
    return story[::-1]


def _runs(story: Run) -> list[Run]:
    """The story cut where it goes on elsewhere; one window alone is no evidence."""
    runs: list[Run] = []
    for old, new in story:
        if (
            runs
            and abs((new - runs[-1][-1][1]) - (old - runs[-1][-1][0])) <= 1 + (old - runs[-1][-1][0]) // 500
        ):
            runs[-1].append((old, new))
        else:
            runs.append([(old, new)])
    return [run for run in runs if len(run) > 1]


def _edges(runs: Sequence[Run], old: np.ndarray, new: np.ndarray) -> list[tuple[int, int]]:
    """The frames of `old` at which each run begins and ends, as far as frame by frame it sounds alike."""
    begins, ends = [], []
    for before, after in zip([None, *runs], [*runs, None], strict=True):
        first = before[-1][0] if before else 0
        last = min(after[0][0] + WINDOW if after else len(old), len(old))
        going = np.cumsum([0.0, *(_alike(old, new, first, last, before) if before else [])])
        coming = np.cumsum([0.0, *(_alike(old, new, first, last, after)[::-1] if after else [])])[::-1]
        end, begin = int(going.argmax()), int(coming.argmax())
        if before and after and begin < end + AROUND:  # nothing was cut out: where together they fit best
            end = begin = int((going + coming).argmax())
        if before:
            ends.append(first + end)
        if after:
            begins.append(first + begin)
    return list(zip(begins, ends, strict=True))


def _alike(old: np.ndarray, new: np.ndarray, first: int, last: int, run: Run) -> np.ndarray:
    """How much more than `ALIKE` each frame of `old` from `first` to `last` correlates with its own in `run`."""
    at = np.arange(first, last)
    known = np.array(run)
    place = np.round(np.interp(at, known[:, 0], known[:, 1])).astype(int)
    place += np.where(at < run[0][0], at - run[0][0], np.where(at > run[-1][0], at - run[-1][0], 0))
    inside = (place >= 0) & (place < len(new))
    one, other = old[first:last], new[np.clip(place, 0, len(new) - 1)]
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.where(inside, (one * other).sum(axis=1) / np.maximum(norms, 1e-3), -1.0) - ALIKE


def _refined(old: Probe, new: Probe, run: Run, begin: int, end: int, speed: float) -> Piece:
    """The run's piece, its offset found to the millisecond at some places and a line laid through them."""
    at = [one for one in run if begin <= one[0] and one[0] + WINDOW <= end] or [run[len(run) // 2]]
    anchors = [at[number] for number in sorted({round(n) for n in np.linspace(0, len(at) - 1, ANCHORS)})]
    times = np.array([place * FRAME / speed for place, _ in anchors])
    found = np.array(
        [
            _fine(old, new, int(time), place * FRAME, speed)
            for time, (_, place) in zip(times, anchors, strict=True)
        ]
    )
    length = (end - begin) * FRAME / speed
    if length >= STEADY and len(anchors) > 2:
        slope, offset = np.polyfit(times, found, 1)
    else:
        slope = speed
        offset = float(np.median(found - slope * times))
    stop = round(end * FRAME / speed)
    span = Span(round(begin * FRAME / speed), stop if stop + FRAME < old.duration else old.duration)
    start, stop = (round(slope * time + offset) for time in (span.start, span.end))
    return Piece(span, Span(max(0, start), max(0, start, stop)))


def _fine(old: Probe, new: Probe, time: int, place: int, speed: float) -> float:
    """Where `time` of the old film is in the new one, near `place` (microseconds), by the sound's envelope."""
    from scipy.signal import correlate

    length = (WINDOW * FRAME) // 2
    one = _envelope(old, Span(time, time + length))
    one = np.interp(np.arange(int(len(one) * speed)) / speed, np.arange(len(one)), one)
    reach = REACH * SECOND // 1000
    begin = max(0, place - reach)
    other = _envelope(new, Span(begin, begin + len(one) * SECOND // 1000 + 2 * reach))
    match = correlate(other - other.mean(), one - one.mean(), mode="valid")
    return begin + float(match.argmax()) * SECOND / 1000


def _envelope(film: Probe, span: Span) -> np.ndarray:
    """Loudness of `span` a millisecond, in decibels; silence outside the film."""
    sound = np.concatenate([block for _, block in audio.blocks(film, span=span)])
    frames = sound[: len(sound) // FINE * FINE].reshape(-1, FINE)
    return 10 * np.log10(np.square(frames).mean(axis=1) + 1e-7)
