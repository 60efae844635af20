"""The script of a film, and its project file (JSON): every fact, what is said, what is not, and why.

A project file holds all that writers need; pixels and samples stay in the film. Its schema is the dataclasses
themselves, read and written by pydantic.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from avtool.errors import UsageError
from avtool.media.probe import LONGEST
from avtool.narrate.rules.script import Finding
from avtool.schedule import Dropped, Plan
from avtool.settings import Settings
from avtool.timeline import SECOND, Description, Film, Span, merge
from avtool.tracks import files

SCHEMA = "avtool.script/1"


@dataclass(slots=True)
class Script:
    """What is said of `film`, on what grounds, and what is left out.

    `weights` names the weights that perceived it, each with the hash of its file. `waiting` is what only lacks a
    pause, the worthiest first: an extended version waits for it.
    """

    film: Film
    plan: Plan
    findings: list[Finding] = field(default_factory=list)
    settings: Settings = field(default_factory=Settings)
    weights: dict[str, str] = field(default_factory=dict)
    waiting: list[Description] = field(default_factory=list)

    @property
    def descriptions(self) -> list[Description]:
        return self.plan.descriptions

    @property
    def dropped(self) -> list[Dropped]:
        return self.plan.dropped

    @property
    def unused(self) -> list[Span]:
        """The usable pauses in which nothing is said."""
        used = {description.gap for description in self.descriptions}
        return [gap.usable for gap in self.film.gaps if gap.index not in used]

    @property
    def report(self) -> list[str]:
        """The script in numbers, a sentence a line, for people (WCAG 2.2, 1.2.5 and 1.2.7)."""
        pauses = sum(gap.span.duration for gap in self.film.gaps) / SECOND
        said = sum(span.duration for span in merge(cue.span for cue in self.descriptions)) / SECOND
        length = self.film.span.seconds
        if not self.film.gaps:
            return [
                f"No usable pause in {length:.0f} s of film: speech or song goes on throughout.",
                "WCAG 1.2.5 asks for existing pauses only; without one, 1.2.7 asks for extended description.",
            ]
        lines = [
            f"Pauses: {len(self.film.gaps)}, {pauses:.0f} s of {length:.0f} s of film.",
            f"Descriptions: {len(self.descriptions)}, {said:.0f} s, {said / pauses:.0%} of the pauses.",
        ]
        if self.dropped:
            lines.append(f"Seen but not told: {len(self.dropped)}; the project file says why.")
        return lines


@dataclass(slots=True)
class Project:
    """The project file: a script under its schema."""

    schema: Literal["avtool.script/1"]
    notice: str
    script: Script


@cache
def _adapter() -> TypeAdapter[Project]:
    return TypeAdapter(Project)


def write(script: Script, path: Path) -> None:
    """Write the project file `path`. Raises UsageError and ResourceError as `files.save` does."""
    project = Project(SCHEMA, files.notice(script.settings.language), script)
    files.save(path, _adapter().dump_json(project, indent=1) + b"\n")


def read(path: Path) -> Script:
    """The script in the project file `path`. Raises UsageError, naming the field, where it is not one."""
    try:
        script = _adapter().validate_json(files.load(path)).script
    except ValidationError as error:
        first: Any = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "its beginning"
        raise UsageError(
            f"{path} is not a project file of {SCHEMA}: {place}: {first['msg'].lower()}"
        ) from None
    if not 0 <= script.film.span.start <= script.film.span.end <= LONGEST:
        raise UsageError(f"{path} is not a project file of {SCHEMA}: script.film.span is no film's")
    return script
