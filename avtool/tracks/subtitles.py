"""Subtitle files: any of them read, and descriptions written as SRT, WebVTT or ASS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from avtool.errors import UsageError
from avtool.timeline import Description
from avtool.tracks import files, script, subrip, substation, ttml, webvtt
from avtool.tracks.times import rounded

WRITERS = {"srt": subrip.compose, "vtt": webvtt.compose, "ass": substation.compose}


def read(path: Path) -> list[Description]:
    """The cues of an SRT, WebVTT, ASS, SSA, DAPT (TTML) or project file, known by its content, not its name.

    Raises UsageError, naming the line, where the file is missing, not text, or does not parse.
    """
    text = files.load(path)
    begin = text.lstrip()
    if begin.startswith("<"):
        return ttml.read(path).descriptions
    if begin.startswith("{"):
        return script.read(path).descriptions
    if begin.startswith("WEBVTT") or path.suffix.lower() == ".vtt":
        return webvtt.parse(text, path)
    if begin.startswith("[Script Info]") or path.suffix.lower() in (".ass", ".ssa"):
        return substation.parse(text, path)
    return subrip.parse(text, path)


def write(
    descriptions: Sequence[Description], path: Path, format: Literal["srt", "vtt", "ass"], language: str
) -> None:
    """Write what is said of `descriptions` to `path`, in order of time, with the notice of a machine draft.

    Times are rounded half up to milliseconds, in ASS to centiseconds. Raises UsageError for a cue that the
    rounding leaves without duration and where the folder cannot be written to.
    """
    cues = sorted((cue for cue in descriptions if files.one_line(cue.text)), key=lambda cue: cue.span)
    unit = 10_000 if format == "ass" else 1_000
    for cue in cues:
        if rounded(cue.span.start, unit) == rounded(cue.span.end, unit):
            raise UsageError(f"cue {cue.id} lasts {cue.span.duration} microseconds; give it time to be said")
    files.save(path, WRITERS[format](cues, files.notice(language)))
