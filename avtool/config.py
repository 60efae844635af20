"""Where each setting comes from: defaults < preset < `avtool.toml` found upwards < `AVTOOL_*` < flags."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from avtool.errors import UsageError
from avtool.settings import Settings

FILE = "avtool.toml"
PREFIX = "AVTOOL_"
LARGEST = 16 << 10  # bytes: the parser's memory grows with the square of a key's dots

# What a genre changes (spec 3.7).
PRESETS: dict[str, dict[str, Any]] = {
    "film": {},
    "series": {"rate": 190},
    "documentary": {"fill": 0.5, "min_gap": 1.6},
    "lecture": {"fill": 0.9, "early": 2.0},
    "children": {"rate": 150, "fill": 0.5},
}


def find_file(start: Path) -> Path | None:
    """The nearest `avtool.toml` in `start` or a folder above it."""
    return next((folder / FILE for folder in (start, *start.parents) if (folder / FILE).is_file()), None)


def resolve(
    preset: str | None = None,
    flags: Mapping[str, Any] | None = None,
    start: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[Settings, dict[str, str]]:
    """The settings, and for each one where its value came from.

    Raises UsageError for an unknown preset or key (naming the nearest) and for a value that does not fit.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")

    def take(layer: Mapping[str, Any], origin: str) -> None:
        for name, value in layer.items():
            if name not in Settings.model_fields:
                raise UsageError(f"{origin}: unknown setting {name!r}{nearest(name, Settings.model_fields)}")
            values[name], origins[name] = value, origin

    file = find_file((start or Path.cwd()).resolve())
    layer = _read(file) if file else {}
    preset = preset or layer.pop("preset", None)
    layer.pop("preset", None)
    if preset is not None:
        if str(preset) not in PRESETS:
            raise UsageError(f"no preset is called {preset!r}{nearest(str(preset), PRESETS)}")
        take(PRESETS[preset], f"preset {preset}")
    take(layer, str(file))
    variables = os.environ if environment is None else environment
    for variable, value in variables.items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX):
            take({name: value}, f"environment {variable}")
    take({name: value for name, value in (flags or {}).items() if value is not None}, "command line")

    try:
        return Settings.model_validate(values), origins
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UsageError(
            f"{origins[name]}: setting {name} = {values[name]!r} does not fit: {first['msg'].lower()}"
        ) from error


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > LARGEST:
            raise UsageError(f"cannot read {file}: it is larger than any settings file, {LARGEST} bytes")
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read {file}: {error}") from error


def nearest(name: str, known: Any) -> str:
    """A hint with the known name that is closest to `name`, or all of them where none is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
