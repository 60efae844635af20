"""The model library: networks, losses, data, recipes and metrics of published video, picture and text systems."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def create(name: str, weights: Path | None = None, settings: tuple[str, ...] = ()) -> Any:
    """The network called `system/variant`, e.g. `videomae-v2/vit-b-k400`; see `zoo.create`."""
    from avmodels import zoo

    return zoo.create(name, weights, settings)
