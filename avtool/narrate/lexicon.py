"""The word lists of the English narration and its rules, from english.toml."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def english() -> dict[str, Any]:
    """english.toml, read once."""
    return tomllib.loads(files("avtool.narrate").joinpath("english.toml").read_text("utf-8"))
