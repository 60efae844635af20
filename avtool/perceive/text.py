"""On-screen text: lines of words in the picture, and how long they stand there.

Text is dear to find, dearer to read, and cheap to follow once read. So every picture becomes a map of its
strokes (thin bright or dark marks); lines are looked for only where strokes have changed, read a few times, and
then followed by their strokes alone.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

import cv2
import numpy as np

from avtool.perceive import detailed, roles
from avtool.perceive.reading import Reader, Reading
from avtool.timeline import SECOND, Box, Shot, Span, Text

FPS = 3.0
LEGIBLE = int(0.7 * SECOND)  # a shorter text cannot be read by those who see it
SMALLEST = 0.022  # height of a line, of the picture's
LINES = 16  # most lines read in one picture, the largest first
READINGS = 3  # of one line, on different pictures

MAP_HEIGHT = 360  # of the map of strokes
STROKE = 13  # pixels of the map: marks up to this wide are strokes
CONTRAST = 40  # of 255, between a stroke and what is around it
CELL = 24  # pixels of the map, the side of the squares that are compared
DENSE = 0.12  # share of strokes in a square that may hold text
SAME, UNMOVED = 0.5, 0.7  # shared strokes over all strokes, where two maps show the same, and unmoved
PLAIN = 0.01  # share of strokes beside the text on a plain ground
REST = SECOND  # between two looks at a picture that has lost no line, where something new stands still
REST_MOVING = 3 * SECOND  # and where what is new moves: leaves, a crowd, a street from a car
MEMORY = 6  # maps kept, to find out when a line began that was found late
MOVED = 0.5  # heights of the line
OVERLAP = 0.5  # intersection over union of the boxes of one line


@dataclass(slots=True)
class Line:
    """One line of text that was in every picture from `first` to `last`."""

    corners: np.ndarray  # (4, 2) in [0, 1], clockwise from the top left
    strokes: np.ndarray  # the map under its box
    first: int
    last: int
    plain: bool  # it stands on a plain ground
    still: bool = True  # it never moved
    readings: list[Reading] = field(default_factory=list)

    @property
    def box(self) -> Box:
        (x0, y0), (x1, y1) = self.corners.min(axis=0), self.corners.max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)

    @property
    def height(self) -> float:
        return _height(self.corners)

    @property
    def votes(self) -> dict[str, list[float]]:
        """The confidences of each reading."""
        votes: defaultdict[str, list[float]] = defaultdict(list)
        for reading in self.readings:
            votes[reading.text].append(reading.confidence)
        return votes

    @property
    def text(self) -> str:
        """What most readings, weighed by confidence, say."""
        votes = self.votes
        return max(votes, key=lambda text: (sum(votes[text]), text), default="")

    @property
    def confidence(self) -> float:
        confidences = self.votes.get(self.text, [0.0])
        return sum(confidences) / len(confidences)


class Texts:
    """The perceiver of text in pictures `height` x `width` as displayed. It keeps the lines that were legible, and a few maps of strokes."""

    fps: float | None = FPS
    gray: bool = False

    def __init__(self, height: int, width: int) -> None:
        self.size: tuple[int, int] | None = detailed(height, width)
        self._reader = Reader()
        self._standing: list[Line] = []
        self._gone: list[Line] = []
        self._maps: deque[tuple[int, np.ndarray]] = deque(maxlen=MEMORY)
        self._looked = -REST
        self._looked_map: np.ndarray | None = None

    def see(self, times: np.ndarray, frames: np.ndarray) -> None:
        for time, frame in zip(times.tolist(), frames, strict=True):
            self._see(time, frame)

    def finish(self) -> None:
        for line in self._standing:
            self._leave(line)
        self._standing = []

    def texts(self, shots: list[Shot], whole: Span) -> list[Text]:
        """What was legible, each with its role, in the order of appearance."""
        return roles.texts(self._gone, shots, whole)

    def _see(self, time: int, picture: np.ndarray) -> None:
        strokes = _strokes(picture)
        lost = []
        for line in self._standing:
            if _same(line.strokes, strokes[_under(line.box, strokes)]):
                line.last = time
                if len(line.readings) < READINGS:
                    corners = self._reader.measure(picture, line.corners * _size(picture))
                    line.readings.append(self._reader.read(picture, corners))
            else:
                lost.append(line)
        if lost or self._worth_a_look(time, strokes):
            self._look(time, picture, strokes, lost)
        self._maps.append((time, strokes))

    def _worth_a_look(self, time: int, strokes: np.ndarray) -> bool:
        """Whether a square that may hold text is not as it was when lines were last looked for."""
        if self._looked_map is None:
            return True
        rested = time - self._looked
        if rested < REST:
            return False
        new = (_squares(strokes > 0) >= DENSE) & ~_alike(strokes, self._looked_map, SAME)
        if rested < REST_MOVING:
            new &= _alike(strokes, self._maps[-1][1], UNMOVED)
            new = new[:, 1:] & new[:, :-1]  # a word is wider than high
        return bool(new.any())

    def _look(self, time: int, picture: np.ndarray, strokes: np.ndarray, lost: list[Line]) -> None:
        """Find the lines of the picture: those lost may have moved or changed, others may be new."""
        self._looked, self._looked_map = time, strokes
        size = _size(picture)
        found = self._reader.find(picture) / size
        found = [corners for corners in found if _height(corners) >= SMALLEST]
        found.sort(key=_height, reverse=True)
        boxes = [_box(corners) for corners in found[:LINES]]
        ground = strokes > 0
        for box in boxes:
            ground[_under(box, strokes)] = False
        plain = bool(ground.mean() < PLAIN)

        for corners, box in zip(found, boxes, strict=False):
            if any(roles.overlap(box, line.box) > OVERLAP for line in self._standing if line.last == time):
                continue
            corners = self._reader.measure(picture, corners * size) / size
            box = _box(corners)
            reading = self._reader.read(picture, corners * size)
            line = next((line for line in lost if _goes_on(line, box, reading)), None)
            if line is None:
                line = Line(corners, strokes[_under(box, strokes)].copy(), time, time, plain)
                line.first = self._since(line)
                self._standing.append(line)
            else:
                shift = np.abs(corners.mean(axis=0) - line.corners.mean(axis=0)).max()
                line.still &= bool(shift < MOVED * line.height)
                line.corners, line.strokes, line.last = corners, strokes[_under(box, strokes)].copy(), time
            line.readings.append(reading)
        for line in lost:
            if line.last < time:
                self._leave(line)
                self._standing.remove(line)

    def _since(self, line: Line) -> int:
        """The first of the kept maps from which on the line has been there."""
        first = line.first
        for time, strokes in reversed(self._maps):
            if not _same(line.strokes, strokes[_under(line.box, strokes)]):
                break
            first = time
        return first

    def _leave(self, line: Line) -> None:
        line.strokes = line.strokes[:0]
        if line.last - line.first + SECOND / FPS >= LEGIBLE:
            self._gone.append(line)


def _goes_on(line: Line, box: Box, reading: Reading) -> bool:
    """Whether `reading` at `box` is `line`, which has moved or whose ground has changed."""
    return roles.overlap(box, line.box) > OVERLAP and roles.alike(reading.text, line.text)


def _size(picture: np.ndarray) -> np.ndarray:
    return np.array([picture.shape[1], picture.shape[0]], np.float32)


def _strokes(picture: np.ndarray) -> np.ndarray:
    """The map of strokes, MAP_HEIGHT pixels high: 1 where thin and bright, 2 where thin and dark, else 0."""
    height, width = picture.shape[:2]
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    luma = cv2.resize(luma, (round(width * MAP_HEIGHT / height), MAP_HEIGHT), interpolation=cv2.INTER_AREA)
    around = np.ones((STROKE, STROKE), np.uint8)
    bright = cv2.morphologyEx(luma, cv2.MORPH_TOPHAT, around) > CONTRAST
    dark = cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, around) > CONTRAST
    return np.where(bright, 1, np.where(dark, 2, 0)).astype(np.uint8)


def _same(before: np.ndarray, now: np.ndarray) -> bool:
    """Whether the letters, be they bright or dark, are still there: what shines through between may change."""
    ink = 1 if np.count_nonzero(before == 1) >= np.count_nonzero(before == 2) else 2
    one, other = before == ink, now == ink
    return one.shape == other.shape and bool((one & other).sum() >= SAME * max(1, (one | other).sum()))


def _alike(one: np.ndarray, other: np.ndarray, least: float) -> np.ndarray:
    """Which squares of two maps share at least so much of their strokes."""
    shared = _squares((one > 0) & (one == other))
    return shared >= least * _squares((one > 0) | (other > 0))


def _squares(flags: np.ndarray) -> np.ndarray:
    """Share of true flags in each square of the map."""
    size: tuple[int, int] | None = (max(1, flags.shape[1] // CELL), max(1, flags.shape[0] // CELL))
    return cv2.resize(flags.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) / np.float32(255)


def _under(box: Box, strokes: np.ndarray) -> tuple[slice, slice]:
    """Where in the map `box` lies."""
    height, width = strokes.shape
    x0, y0, x1, y1 = box
    return slice(int(y0 * height), int(y1 * height) + 1), slice(int(x0 * width), int(x1 * width) + 1)


def _box(corners: np.ndarray) -> Box:
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _height(corners: np.ndarray) -> float:
    """Height of a line along its left side, of the picture's."""
    return float(abs(corners[3, 1] - corners[0, 1]))
