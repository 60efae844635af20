"""Configurations: YAML, a schema that names mistakes, and `key=value` overrides."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from avmodels.errors import ConfigError


class Section(BaseModel, extra="forbid"):
    """Part of a configuration; a key it does not know is an error."""


class Result(Section):
    """A published number; `where` is the paper, page or table it was read in."""

    data: str
    views: str = ""
    metrics: dict[str, float]
    where: str


class Source(Section):
    """Where published weights are found."""

    file: str
    where: str
    licence: str


class Optimiser(Section):
    """AdamW, and a cosine schedule with warm-up.

    `lr` and `final_lr` are for 256 clips a step and grow with the number of clips; `layer_decay` slows the
    earlier layers; `clip` bounds the norm of the gradients.
    """

    lr: float = Field(gt=0)
    final_lr: float = Field(default=1e-6, ge=0)
    warmup_epochs: float = Field(default=5, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.05
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    clip: float | None = Field(default=None, gt=0)


class Staircase(Section):
    """AdamW, a warm-up from `warmup_lr` to `lr`, and `steps`: since which epoch the rate is which part of `lr`."""

    lr: float = Field(gt=0)
    steps: tuple[tuple[float, float], ...]
    warmup_epochs: float = Field(default=0, ge=0)
    warmup_lr: float = Field(default=0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float
    clip: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _starts_at_zero(self) -> Self:
        starts = [start for start, _ in self.steps]
        if starts[:1] != [0] or starts != sorted(starts):
            raise ValueError(f"steps begin at epochs {starts}; they must begin at 0 and rise")
        return self


class Training(Section):
    """The run itself. `batch` is the clips of one process between two gradient accumulations.

    `save_every` counts steps (0: at the end of every epoch only), `evaluate_every` epochs. Training stops
    where more than `max_unreadable` of an epoch's clips cannot be read.
    """

    epochs: int = Field(gt=0)
    batch: int = Field(gt=0)
    accumulate: int = Field(default=1, gt=0)
    precision: Literal["fp32", "bf16"] = "bf16"
    parallel: Literal["ddp", "fsdp"] = "ddp"
    checkpointing: bool = False
    ema: float | None = Field(default=None, gt=0, lt=1)
    seed: int = 0
    workers: int = Field(default=4, ge=0)
    save_every: int = Field(default=0, ge=0)
    keep: int = Field(default=2, gt=0)
    evaluate_every: int = Field(default=1, gt=0)
    max_unreadable: float = Field(default=0.01, ge=0, le=1)


class Config(Section):
    """What every configuration says of itself, beside the name of its recipe."""

    about: str
    published: tuple[Result, ...] = ()
    weights: tuple[Source, ...] = ()


SomeConfig = TypeVar("SomeConfig", bound=Config)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping a YAML file holds. Raises ConfigError where it is missing or not a mapping."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} holds no configuration")
    return document


def override(document: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """The document with `section.key=value` settings put in; values are read as YAML.

    Raises ConfigError for a setting of another form.
    """
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise ConfigError(f"{setting!r} is not a setting; write section.key=value")
        *sections, key = name.split(".")
        document = dict(document)
        inner = document
        for section in sections:
            inner[section] = dict(inner.get(section) or {})
            inner = inner[section]
        inner[key] = yaml.safe_load(value)
    return document


def validate(document: dict[str, Any], schema: type[SomeConfig], where: str) -> SomeConfig:
    """The document as a configuration. Raises ConfigError that names every wrong key."""
    try:
        return schema.model_validate(document)
    except ValidationError as error:
        faults = [_fault(fault, schema) for fault in error.errors()]
        raise ConfigError(f"{where}: " + "; ".join(faults)) from error


def save(config: Config, path: Path) -> None:
    """Writes the whole configuration, defaults and all."""
    path.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), encoding="utf-8")


def _fault(fault: Any, schema: type[BaseModel]) -> str:
    """One mistake in words, with the nearest key for an unknown one."""
    place = [str(part) for part in fault["loc"]]
    name = ".".join(place)
    if fault["type"] == "missing":
        return f"{name} is missing"
    if not place:  # a rule over the whole configuration: its message says all
        return fault["msg"].removeprefix("Value error, ")
    if fault["type"] != "extra_forbidden":
        return f"{name}: {fault['msg'][0].lower()}{fault['msg'][1:]}, got {fault['input']!r}"
    known = _section(schema, place[:-1])
    if known is None:
        return f"{name} is no setting"
    near = difflib.get_close_matches(place[-1], known.model_fields, n=1, cutoff=0.5)
    return f"{name} is no setting" + (
        f"; did you mean {near[0]}?" if near else f" (there are {', '.join(known.model_fields)})"
    )


def _section(schema: type[BaseModel], place: list[str]) -> type[BaseModel] | None:
    """The schema of the section at `place`, None inside a list or another type that has no keys of its own."""
    known: Any = schema
    for part in place:
        field = getattr(known, "model_fields", {}).get(part)
        known = field.annotation if field else None
    return known if isinstance(known, type) and issubclass(known, BaseModel) else None
