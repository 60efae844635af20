"""Advanced SubStation Alpha (ASS, and SSA read only) through pysubs2: for editors, and for burning in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pysubs2 import Alignment, Color, SSAEvent, SSAFile, SSAStyle

from avtool.errors import UsageError
from avtool.timeline import Description, Span
from avtool.tracks.files import one_line
from avtool.tracks.times import clock, rounded

CENTISECOND = 10_000  # microseconds
LATEST = 10 * 3600 * 100  # centiseconds; hours have one digit

EVENT = re.compile(
    r"(?:Dialogue|Comment):[^,]*(?:,\s*\d{1,2}:\d{1,2}:\d{1,2}(?:[.,]\d{1,3})?\s*){2}(?:,[^,]*){6},"
)
UNWRITABLE = str.maketrans("{}\\", "()/")  # begin overrides and line breaks; no escape is read everywhere
STYLE = SSAStyle(
    fontsize=60.0, primarycolor=Color(255, 255, 0), italic=True, alignment=Alignment.TOP_CENTER, marginv=40
)


def parse(text: str, path: Path) -> list[Description]:
    """The dialogue lines of an ASS or SSA file in order of time, overrides and drawings stripped.

    Raises UsageError with the line where an event does not parse or runs backwards.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith(("Dialogue:", "Comment:")) and not EVENT.match(line):
            raise UsageError(
                f"{path}, line {number}: expected Dialogue: 0,0:00:12.48,0:00:15.12,Style,Name,0,0,0,,text, "
                f"found {line[:60]!r}"
            )
    kind = "ass" if re.search(r"^\[V4\+ Styles\]", text, re.MULTILINE | re.IGNORECASE) else "ssa"
    try:
        events = SSAFile.from_string(text, format_=kind).get_text_events()
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} does not parse as {kind.upper()}: {error}") from None
    cues = []
    for event in sorted(events, key=lambda event: (event.start, event.end)):
        if event.end < event.start:
            raise UsageError(f"{path}: the line at {clock(event.start * 1_000, '.')} ends before it starts")
        span = Span(event.start * 1_000, event.end * 1_000)
        cues.append(Description(f"ad-{len(cues) + 1:04}", span, one_line(event.plaintext)))
    return cues


def compose(cues: Sequence[Description], notice: str) -> str:
    """ASS of `cues` in a style AD, each after a comment line that keeps what it rests on.

    Raises UsageError for a film of ten hours or more, whose times the format cannot hold.
    """
    file = SSAFile()
    file.info = {"Title": notice, "WrapStyle": "0", "PlayResX": "1920", "PlayResY": "1080"}
    file.styles = {"AD": STYLE}
    for cue in cues:
        start, end = rounded(cue.span.start, CENTISECOND), rounded(cue.span.end, CENTISECOND)
        if end >= LATEST:
            raise UsageError(
                f"ASS cannot hold cue {cue.id}: its times end before 10 hours; choose another format"
            )
        claims = "; ".join(f"{fact.claim} {fact.confidence:.2f}" for fact in cue.facts)
        evidence = f"{cue.id} confidence {cue.confidence:.2f}{': ' + claims if claims else ''}"
        said, kept = (one_line(text).translate(UNWRITABLE) for text in (cue.text, evidence))
        file.append(SSAEvent(start * 10, end * 10, kept, style="AD", name="evidence", type="Comment"))
        file.append(SSAEvent(start * 10, end * 10, said, style="AD", name="describer"))
    return file.to_string("ass", header_notice=notice)
