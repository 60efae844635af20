"""Small pictures of a film, for people."""

from __future__ import annotations

from PIL import Image

from avtool.media.frames import grab
from avtool.media.probe import Probe


def thumbnail(film: Probe, time: int, height: int) -> Image.Image:
    """The frame on the screen at `time` (microseconds), `height` pixels high, as wide as its shape asks.

    Raises MediaError where the film has no picture, or none can be read there.
    """
    width = max(1, round(height * film.picture.width / film.picture.height))
    return Image.fromarray(grab(film, [time], (height, width))[0])
