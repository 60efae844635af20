"""Named things in a picture or a film, found and shown where they are: TagAlign by the words a user gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avtool.errors import MediaError, UsageError
from avtool.timeline import Box, Shot, Span
from avtool.weights import imported
from avtool.workspace import replacing

if TYPE_CHECKING:
    from PIL import Image

    from avmodels.tag_align.locate import Locator
    from avtool.perception import Perception, Progress

MODEL = "tag-align/gated"
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}

# Of the page that shows where, in pixels; of a film it has the shots that show most.
PAGE, INK, FAINT = "#fcfcfb", "#1c1c1a", "#77756f"
CELL, EDGE, GAP, TEXT = 320, 32, 16, 30
ROWS = 40


@dataclass(frozen=True, slots=True)
class Found:
    """A word in a picture, or in the middle frame of a shot of a film at `span`: the box around where it is."""

    word: str
    score: float
    present: bool
    box: Box | None
    share: float  # of the picture that it fills
    shot: int | None = None
    span: Span | None = None


def words_of(text: str) -> list[str]:
    """The words of a list with commas, each once. Raises UsageError where there is none."""
    words = list(dict.fromkeys(word for part in text.split(",") if (word := " ".join(part.split()))))
    if not words:
        raise UsageError("--tags names nothing; write --tags 'red car, dog'")
    return words


def imported_weights() -> Path | None:
    """TagAlign's weights where they are imported."""
    from avmodels import run

    path = run.imported(MODEL)
    return path if path.is_file() else None


def locator(words: Sequence[str], weights: Path | None = None, threshold: float | None = None) -> Locator:
    """TagAlign, ready to find some words. Raises MissingError where its weights are not there."""
    from avmodels import zoo
    from avmodels.tag_align.locate import Locator

    path = weights or imported(MODEL, "OpenAI's ViT-B-16.pt, github.com/openai/CLIP")
    config = zoo.load_of("tag-align", path, None)
    model = zoo.recipe("tag-align").build(config)
    zoo.recipe("tag-align").load(model, config, path)
    how = (
        config.inference
        if threshold is None
        else config.inference.model_copy(update={"background": threshold})
    )
    return Locator(model.eval(), words, how)


@dataclass(frozen=True, slots=True)
class Sight:
    """A picture, or the middle frame of a shot, no larger than the page shows it: frame (h, w, 3) uint8, what was
    found, and the map (h, w) of each word's scores in [0, 1]."""

    title: str
    frame: np.ndarray
    found: tuple[Found, ...]
    maps: tuple[np.ndarray, ...]


def look(locate: Locator, picture: np.ndarray, title: str, shot: Shot | None = None) -> Sight:
    """Every word in picture (H, W, 3), RGB uint8."""
    import cv2

    size = CELL, max(1, round(CELL * picture.shape[0] / picture.shape[1]))
    found, maps = [], []
    for located in locate(picture):
        where = located.map > locate.protocol.background
        there = located.score > locate.protocol.background
        place = (shot.index, shot.span) if shot else (None, None)
        found.append(Found(located.word, located.score, there, box_of(where), float(where.mean()), *place))
        maps.append(cv2.resize(located.map, size, interpolation=cv2.INTER_AREA))
    frame = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return Sight(title, frame, tuple(found), tuple(maps))


def box_of(where: np.ndarray) -> Box | None:
    """The box around what is True in where (H, W); None where nothing is."""
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    if not len(rows):
        return None
    height, width = where.shape
    x0, x1 = columns[0] / width, (columns[-1] + 1) / width
    return float(x0), float(rows[0] / height), float(x1), float((rows[-1] + 1) / height)


def in_film(locate: Locator, seen: Perception, progress: Progress | None = None) -> Iterator[Sight]:
    """The middle frame of every shot."""
    from avtool.media.frames import grab

    for shot in seen.shots:
        frame = grab(seen.source, [shot.span.middle])[0]
        yield look(locate, frame, f"shot {shot.index}", shot)
        if progress is not None:
            progress("tagging", shot.span.end, seen.span.end)


def best(sights: Sequence[Sight]) -> list[Sight]:
    """The sights that show something, at most ROWS: those that show it most surely, in their order."""

    def surest(sight: Sight) -> float:
        return max(found.score for found in sight.found if found.present)

    showing = [sight for sight in sights if any(found.present for found in sight.found)]
    chosen = sorted(showing, key=surest, reverse=True)[:ROWS]
    return [sight for sight in showing if sight in chosen]


def read_picture(path: Path) -> np.ndarray:
    """A picture file as upright RGB (H, W, 3) uint8. Raises MediaError where it cannot be read."""
    from avmodels.data.clips import UnreadableError
    from avmodels.data.images import Picture, read

    try:
        return np.asarray(read(Picture(path)))
    except UnreadableError as error:
        raise MediaError(str(error)) from error


def draw(sights: Sequence[Sight], path: Path) -> None:
    """A page that shows where: a row for each sight, first the frame as it is, then a copy for each word with the
    rest of it dimmed, and a box where the word is present."""
    from PIL import Image, ImageDraw, ImageFont

    columns = 1 + max((len(sight.found) for sight in sights), default=0)
    width = 2 * EDGE + columns * CELL + (columns - 1) * GAP
    height = 2 * EDGE + sum(sight.frame.shape[0] + TEXT + GAP for sight in sights)
    page = Image.new("RGB", (width, height), PAGE)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(16)
    top = EDGE
    for sight in sights:
        cells = [(sight.title, FAINT, Image.fromarray(sight.frame))]
        for found, where in zip(sight.found, sight.maps, strict=True):
            ink = INK if found.present else FAINT
            cells.append((f"{found.word}  {found.score:.2f}", ink, lit(sight.frame, found, where)))
        for column, (words, ink, picture) in enumerate(cells):
            left = EDGE + column * (CELL + GAP)
            page.paste(picture, (left, top))
            pen.text((left, top + picture.height + 6), words, ink, font)
        top += sight.frame.shape[0] + TEXT + GAP
    with replacing(path) as beside:
        page.save(beside, format="PNG")


def lit(frame: np.ndarray, found: Found, where: np.ndarray) -> Image.Image:
    """The frame, bright where the map of a word is high, with its box where the word is present."""
    from PIL import Image, ImageDraw

    light = 0.25 + 0.75 * np.clip(where / max(float(where.max()), 1e-6), 0, 1) ** 2
    picture = Image.fromarray((frame * light[..., None]).astype(np.uint8))
    if found.present and found.box is not None:
        corners = [value * side for value, side in zip(found.box, picture.size * 2, strict=True)]
        ImageDraw.Draw(picture).rectangle(corners, outline="#ffd54a", width=2)
    return picture
