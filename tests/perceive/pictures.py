"""Pictures with a known truth: real photographs, moved as a camera would, with what an editor does to them.

Photographs are those of scikit-image; a picture is RGB uint8 (HEIGHT, WIDTH, 3), a take a list of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from imageio_ffmpeg import write_frames
from PIL import Image, ImageDraw, ImageFont

from avtool.perceive import Perceiver

HEIGHT, WIDTH = 360, 640
RATE = 25
FRAME = 40_000  # microseconds
BLACK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

View = tuple[
    float, float, float
]  # where in the photograph (0 left or top, 1 right or bottom), how much nearer


@cache
def photograph(name: str) -> np.ndarray:
    """One of scikit-image's, such as "coffee.png"."""
    with files("skimage.data").joinpath(name).open("rb") as file:
        return np.array(Image.open(file).convert("RGB"))


def view(name: str, across: float = 0.5, down: float = 0.5, near: float = 1.0) -> np.ndarray:
    """The part of a photograph that a camera at (across, down) sees."""
    photo = photograph(name)
    height, width = photo.shape[:2]
    scale = min(width / WIDTH, height / HEIGHT) / near
    left, top = (width - WIDTH * scale) * across, (height - HEIGHT * scale) * down
    matrix = np.array([[scale, 0, left], [0, scale, top]])
    return cv2.warpAffine(photo, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def take(
    name: str, frames: int, begin: View = (0.5, 0.5, 1.0), end: View = (0.5, 0.5, 1.3)
) -> list[np.ndarray]:
    """A slow camera move over a photograph, from one view to another."""
    steps = np.linspace(0, 1, frames)[:, None]
    return [view(name, *at) for at in np.array(begin) * (1 - steps) + np.array(end) * steps]


def dissolve(before: list[np.ndarray], after: list[np.ndarray], frames: int) -> list[np.ndarray]:
    """One take turning into another over `frames`."""
    shares = np.arange(1, frames + 1) / (frames + 1)
    mixed = [
        cv2.addWeighted(old, 1 - share, new, share, 0)
        for old, new, share in zip(before[-frames:], after[:frames], shares, strict=True)
    ]
    return before[:-frames] + mixed + after[frames:]


def darken(pictures: list[np.ndarray], shares: Iterable[float]) -> list[np.ndarray]:
    """Each picture at its share of its brightness."""
    return [(picture * share).astype(np.uint8) for picture, share in zip(pictures, shares, strict=True)]


def lettered(picture: np.ndarray, *lines: tuple[str, float, float, float]) -> np.ndarray:
    """`picture` with lines of white letters: text, its size in picture heights, centre across and down."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    height, width = picture.shape[:2]
    for text, size, across, down in lines:
        font = ImageFont.load_default(size * height)
        at = (across * width, down * height)
        outline = round(0.05 * size * height)
        draw.text(at, text, fill="white", font=font, anchor="mm", stroke_width=outline, stroke_fill="black")
    return np.array(image)


def show(
    perceiver: Perceiver, pictures: Iterable[np.ndarray], step: int, start: int = 0, block: int = 32
) -> None:
    """Show `pictures`, `step` microseconds apart, at the size the perceiver wants, and finish."""
    for at, batch in _batches(pictures, block):
        frames = np.stack([_as_wanted(perceiver, picture) for picture in batch])
        perceiver.see(start + step * np.arange(at, at + len(batch), dtype=np.int64), frames)
    perceiver.finish()


def film(path: Path, pictures: list[np.ndarray]) -> Path:
    """`pictures` encoded as H.264 at RATE."""
    height, width = pictures[0].shape[:2]
    writer = write_frames(
        str(path), (width, height), fps=RATE, macro_block_size=1, output_params=["-bf", "2"]
    )
    writer.send(None)
    for picture in pictures:
        writer.send(np.ascontiguousarray(picture))
    writer.close()
    return path


def _batches(pictures: Iterable[np.ndarray], size: int) -> Iterator[tuple[int, list[np.ndarray]]]:
    pictures = list(pictures)
    for at in range(0, len(pictures), size):
        yield at, pictures[at : at + size]


def _as_wanted(perceiver: Perceiver, picture: np.ndarray) -> np.ndarray:
    if perceiver.gray:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if perceiver.size is None:
        return picture
    height, width = perceiver.size
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
