"""The settings of Speed Co-Augmentation's recipes."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from avmodels.engine.config import Config, Section, Staircase, Training
from avmodels.speed_coaug.loss import Form

Speed = Annotated[Fraction, Field(gt=0)]


class Sound(BaseModel, extra="forbid", frozen=True):
    """The log-mel front end: `seconds` of mono sound at `rate`, in `bands` from `low` to `high` hertz."""

    seconds: Annotated[Fraction, Field(gt=0)] = Fraction(2)
    rate: int = Field(default=24000, gt=0)
    n_fft: int = Field(default=512, gt=0)
    window: int = Field(default=480, gt=0)
    hop: int = Field(default=240, gt=0)
    bands: int = Field(default=80, gt=0)
    low: float = Field(default=0.0, ge=0)
    high: float = Field(default=12000.0, gt=0)
    floor: float = Field(default=1e-6, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Sound:
        if not self.low < self.high <= self.rate / 2:
            raise ValueError(f"bands from {self.low:g} to {self.high:g} Hz do not fit a rate of {self.rate}")
        if self.window > self.n_fft:
            raise ValueError(f"a window of {self.window} is longer than n_fft = {self.n_fft}")
        return self


class Clips(Section):
    """How clips are cut out of videos: `frames` at about `frame_rate` a second, of `side` pixels.

    The short side is made `short` pixels, and a square of `side` taken from it, at random in training.
    `classes` limits a labelled list to some classes: `kinetics-sounds`, or a text file of names; `split` chooses
    one of the three of UCF101 and HMDB51. A video gives `repeats` clips an epoch, and `test_clips` in tests.
    """

    frames: int = Field(default=16, gt=0)
    frame_rate: float = Field(default=16, gt=0)
    short: int = Field(default=128, gt=0)
    side: int = Field(default=112, gt=0)
    flip: bool = True
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.2)
    classes: str = ""
    split: Literal[1, 2, 3] = 1
    repeats: int = Field(default=10, gt=0)
    test_clips: int = Field(default=10, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Clips:
        if self.side > self.short:
            raise ValueError(f"side = {self.side} cannot be cut from short = {self.short}")
        return self


class PlayedClips(Clips):
    """Clips with their sound, each played `views` times at speeds drawn from `speeds`.

    `distinct`: no speed twice. `first_is_normal`: one view is at speed 1. `independent_audio`: the sound's speed
    is drawn apart from the picture's. `resampling` is by windowed sinc or on straight lines.
    """

    views: Literal[1, 2] = 2
    speeds: tuple[Speed, ...] = (Fraction(1), Fraction(2), Fraction(3), Fraction(4))
    distinct: bool = True
    first_is_normal: bool = False
    independent_audio: bool = False
    resampling: Literal["sinc", "linear"] = "sinc"

    @model_validator(mode="after")
    def _suffices(self) -> PlayedClips:
        others = set(self.speeds) - ({Fraction(1)} if self.first_is_normal else set())
        needed = self.views - self.first_is_normal
        if not self.speeds or (self.distinct and len(others) < needed):
            raise ValueError(f"{len(self.speeds)} speeds are too few for {self.views} distinct views")
        return self


class Contrast(Section):
    """SoftInfoNCE: its `form`, and how much the partner of a pair counts, by `affinity`.

    `attention` compares features, at `scale`, and begins after `ratio_epochs` in which features mean little;
    until then, and with `ratio`, the speeds tell; `constant` is `weight` (0: InfoNCE, 1: both are right).
    """

    form: Form = "log_of_sum"
    temperature: float = Field(default=0.07, gt=0)
    affinity: Literal["attention", "ratio", "constant"] = "attention"
    scale: float = 4.0
    ratio_epochs: float = Field(default=5, ge=0)
    weight: float = Field(default=0.0, ge=0, le=1)


class Adam(Section):
    """Adam, its decay part of the gradient; the rate rises over the warm-up and falls to 0 as a cosine."""

    lr: float = Field(gt=0)
    warmup_epochs: float = Field(default=5, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = Field(default=1e-5, ge=0)


class Network(Section):
    """The networks by the name of their size."""

    size: Literal["r2plus1d-18", "tiny"] = "r2plus1d-18"


class Classifier(Network):
    """The encoder of sight and a classifier; with `frozen` only the classifier learns (linear evaluation)."""

    classes: int = Field(gt=1)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    frozen: bool = False


class Pretraining(Config):
    """Self-supervised: find the sound of a picture and the picture of a sound."""

    recipe: Literal["pretrain"]
    model: Network = Network()
    data: PlayedClips = PlayedClips()
    sound: Sound = Sound()
    loss: Contrast = Contrast()
    optimiser: Adam
    training: Training

    @model_validator(mode="after")
    def _has_partners(self) -> Pretraining:
        if self.data.views == 1 and (self.loss.affinity, self.loss.weight) != ("constant", 0):
            raise ValueError("one view has no partners: set loss.affinity=constant, loss.weight=0")
        if self.training.parallel != "ddp":
            raise ValueError("training.parallel has to be ddp: processes judge videos of their own")
        return self


class Recognition(Config):
    """Supervised: name the action of a clip. For `warmup_epochs` the classifier learns alone."""

    recipe: Literal["recognise"]
    model: Classifier
    data: Clips = Clips()
    optimiser: Staircase
    warmup_epochs: float = Field(default=1, ge=0)
    training: Training


RECIPES: dict[str, type[Config]] = {"pretrain": Pretraining, "recognise": Recognition}
