"""WebVTT (W3C), read and written here: pysubs2 takes a cue's identifier for words of the cue before it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

from avtool.errors import UsageError
from avtool.timeline import Description
from avtool.tracks.files import one_line
from avtool.tracks.times import clock, cue_times

TIMESTAMP = r"(?:(\d{2,}):)?([0-5]\d):([0-5]\d)\.(\d{3})"
TIMING = re.compile(rf"[ \t]*{TIMESTAMP}[ \t]*-->[ \t]*{TIMESTAMP}(?:[ \t].*)?")
TAG = re.compile(r"<[^>]*>?")  # an unclosed tag runs to the end of its cue


def parse(text: str, path: Path) -> list[Description]:
    """The cues of a WebVTT file, tags stripped and character references resolved.

    Settings and NOTE, STYLE and REGION blocks are passed over. A cue without an identifier is called by its
    place ("ad-0001"). The standard lets a player drop a cue whose times do not parse; here that is a
    UsageError with the line, for dialogue that is dropped would be spoken over.
    """
    lines = text.split("\n")
    if not re.fullmatch(r"WEBVTT(?:[ \t].*)?", lines[0]):
        raise UsageError(f"{path}, line 1: expected WEBVTT, found {lines[0][:40]!r}")
    cues: list[Description] = []
    block, at = 1, 1  # `block` is the first line of the block that line `at` is in
    while at < len(lines):
        if "-->" in lines[at]:
            span = cue_times(TIMING, lines[at], f"{path}, line {at + 1}")
            name = lines[block].strip() if block == at - 1 else ""
            block = at + 1
            at = next((n for n in range(block, len(lines)) if not lines[n] or "-->" in lines[n]), len(lines))
            words = one_line(html.unescape(TAG.sub("", "\n".join(lines[block:at]))))
            cues.append(Description(name or f"ad-{len(cues) + 1:04}", span, words))
            block = at
        elif lines[at]:
            at += 1
        else:
            block = at = at + 1
    return cues


def compose(cues: Sequence[Description], notice: str) -> str:
    """WebVTT for kind=descriptions: identifiers, no settings since nothing is shown, `notice` in a NOTE."""
    blocks = ["WEBVTT", f"NOTE {notice}"]
    for cue in cues:
        times = f"{clock(cue.span.start, '.')} --> {clock(cue.span.end, '.')}"
        name = one_line(cue.id).replace("-->", "→")
        blocks.append(f"{name}\n{times}\n{html.escape(one_line(cue.text), quote=False)}")
    return "\n\n".join(blocks) + "\n"
