"""The settings of EVAD's recipe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from avmodels.engine.config import Config, Section, Staircase, Training
from avmodels.evad.model import SIZES


class Model(Section):
    """The network. `keep_rate` is the share of tokens that remain after each of the size's dropping blocks
    (1: all), `key_weight` how much the keyframe's queries count in the choice; `extension` widens the boxes
    that actions are read from, by these shares of width and height.

    `own_places` puts kept tokens on their own positions; every published network was trained without.
    """

    size: Literal["vit-tiny", "vit-b", "vit-l"]
    classes: int = Field(default=80, gt=0)
    keep_rate: float = Field(default=0.7, gt=0, le=1)
    key_weight: float = Field(default=1.0, gt=0)
    extension: tuple[float, float] = (0.4, 0.2)
    drop_path: float = Field(default=0.1, ge=0, lt=1)
    decoder_drop_path: float = Field(default=0.1, ge=0, lt=1)
    own_places: bool = False

    @model_validator(mode="after")
    def _keeps_some(self) -> Model:
        size = SIZES[self.size]
        remaining = self.keep_rate ** len(size.dropping)
        if remaining <= 1 / size.encoder.steps:
            raise ValueError(
                f"keep_rate {self.keep_rate} leaves {remaining:.0%} of the tokens, less than the keyframe has"
            )
        return self

    @property
    def keep_rates(self) -> tuple[float, ...]:
        """The share of tokens each block keeps."""
        return SIZES[self.size].keep_rates(self.keep_rate)


class Clips(Section):
    """Clips: every `stride`-th frame around a keyframe, the short side `short_side` pixels unless the long
    would pass `long_side`.

    `annotations` are a version of AVA's, or of a set of tubes, of which `split` chooses one. `shuffle` reads the
    frames around the keyframe in random order: who tells actions by motion must then fail.
    """

    annotations: Literal["v2.1", "v2.2", "ucf101-24", "jhmdb"] = "v2.2"
    split: int = Field(default=1, gt=0)
    stride: int = Field(default=4, gt=0)
    short_side: int = Field(default=288, gt=0)
    long_side: int = Field(default=1333, gt=0)
    flip: float = Field(default=0.5, ge=0, le=1)
    shuffle: bool = False


class Losses(Section):
    """How much each term of the loss counts; `nobody` is the weight of proposals that match no one, `focal` weighs
    down actions that are clear already."""

    person: float = Field(default=2.0, ge=0)
    distance: float = Field(default=5.0, ge=0)
    overlap: float = Field(default=2.0, ge=0)
    action: float = Field(default=12.0, ge=0)
    focal: bool = False
    nobody: float = Field(default=0.1, ge=0)


class Schedule(Staircase):
    """The stages and the decoder learn `new_scale` times faster than the rest."""

    steps: tuple[tuple[float, float], ...] = ((0, 1.0), (5, 0.1), (8, 0.01))
    warmup_epochs: float = Field(default=2, ge=0)
    warmup_lr: float = Field(default=2.5e-6, ge=0)
    new_scale: float = Field(default=8.0, gt=0)
    weight_decay: float = 1e-4


class Evaluation(Section):
    """What counts as found, and how it is judged.

    `person_threshold` is the least person score; with `all_if_none`, as published, a clip where no proposal
    reaches it gives all. `best_actions` keeps only so many action scores of a person (0: all). For `protocol`
    see average_precision.
    """

    person_threshold: float = Field(default=0.7, ge=0, le=1)
    all_if_none: bool = True
    best_actions: int = Field(default=0, ge=0)
    protocol: Literal["activitynet", "repository", "sorted"] = "activitynet"


class Detection(Config):
    """Supervised: find the people of a keyframe and name their actions."""

    recipe: Literal["detect"]
    model: Model
    data: Clips = Clips()
    losses: Losses = Losses()
    schedule: Schedule
    training: Training
    evaluation: Evaluation = Evaluation()


RECIPES: dict[str, type[Config]] = {"detect": Detection}
