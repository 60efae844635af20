"""Track files: what is said, in the formats that players and editors read. All say they are a machine draft."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from rapidfuzz import process

from avtool.errors import UsageError
from avtool.tracks import dapt, subtitles, ttml
from avtool.tracks import script as project
from avtool.tracks.script import Script


class Format(NamedTuple):
    """A track format: the end of its files' names, and what writes a script to a path."""

    extension: str
    write: Callable[[Script, Path], None]


def _subtitles(format: Literal["srt", "vtt", "ass"]) -> Format:
    def write(script: Script, path: Path) -> None:
        subtitles.write(script.descriptions, path, format, script.settings.language)

    return Format(format, write)


FORMATS = {
    "srt": _subtitles("srt"),
    "vtt": _subtitles("vtt"),
    "ass": _subtitles("ass"),
    "dapt": Format("ttml", lambda script, path: ttml.write(dapt.compose(script), path)),
    "json": Format("json", project.write),
}


def format_called(name: str) -> Format:
    """The format called `name`. Raises UsageError with the nearest name for one nobody knows."""
    if name in FORMATS:
        return FORMATS[name]
    nearest = process.extractOne(name, list(FORMATS))
    raise UsageError(
        f"no format is called {name!r}; did you mean {nearest[0]}? There are {', '.join(FORMATS)}"
    )


def extension(format: str) -> str:
    """The end of a file's name, without dot. Raises UsageError for an unknown format."""
    return format_called(format).extension


def write(script: Script, path: Path, format: str) -> None:
    """Write `script` to `path` in the format called `format`.

    Raises UsageError for an unknown format and where `path` cannot be written, ResourceError where the disk is
    full.
    """
    format_called(format).write(script, path)
