"""SubRip (SRT), read and written here: pysubs2 loses braces, and a last line that is a number ("1984").

SRT has no place for a note about the file. The one place that players and parsers pass over is the rest of
a time line, where some writers put coordinates (X1:... Y2:...): so the first time line ends with the notice.
A cue would be spoken, a line before the first cue keeps FFmpeg from knowing the format, and a line after the
last cue becomes its text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from avtool.errors import UsageError
from avtool.timeline import Description
from avtool.tracks.files import one_line
from avtool.tracks.times import clock, cue_times

TIMESTAMP = r"(\d{1,3}):([0-5]?\d):([0-5]?\d)(?:[,.](\d{1,3}))?"
TIMING = re.compile(rf"\s*{TIMESTAMP}\s*-->\s*{TIMESTAMP}(?:\s.*)?")
COUNTER = re.compile(r"\s*\d+\s*")
UNWRITABLE = str.maketrans("<>{}", "‹›()")  # would be taken for tags, or for an arrow; SRT has no escapes
TAG = re.compile(r"</?[A-Za-z][^>]*>|\{\\[^}]*\}")  # <i>, <font ...>, and {\an8} borrowed from ASS


def parse(text: str, path: Path) -> list[Description]:
    """The cues of an SRT file, tags stripped, called "ad-0001" and so on by their order.

    A counter may be missing or wrong and a text may hold empty lines, as files in the wild do; times may not.
    Raises UsageError with the line and what was expected there.
    """
    lines = text.split("\n")
    timings = [at for at, line in enumerate(lines) if "-->" in line]
    first = timings[0] if timings else len(lines)
    for at, line in enumerate(lines[:first]):
        if line.strip() and not COUNTER.fullmatch(line):
            raise UsageError(f"{path}, line {at + 1}: expected the number of a cue, found {line[:40]!r}")
    if not timings:
        raise UsageError(f"{path}, line {len(lines)}: expected a cue's times, found the end of the file")
    cues = []
    for at, following in zip(timings, [*timings[1:], len(lines) + 1], strict=True):
        said = lines[at + 1 : following]
        if following < len(lines) and said and COUNTER.fullmatch(said[-1]):
            said.pop()
        words = one_line(TAG.sub("", "\n".join(said)))
        span = cue_times(TIMING, lines[at], f"{path}, line {at + 1}")
        cues.append(Description(f"ad-{len(cues) + 1:04}", span, words))
    return cues


def compose(cues: Sequence[Description], notice: str) -> str:
    """SRT of `cues`; `notice` follows the times of the first."""
    blocks = []
    for number, cue in enumerate(cues, 1):
        times = f"{clock(cue.span.start, ',')} --> {clock(cue.span.end, ',')}"
        words = one_line(cue.text).translate(UNWRITABLE)
        blocks.append(f"{number}\n{times}{' ' + notice if number == 1 else ''}\n{words}\n")
    return "\n".join(blocks)
