"""Who is where and does what, second by second: EVAD over a film, or the embedded detector where it is missing."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from avtool.errors import MissingError, UsageError
from avtool.timeline import SECOND, Box, Shot, Span, Track

if TYPE_CHECKING:
    from avmodels.evad.config import Detection as Recipe
    from avtool.media.probe import Probe
    from avtool.perception import Perception, Progress

# What is taken where no weights are asked for, the best first: the variants trained on AVA.
VARIANTS = (
    "vit-l-ktp",
    "vit-b-ktp-videomae-v2",
    "vit-b-ktp",
    "vit-b",
    "vit-b-ktp-ew",
    "vit-l-ktp-ava21",
)
EMBEDDED = "embedded"
PERSON = 0.7  # least person score, as published
WINDOWS = 4  # that the network takes at once
BARS = 9  # frames, spread over the film, that tell its black bars
SURE = 0.6  # least score of the embedded detector, which takes curtains for people at 0.58
LOOK = 3 * SECOND // 5  # the embedded detector looks at a film twice a second, give or take a frame


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at a keyframe: how surely a person, and the score of every action of `Detections.labels`, in their
    order."""

    time: int
    shot: int
    track: int
    box: Box
    score: float
    actions: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Detections:
    """Everyone at every keyframe of `span` of a film and its `shots`, by time.

    `by` says in a line what found them; `labels` are the actions, name by number, none where none were looked for;
    `keyframes` are all that were looked at, nobody there or not.
    """

    film: Probe
    span: Span
    shots: list[Shot]
    by: str
    labels: dict[int, str]
    keyframes: tuple[int, ...]
    people: list[Person]

    def doing(self, person: Person, least: float) -> dict[str, float]:
        """The actions of a person that reach a score, the surest first."""
        scored = zip(self.labels.values(), person.actions, strict=True)
        return dict(sorted((one for one in scored if one[1] >= least), key=lambda one: -one[1]))


@dataclass(frozen=True, slots=True)
class Window:
    """A keyframe, and when the frames around it are shown, none beyond its shot; microseconds."""

    time: int
    shot: int
    times: np.ndarray


def detect(
    movie: str | Path,
    *,
    weights: str | None = None,
    short_side: int | None = None,
    precision: Literal["bf16", "fp32"] = "bf16",
    start: int | None = None,
    end: int | None = None,
    work: str | Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Detections:
    """The people at every whole second of `movie`, followed within each shot, and their actions.

    `weights` is a file, `evad/VARIANT` as imported, or "embedded"; None takes the best imported weights that were
    trained on AVA, else the embedded detector, which names no actions. `short_side` (pixels, a multiple of 32) is
    other than trained. `start` and `end` are microseconds. Raises MediaError for a film that cannot be read,
    MissingError for weights that are not there, UsageError for what cannot be done, WeightsError for a file of
    another network.
    """
    from avtool.perception import open_film

    if short_side is not None and (short_side <= 0 or short_side % 32):
        raise UsageError(f"a short side of {short_side} pixels: it must be a multiple of 32")
    path = choose(weights)
    seen = open_film(movie, start=start, end=end, work=work, force=force, progress=progress)
    _ = seen.source.picture
    if path is None:
        return _by_tracks(seen)
    return by_network(seen, path, short_side, precision, progress)


def by_network(
    seen: Perception,
    path: Path,
    short_side: int | None = None,
    precision: Literal["bf16", "fp32"] = "bf16",
    progress: Progress | None = None,
) -> Detections:
    """What EVAD with the weights at `path` sees, from the film's workspace where it is there already."""
    from avmodels import zoo
    from avmodels.evad.actions import labels_of

    recipe: Recipe = zoo.load_of("evad", path, None)
    if short_side is not None:
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"short_side": short_side})})
    labels = labels_of(path, recipe)
    cuts = [shot.span.start for shot in seen.shots]
    key = seen.key("detections", digest(path), cuts, recipe.data.short_side, precision)
    people = seen.work.load("detections", key, Person)
    planned = windows(seen.span, seen.shots, _offsets(recipe))
    if people is None:
        people = _watch(seen, planned, recipe, path, labels, precision, progress)
        seen.work.save("detections", key, people, weights=str(path))
    some = ", ".join([*labels.values()][:3])
    by = f"EVAD with the weights {path}, which know {len(labels)} actions ({some} ...)"
    times = tuple(one.time for one in planned)
    return Detections(seen.source, seen.span, seen.shots, by, labels, times, people)


def digest(path: Path) -> str:
    """The hash of a weights file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def choose(weights: str | None) -> Path | None:
    """The weights file to use; None is the embedded detector.

    Raises MissingError where it is not there, UsageError for a checkpoint that was not imported.
    """
    from avmodels import run

    if weights == EMBEDDED:
        return None
    if weights is None:
        found = (run.imported(f"evad/{variant}") for variant in VARIANTS)
        return next((path for path in found if path.exists()), None)
    path = run.imported(weights) if weights.startswith("evad/") else Path(weights)
    if not path.is_file():
        how = f": avtool weights import {weights} FILE" if weights.startswith("evad/") else ""
        raise MissingError(f"there are no weights at {path}{how}")
    if path.suffix != ".safetensors":
        raise UsageError(f"{path} is not imported: avtool weights import evad/VARIANT {path}")
    return path


def windows(span: Span, shots: list[Shot], offsets: np.ndarray) -> list[Window]:
    """A window around every whole second of `span`; `offsets` are microseconds from its keyframe. Frames beyond
    the ends of the keyframe's shot repeat its first or last."""
    starts = [shot.span.start for shot in shots]
    found = []
    for time in range(-(-span.start // SECOND) * SECOND, span.end, SECOND):
        shot = shots[bisect_right(starts, time) - 1] if starts and time >= starts[0] else None
        if shot is not None and time in shot.span:
            times = (time + offsets).clip(shot.span.start, shot.span.end - 1)
            found.append(Window(time, shot.index, times))
    return found


def _offsets(recipe: Recipe) -> np.ndarray:
    from avmodels.evad import film
    from avmodels.evad.model import SIZES

    seconds = film.offsets(SIZES[recipe.model.size].encoder.frames, recipe.data.stride)
    return np.round(seconds * SECOND).astype(np.int64)


class Watcher:
    """A perceiver that cuts windows out of a film (see avtool.perceive): every frame a window wants is prepared
    once, and forgotten with the last window that wants it.

    `prepare` makes of a frame what the network reads; `read` gets some windows: frames (n, h, w, 3) and which of
    them make each window, (windows, T), and the windows themselves.
    """

    fps: float | None = None
    size: tuple[int, int] | None = None
    gray = False

    def __init__(
        self,
        wanted: list[Window],
        prepare: Callable[[np.ndarray], np.ndarray],
        read: Callable[[np.ndarray, np.ndarray, list[Window]], None],
    ) -> None:
        self._windows = wanted
        self._prepare = prepare
        self._read = read
        self._times = np.unique(np.concatenate([[], *(window.times for window in wanted)])).astype(np.int64)
        self._frame_of = np.zeros(len(self._times), int)
        self._shown = 0  # of the times
        self._frames: dict[int, np.ndarray] = {}
        self._count = 0
        self._last: np.ndarray | None = None

    def see(self, times: np.ndarray, frames: np.ndarray) -> None:
        for time, frame in zip(times.tolist(), frames, strict=True):
            if self._last is not None:
                self._until(int(np.searchsorted(self._times, time)))
            self._last = frame

    def finish(self) -> None:
        if self._last is not None:
            self._until(len(self._times))
            self._take(len(self._windows))

    def _until(self, shown: int) -> None:
        """The last frame was on the screen up to the time with this number."""
        if shown <= self._shown or self._last is None:
            return
        self._frames[self._count] = self._prepare(self._last)
        self._frame_of[self._shown : shown] = self._count
        self._shown, self._count = shown, self._count + 1
        ready = 0
        while ready < len(self._windows) and self._places(self._windows[ready])[-1] < self._shown:
            ready += 1
        if ready >= WINDOWS:
            self._take(ready)

    def _take(self, ready: int) -> None:
        """Read the first windows, and forget what none of the others wants."""
        for first in range(0, ready, WINDOWS):
            some = self._windows[first : min(first + WINDOWS, ready)]
            numbers = np.stack([self._frame_of[self._places(window)] for window in some])
            distinct, places = np.unique(numbers, return_inverse=True)
            frames = np.stack([self._frames[number] for number in distinct.tolist()])
            self._read(frames, places.reshape(numbers.shape), some)
        self._windows = self._windows[ready:]
        oldest = self._count
        if self._windows and (place := self._places(self._windows[0])[0]) < self._shown:
            oldest = self._frame_of[place]
        self._frames = {number: frame for number, frame in self._frames.items() if number >= oldest}

    def _places(self, window: Window) -> np.ndarray:
        return np.searchsorted(self._times, window.times)


def _watch(
    seen: Perception,
    planned: list[Window],
    recipe: Recipe,
    path: Path,
    labels: dict[int, str],
    precision: str,
    progress: Progress | None,
) -> list[Person]:
    """The network over the film, and its people linked."""
    import torch

    from avmodels.evad import film, views
    from avmodels.evad.recipe import build, load
    from avtool.media import frames

    picture = seen.source.picture
    rows, columns = _inside_bars(seen)
    high, wide = rows.stop - rows.start, columns.stop - columns.start
    scale = views.resize_scale(high, wide, recipe.data.short_side, recipe.data.long_side)
    model = build(recipe)
    load(model, recipe, path)
    model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    found: list[Person] = []
    kept = [number - 1 for number in labels]

    def prepare(frame: np.ndarray) -> np.ndarray:
        return views.resize(np.ascontiguousarray(frame[None, rows, columns]), scale)[0]

    def read(pictures: np.ndarray, places: np.ndarray, some: list[Window]) -> None:
        people = film.detect(model, pictures, places, PERSON, precision)
        corners = people.boxes.cpu().numpy() * (wide, high, wide, high)
        corners += (columns.start, rows.start, columns.start, rows.start)
        corners /= (picture.width, picture.height, picture.width, picture.height)
        for clip, box, score, actions in zip(
            people.clips.tolist(),
            corners.tolist(),
            people.people.tolist(),
            people.actions[:, kept].cpu().numpy().round(4).tolist(),
            strict=True,
        ):
            window = some[clip]
            found.append(Person(window.time, window.shot, -1, tuple(box), round(score, 4), tuple(actions)))

    watcher = Watcher(planned, prepare, read)
    told = (lambda done: progress("detecting", done, seen.span.duration)) if progress else None
    frames.show(seen.source, [watcher], span=seen.span, progress=told)
    watcher.finish()
    return linked(found, picture.width / picture.height)


def _inside_bars(seen: Perception) -> tuple[slice, slice]:
    """Rows and columns of the picture between its black bars."""
    from avtool.media import frames
    from avtool.perceive import bars

    times = np.linspace(seen.span.start, seen.span.end - 1, BARS + 2)[1:-1].astype(int).tolist()
    return bars.inside(frames.grab(seen.source, times))


def linked(found: list[Person], aspect: float) -> list[Person]:
    """People by time, each with the number of the track it belongs to; tracks end with their shot."""
    from avtool.perceive.tracks import Follower

    follower, shot, told = Follower(aspect), None, []
    for (now, time), group in groupby(found, key=lambda one: (one.shot, one.time)):
        here = list(group)
        if now != shot:
            follower.forget()
            shot = now
        boxes = np.array([one.box for one in here], np.float32)
        chains = follower.follow(time, np.zeros(len(here), int), boxes)
        told += [replace(one, track=chain) for one, chain in zip(here, chains, strict=True)]
    return told


def _by_tracks(seen: Perception) -> Detections:
    """The people whom the embedded detector follows, at every whole second."""
    keyframes = windows(seen.span, seen.shots, np.zeros(1, np.int64))
    looks = looks_of(seen.crowd.tracks)
    people = [
        Person(one.time, track.shot, track.id, box, score)
        for one in keyframes
        for track in seen.crowd.people
        if track.shot == one.shot
        for box, score in at(track, one.time, looks[track.shot])
        if score >= SURE
    ]
    by = "the embedded detector, which names no actions: those take EVAD trained on AVA (avtool weights import evad/vit-b-ktp FILE)"
    times = tuple(one.time for one in keyframes)
    return Detections(seen.source, seen.span, seen.shots, by, {}, times, people)


def looks_of(tracks: list[Track]) -> dict[int, np.ndarray]:
    """When the embedded detector looked at each shot and saw any of `tracks`, rising."""
    times: dict[int, set[int]] = defaultdict(set)
    for track in tracks:
        times[track.shot].update(track.times)
    return {shot: np.array(sorted(some)) for shot, some in times.items()}


def at(track: Track, time: int, looks: np.ndarray) -> list[tuple[Box, float]]:
    """Where a track is at a time, and its score there; nothing where it may not be there.

    It is there where the nearest of the shot's `looks` before and after that are near enough both saw it.
    """
    times = np.array(track.times)
    first, last = np.searchsorted(looks, time, "right") - 1, np.searchsorted(looks, time)
    around = looks[max(first, 0) : last + 1] if first < last else looks[last : last + 1]
    near = around[np.abs(around - time) <= LOOK]
    if len(near) == 0 or not np.isin(near, times).all():
        return []
    x0, y0, x1, y1 = (float(np.interp(time, times, side)) for side in np.array(track.boxes).T)
    return [((x0, y0, x1, y1), track.scores[int(np.abs(times - time).argmin())])]
