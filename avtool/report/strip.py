"""The film strip: shots, sound, dialogue, pauses and descriptions on one time axis, in rows of at most `ROW`.

A row is laid out once, in pixels, for the page (SVG) and for the picture (PNG) alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from avtool.media import audio
from avtool.media.frames import grab
from avtool.media.probe import Probe
from avtool.timeline import SECOND, Shot, Span, clock
from avtool.tracks.script import Script
from avtool.workspace import replacing

ROW = 120 * SECOND
LEFT, WIDTH = 90, 1600  # pixels: of the lanes' names, and of all
FILM, SOUND, SAID, TOLD, TEXTS, AXIS, HEIGHT = 6, 106, 160, 184, 212, 284, 308  # tops of the lanes
PICTURE, WAVE, BAR, LINE = 92, 48, 22, 22  # heights
LANES = 3  # of the descriptions' words
NARROW = 12  # pixels: a narrower shot shows no picture
BATCH = 64  # frames read at a time
LETTER = 7.4  # pixels, a mean letter of the descriptions' words

DIALOGUE, NARRATION, PAUSE, INK, QUIET = "#a4371d", "#14507a", "#d8dde2", "#1b1f24", "#59636e"
NAMES = (("shots", FILM + 50), ("sound", SOUND + 28), ("said", SAID + 16), ("told", TOLD + 16))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels with what it says; `link` is the id of a description."""

    left: float
    top: float
    width: float
    height: float
    colour: str
    text: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the strip, all in pixels; `wave` is the half height of the sound at each pixel from `LEFT` on."""

    span: Span
    bars: list[Box] = field(default_factory=list)
    words: list[Box] = field(default_factory=list)
    pictures: list[tuple[Box, Image.Image]] = field(default_factory=list)
    wave: list[float] = field(default_factory=list)
    ticks: list[tuple[float, str]] = field(default_factory=list)

    def x(self, time: int) -> float:
        """Where `time` is; every row has the scale of a whole one, or of the film if that is shorter."""
        return LEFT + (time - self.span.start) / max(1, self.span.duration) * (WIDTH - LEFT - 10)


def rows(script: Script, film: Probe) -> list[Row]:
    """The strip of `script`. Raises MediaError where the film cannot be read."""
    whole = script.film.span
    length = min(ROW, max(1, whole.duration))
    laid = [Row(Span(start, start + length)) for start in range(whole.start, max(whole.end, 1), length)]
    loudness = _loudness(film, whole)
    for row in laid:
        row.wave.extend(_wave(loudness, row, whole))
        _lay_bars(row, script)
        _lay_words(row, script)
        step = next(step for step in (1, 2, 5, 10, 20, 60) if row.span.duration / SECOND / step <= 15)
        first = -(-row.span.start // (step * SECOND)) * step * SECOND
        row.ticks.extend(
            (row.x(time), clock(time)[:-4])
            for time in range(first, min(row.span.end, whole.end) + 1, step * SECOND)
        )
    _lay_pictures(laid, script.film.shots, film)
    return laid


def draw(script: Script, film: Probe, path: Path) -> None:
    """Write the strip as a PNG. Raises MediaError where the film cannot be read, UsageError where `path` cannot."""
    laid = rows(script, film)
    canvas = Image.new("RGB", (WIDTH, HEIGHT * len(laid)), "white")
    pen = ImageDraw.Draw(canvas)
    small, large = ImageFont.load_default(13), ImageFont.load_default(15)
    for number, row in enumerate(laid):
        top = number * HEIGHT
        for name, y in NAMES:
            pen.text((LEFT - 12, top + y), name, QUIET, small, anchor="rs")
        for box, picture in row.pictures:
            canvas.paste(picture, (round(box.left), top + round(box.top)))
        middle = top + SOUND + WAVE // 2
        for x, half in enumerate(row.wave, LEFT):
            pen.line((x, middle - half, x, middle + half), QUIET)
        for box in row.bars:
            corner = (
                box.left,
                top + box.top,
                max(box.left + 1, box.left + box.width - 1),
                top + box.top + box.height,
            )
            pen.rectangle(corner, box.colour)
        for box in row.words:
            pen.text(
                (box.left, top + box.top + 15),
                box.text,
                box.colour,
                large if box.link else small,
                anchor="ls",
            )
        for x, time in row.ticks:
            pen.line((x, top + AXIS - 4, x, top + AXIS), QUIET)
            pen.text((x, top + AXIS + 14), time, QUIET, small, anchor="ms")
    with replacing(path) as beside:
        canvas.save(beside, "PNG")


def _lay_bars(row: Row, script: Script) -> None:
    def bar(span: Span, top: int, colour: str, text: str = "", link: str = "") -> None:
        if part := span.clip(row.span):
            row.bars.append(
                Box(row.x(part.start), top, row.x(part.end) - row.x(part.start), BAR, colour, text, link)
            )

    for gap in script.film.gaps:
        bar(gap.usable, TOLD, PAUSE)
    for speech in script.film.speech:
        bar(speech.span, SAID, DIALOGUE)
    for cue in script.descriptions:
        bar(cue.span, TOLD, NARRATION, cue.text, cue.id)


def _lay_words(row: Row, script: Script) -> None:
    """The descriptions' words, each in the first lane that is free; what finds none is in the table."""
    free = [0.0] * LANES
    for cue in script.descriptions:
        if cue.span.start not in row.span:
            continue
        width = LETTER * len(cue.text)
        left = max(LEFT, min(row.x(cue.span.start), WIDTH - width - 4))
        for lane, end in enumerate(free):
            if left >= end:
                free[lane] = left + width + 12
                row.words.append(Box(left, TEXTS + LINE * lane, width, LINE, NARRATION, cue.text, cue.id))
                break


def _lay_pictures(laid: list[Row], shots: list[Shot], film: Probe) -> None:
    """Each shot's middle frame, the middle of it where the shot is narrow."""
    places = [
        (row, Box(row.x(part.start), FILM, row.x(part.end) - row.x(part.start) - 2, PICTURE, INK), shot)
        for shot in shots
        for row in laid
        if (part := shot.span.clip(row.span)) and row.x(part.end) - row.x(part.start) >= NARROW
    ]
    frames = pictures(film, [shot.span.middle for _, _, shot in places], PICTURE)
    for (row, box, _), frame in zip(places, frames, strict=True):
        width = max(1, min(frame.width, round(box.width)))
        left = (frame.width - width) // 2
        row.pictures.append((box, frame.crop((left, 0, left + width, PICTURE))))


def pictures(film: Probe, times: list[int], height: int) -> Iterator[Image.Image]:
    """The frames at `times`, `height` pixels high, in their order."""
    width = max(1, round(height * film.picture.width / film.picture.height))
    for first in range(0, len(times), BATCH):
        for frame in grab(film, times[first : first + BATCH], (height, width)):
            yield Image.fromarray(frame)


def _loudness(film: Probe, whole: Span) -> np.ndarray:
    """Root mean square of the film's sound every tenth of a second, from 0 to 1 of its loudest; empty without sound."""
    size = audio.RATE // 10
    parts = [
        np.sqrt(np.square(block[: len(block) // size * size].reshape(-1, size)).mean(axis=1))
        for _, block in audio.blocks(film, span=whole)
    ]
    loud = np.concatenate([np.zeros(0, np.float32), *parts])
    return loud / max(float(loud.max(initial=0)), 1e-6)


def _wave(loudness: np.ndarray, row: Row, whole: Span) -> list[float]:
    if not len(loudness):
        return []
    pixels = WIDTH - LEFT - 10
    times = row.span.start + (np.arange(pixels) + 0.5) / pixels * row.span.duration
    places = ((times - whole.start) / (SECOND / 10)).astype(int)
    heard = np.where(places < len(loudness), loudness[np.minimum(places, len(loudness) - 1)], 0)
    return [round(float(value) * WAVE / 2, 1) for value in np.sqrt(heard)]
