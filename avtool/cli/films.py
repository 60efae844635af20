"""Inputs to films: files, folders and globs in; one result a film out; what failed told at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from glob import glob
from pathlib import Path

from avtool.cli.talk import tell
from avtool.errors import AvtoolError, MediaError, PartialError

SUFFIXES = {".mp4", ".mkv", ".mov", ".avi", ".webm", ".ts", ".m4v", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv"}


def expand(inputs: Sequence[str]) -> list[Path]:
    """The films that `inputs` name, in order, each once.

    Raises MediaError for a folder without films and for a glob that matches nothing.
    """
    films: list[Path] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
            if not found:
                raise MediaError(f"no films in the folder {path}; name a film file")
        elif any(sign in text for sign in "*?[") and not path.exists():
            found = sorted(Path(match) for match in glob(text, recursive=True) if Path(match).is_file())
            if not found:
                raise MediaError(f"nothing matches {text}")
        else:
            found = [path]
        films += [film for film in found if film not in films]
    return films


def each(inputs: Sequence[str], job: Callable[[Path], None]) -> None:
    """Run `job` on every film. One film's error is its own; several films' errors are listed at the end."""
    films = expand(inputs)
    if len(films) == 1:
        job(films[0])
        return
    failed: list[str] = []
    for film in films:
        try:
            job(film)
        except AvtoolError as error:
            failed.append(str(error))
            tell(str(error))
    if failed:
        raise PartialError(f"{len(failed)} of {len(films)} films failed: " + "; ".join(failed))
