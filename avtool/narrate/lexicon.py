"""The word lists of the English narration and its rules, from english.toml."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def english() -> dict[str, Any]:
    """english.toml, read once: its tables as they are, its lists as sets."""
    words = tomllib.loads(files("avtool.narrate").joinpath("english.toml").read_text("utf-8"))
    return {key: frozenset(value) if isinstance(value, list) else value for key, value in words.items()}


@cache
def wording() -> dict[str, Any]:
    """wording.toml, read once: the patterns of the rules on wording."""
    return tomllib.loads(files("avtool.narrate").joinpath("wording.toml").read_text("utf-8"))
