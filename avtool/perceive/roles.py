"""What on-screen text is for: a title, a caption, a sign in the scene, a credit, a subtitle or a logo.

Lines are first put together into blocks; then place, size, ground and time decide (AD spec 3.5). What reads
unlike words is dropped: most of it is texture taken for letters.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rapidfuzz import fuzz

from avtool.perceive.reading import known
from avtool.timeline import SECOND, Box, Shot, Span, Text, TextRole

if TYPE_CHECKING:
    from avtool.perceive.text import Line

STEP = SECOND // 3  # between two pictures: a line is there until just before the next
SURE = 0.75  # confidence of a reading laid over the picture
SURE_SIGN = 0.9  # and of one in the scene, where texture looks like letters
SAME_WORDS = 80  # of 100: likeness of two readings of one text
AWAY = 3 * SECOND // 2  # a text may be hidden this long and is still the same
ALIKE = 1.8  # times the height of another line of the same block
TOGETHER = SECOND  # lines of one block come and go within this
ALWAYS = 0.9  # share of the film for which a logo stands
ALWAYS_CORNER = 0.5  # and where it stands in a corner
ROW = 0.04  # of the picture's height: texts whose lower edges differ less are in one place
TITLE = 0.08  # height of a line that is a title on any ground
MIDDLE = 0.15  # how far from the middle a centred text may be, in picture widths
SUBTITLES = 3  # different texts in one place make subtitles
CREDIT_LINES = 4
CREDIT = re.compile(
    r"\b(film|story|music|screenplay|costumes?|photo\w+|written|\w+ed) by\b"
    r"|\b(starring|executive producer|director of photography|casting|cinematograph\w+)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that stand together, in reading order."""

    lines: tuple[Line, ...]
    text: str
    box: Box
    span: Span
    height: float  # of the tallest line

    @property
    def centred(self) -> bool:
        return abs((self.box[0] + self.box[2]) / 2 - 0.5) < MIDDLE

    @property
    def below(self) -> bool:
        """Whether it stands where subtitles do."""
        x = (self.box[0] + self.box[2]) / 2
        return abs(x - 0.5) < MIDDLE / 2 and self.box[1] > 0.65 and self.height < TITLE


def texts(lines: list[Line], shots: list[Shot], whole: Span) -> list[Text]:
    """`lines` that read as words, in blocks, each with its role, in the order of appearance."""
    lines = [line for line in lines if line.confidence >= SURE and words(line.text)]
    blocks = _blocks(_joined(lines), shots)
    subtitles = [block for block in blocks if block.below]
    same: defaultdict[str, list[Block]] = defaultdict(list)
    for block in blocks:
        same[block.text].append(block)

    found = []
    for block in blocks:
        role = _role(block, subtitles, same[block.text], shots, whole)
        sure = min(line.confidence for line in block.lines)
        if role == "sign" and (sure < SURE_SIGN or not all(map(_confirmed, block.lines))):
            continue
        for part in [_block([line], shots) for line in block.lines] if role == "credit" else [block]:
            span = part.span.clip(whole)
            if span is not None:
                shot = _shot_at(span.start, shots).index
                found.append(Text(part.text, span, part.box, sure, role, shot))
    return sorted(found, key=lambda text: (text.span.start, text.box[1], text.box[0]))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(other) - shared)


def alike(one: str, other: str) -> bool:
    """Whether two readings may be of one text. "Chapter 1" is not "Chapter 2"."""
    return re.findall(r"\d+", one) == re.findall(r"\d+", other) and fuzz.ratio(one, other) >= SAME_WORDS


def words(text: str) -> bool:
    """Whether `text` reads as words or a number: Latin letters, and half of them in words that are known."""
    found = re.findall(r"[^\W\d_]+", text)
    letters = sum(map(len, found))
    digits = sum(character.isdigit() for character in text)
    if any(character.isalpha() and character > "\u024f" for character in text):
        return False  # no voice of ours reads it
    if letters + digits < 0.6 * len(text.replace(" ", "")):
        return False
    if not letters:
        return digits >= 2
    sense = sum(len(word) for word in found if len(word) >= 2 and known(word))
    return letters >= 2 and sense >= letters / 2


def _confirmed(line: Line) -> bool:
    return len(line.votes[line.text]) >= 2


def _joined(lines: list[Line]) -> list[Line]:
    """Lines with those after a short absence put to the same line before it."""
    done: list[Line] = []
    recent: list[Line] = []
    for line in sorted(lines, key=lambda line: (line.first, line.box)):
        done += [other for other in recent if line.first - other.last > AWAY]
        recent = [other for other in recent if line.first - other.last <= AWAY]
        before = next((other for other in recent if _again(other, line)), None)
        if before is None:
            recent.append(line)
        else:
            before.last = max(before.last, line.last)
            before.readings = [*before.readings, *line.readings]
    return sorted([*done, *recent], key=lambda line: (line.first, line.box))


def _again(before: Line, line: Line) -> bool:
    return overlap(before.box, line.box) > 0.5 and alike(before.text, line.text)


def _blocks(lines: list[Line], shots: list[Shot]) -> list[Block]:
    """Lines that stand together above one another or side by side; `lines` by time of appearance."""
    blocks = []
    at = 0
    while at < len(lines):
        end = at + 1
        while end < len(lines) and lines[end].first - lines[end - 1].first <= TOGETHER:
            end += 1
        blocks += [_block(group, shots) for group in _groups(lines[at:end])]
        at = end
    return sorted(blocks, key=lambda block: (block.span, block.box))


def _groups(lines: list[Line]) -> list[list[Line]]:
    groups: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: (line.box[1], line.box[0])):
        above = (group for group in reversed(groups) if any(_together(other, line) for other in group))
        # "A film by ..." below a title is a credit of its own.
        group = None if CREDIT.search(line.text) else next(above, None)
        if group is None:
            groups.append([line])
        else:
            group.append(line)
    return groups


def _block(group: list[Line], shots: list[Shot]) -> Block:
    lines = _in_order(group)
    boxes = np.array([line.box for line in lines])
    (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    first, last = min(line.first for line in lines), max(line.last for line in lines)
    # It goes somewhere before the next picture, or with the shot.
    end = max(last, min(_shot_at(last, shots).span.end, last + STEP))
    return Block(
        tuple(lines),
        " ".join(line.text for line in lines),
        (float(x0), float(y0), float(x1), float(y1)),
        Span(first, end),
        max(line.height for line in lines),
    )


def _together(one: Line, other: Line) -> bool:
    if abs(one.first - other.first) > TOGETHER or abs(one.last - other.last) > TOGETHER:
        return False
    height = max(one.height, other.height)
    if height > ALIKE * min(one.height, other.height):
        return False
    beside = max(one.box[0], other.box[0]) - min(one.box[2], other.box[2])
    below = max(one.box[1], other.box[1]) - min(one.box[3], other.box[3])
    return below < height and beside < height


def _in_order(block: list[Line]) -> list[Line]:
    """Rows from top to bottom, each from left to right."""
    rows: list[list[Line]] = []
    for line in sorted(block, key=lambda line: line.box[1]):
        middle = (line.box[1] + line.box[3]) / 2
        row = next((row for row in rows if row[0].box[1] < middle < row[0].box[3]), None)
        if row is None:
            rows.append([line])
        else:
            row.append(line)
    return [line for row in rows for line in sorted(row, key=lambda line: line.box[0])]


def _role(
    block: Block, subtitles: list[Block], same: list[Block], shots: list[Shot], whole: Span
) -> TextRole:
    """`subtitles` are the blocks that stand where subtitles do, `same` those of the same words."""
    box = block.box
    if _is_logo(block, same, shots, whole):
        return "logo"
    if CREDIT.search(block.text) or len({round(line.box[1], 2) for line in block.lines}) >= CREDIT_LINES:
        return "credit"
    if (
        block.below
        and len({other.text for other in subtitles if abs(other.box[3] - box[3]) < ROW}) >= SUBTITLES
    ):
        return "subtitle"
    if not all(line.still and _level(line) for line in block.lines):
        return "sign"
    plain = all(line.plain for line in block.lines)
    if block.centred and box[1] < 0.75 and (plain or block.height >= TITLE):
        return "title"
    if box[1] > 0.55 and len(block.text.split()) >= 2 and _laid_over(block.span, shots):
        return "caption"
    return "sign"


def _is_logo(block: Block, same: list[Block], shots: list[Shot], whole: Span) -> bool:
    """Whether it stands in its place for nearly all of a film of several shots, or in a corner for half."""
    if len(shots) < 2:
        return False
    stands = sum(other.span.duration for other in same if overlap(block.box, other.box) > 0.5)
    x, y = (block.box[0] + block.box[2]) / 2, (block.box[1] + block.box[3]) / 2
    corner = abs(x - 0.5) > 0.25 and abs(y - 0.5) > 0.3
    return stands >= (ALWAYS_CORNER if corner else ALWAYS) * whole.duration


def _level(line: Line) -> bool:
    """Whether the line runs along the picture's edge, as what is laid over it does."""
    left, right = line.corners[0], line.corners[1]
    return abs(right[1] - left[1]) < 0.3 * line.height


def _laid_over(span: Span, shots: list[Shot]) -> bool:
    """Whether the text comes or goes within a shot or stays over a cut, as nothing in the scene does."""
    shot = _shot_at(span.start, shots).span
    return span.end > shot.end or span.start - shot.start >= STEP or shot.end - span.end >= STEP


def _shot_at(time: int, shots: list[Shot]) -> Shot:
    """The shot that `time` is in; the first or last for a time outside them all."""
    return shots[max(0, bisect_right(shots, time, key=lambda shot: shot.span.start) - 1)]


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
