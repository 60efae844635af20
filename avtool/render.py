"""A film with the people's boxes, tracks and actions drawn, and its sound."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import cv2
import ffmpeg
import numpy as np

from avtool.detect import Detections, Person
from avtool.media import frames
from avtool.media.probe import Probe
from avtool.timeline import SECOND, Box, Span
from avtool.tracks import sound
from avtool.workspace import refuse_input, replacing, scratch

# Colours of the tracks in turn: they differ in lightness too (Okabe and Ito's).
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))
HELD = SECOND // 2  # so long before and after a keyframe a box is drawn
CLOCK = 90_000  # units a second of the drawn film's times
FONT = cv2.FONT_HERSHEY_SIMPLEX


def render(found: Detections, least: float, path: Path) -> None:
    """Writes the part of the film that was looked at as MP4 with boxes that move on straight lines between keyframes, and the actions
    that reach `least`. Raises UsageError where `path` is the film itself."""
    refuse_input(path, found.film.path)
    with scratch(path) as folder, replacing(path) as beside:
        drawn = folder / "drawn.mp4"
        with Drawing(found, least, drawn) as drawing:
            frames.show(found.film, [drawing], span=found.span)
            drawing.finish()
        streams = [ffmpeg.input(f"file:{drawn}")["v:0"]]
        if found.film.audio:
            streams.append(heard(found.film, found.span))
        written = ffmpeg.output(*streams, f"file:{beside}", format="mp4", vcodec="copy", acodec="aac")
        sound.run(written, f"{path} cannot be written")


def heard(film: Probe, span: Span) -> object:
    """The film's first sound in `span`, beginning at zero."""
    whole = sound.programme(film, film.audio[0], sound.layout(film.audio[0]))
    start, end = span.start / SECOND, span.end / SECOND
    return whole.filter("atrim", start=start, end=end).filter("asetpts", "PTS-STARTPTS")


class Drawing:
    """A perceiver (see avtool.perceive) that encodes what it is shown, with boxes, into a file without sound."""

    fps: float | None = None
    size: tuple[int, int] | None = None
    gray = False

    def __init__(self, found: Detections, least: float, path: Path) -> None:
        self._found, self._least = found, least
        self._shots = {shot.index: shot.span for shot in found.shots}
        self._tracks: dict[int, list[Person]] = defaultdict(list)
        for one in found.people:
            self._tracks[one.track].append(one)
        # H.264 wants even sides.
        height, width = (side // 2 * 2 for side in (found.film.picture.height, found.film.picture.width))
        self._file = av.open(str(path), "w", format="mp4")
        self._stream = self._file.add_stream("libx264", options={"crf": "20", "preset": "veryfast"})
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, CLOCK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def see(self, times: np.ndarray, frames: np.ndarray) -> None:
        for time, frame in zip(times.tolist(), frames, strict=True):
            drawn = frame[: self._stream.height, : self._stream.width].copy()
            for people in self._tracks.values():
                self._draw(drawn, people, time)
            picture = av.VideoFrame.from_ndarray(drawn, format="rgb24")
            picture.pts = (time - self._found.span.start) * CLOCK // SECOND
            picture.time_base = Fraction(1, CLOCK)
            self._file.mux(self._stream.encode(picture))

    def finish(self) -> None:
        self._file.mux(self._stream.encode())

    def _draw(self, frame: np.ndarray, people: list[Person], time: int) -> None:
        """One track, where it is at a time."""
        here = moved(people, time, self._shots[people[0].shot])
        if here is None:
            return
        one, box = here
        height, width = frame.shape[:2]
        x0, y0, x1, y1 = (round(side * scale) for side, scale in zip(box, (width, height) * 2, strict=True))
        colour = COLOURS[one.track % len(COLOURS)]
        thick = max(height // 360, 1)
        cv2.rectangle(frame, (x0, y0), (x1, y1), colour, thick + 1)
        lines = [f"{one.track}  {one.score:.2f}"]
        lines += [f"{label} {score:.2f}" for label, score in self._found.doing(one, self._least).items()]
        size = max(height / 900, 0.35)
        step = round(32 * size)
        for number, line in enumerate(lines, start=1):
            place = x0 + 3, min(max(y0, 0) + number * step, height - 3)
            cv2.putText(frame, line, place, FONT, size, (0, 0, 0), thick + 2, cv2.LINE_AA)
            cv2.putText(frame, line, place, FONT, size, colour, thick, cv2.LINE_AA)


def moved(people: list[Person], time: int, shot: Span) -> tuple[Person, Box] | None:
    """A track at a time: as it was at the nearest keyframe, its box on the way from one to the next; None where it was
    not seen, or in another shot."""
    seen = np.array([one.time for one in people])
    nearest = int(np.abs(seen - time).argmin())
    if time not in shot or abs(int(seen[nearest]) - time) > HELD:
        return None
    x0, y0, x1, y1 = (float(np.interp(time, seen, side)) for side in np.array([one.box for one in people]).T)
    return people[nearest], (x0, y0, x1, y1)
