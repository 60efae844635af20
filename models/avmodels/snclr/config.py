"""The settings of SNCLR's recipes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from avmodels.engine.config import Config, Section, Training
from avmodels.snclr.encoder import SIZES, ViTSize
from avmodels.snclr.loss import Objective
from avmodels.snclr.model import Head


class Network(Section):
    """The encoder, and the side of the square images it sees."""

    size: Literal["vit-tiny", "vit-s", "vit-b", "resnet14", "resnet50"]
    side: int = Field(default=224, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Network:
        size = SIZES[self.size]
        if isinstance(size, ViTSize) and self.side % size.patch:
            raise ValueError(
                f"{self.size} has patches of {size.patch} pixels; a side of {self.side} does not fit"
            )
        return self


class Twins(Network):
    """The encoder with projector, momentum copy, predictor and bank of past keys.

    `width` and `hidden` are those of projector and predictor. `frozen_patches`: a ViT's patch projection stays
    random.
    """

    frozen_patches: bool = True
    width: int = Field(default=256, gt=0)
    hidden: int = Field(default=4096, gt=0)
    bank: int = Field(default=128000, gt=0)

    @property
    def head(self) -> Head:
        """The sizes of all but the encoder."""
        return Head(self.width, self.hidden, self.bank)


class Classifier(Network):
    """A linear classifier of `classes` on the frozen encoder."""

    classes: int = Field(gt=0)


class Detector(Section):
    """Mask R-CNN of `classes` on a ResNet; images are made `short` pixels on the short side, at most `long` on the
    long one."""

    size: Literal["resnet14", "resnet50"]
    classes: int = Field(default=80, gt=0)
    short: int = Field(default=800, gt=0)
    long: int = Field(default=1333, gt=0)


class Images(Section):
    """Images of DIR/{train,val}/CLASS/*; pre-training looks at no label. `area` is the least share of an image that
    a crop or view covers."""

    area: float = Field(default=0.08, gt=0, le=1)


class Learning(Section):
    """What is a positive, see loss.Objective, and how slowly the copy follows: `momentum`, which rises to 1."""

    temperature: float = Field(default=0.2, gt=0)
    neighbours: int = Field(default=30, ge=0)
    threshold: bool = False
    form: Literal["code", "paper"] = "code"
    momentum: float = Field(default=0.99, ge=0, le=1)

    @property
    def objective(self) -> Objective:
        """What is a positive."""
        return Objective(self.temperature, self.neighbours, self.threshold, self.form)


class Schedule(Section):
    """AdamW or LARS; `lr` is for 256 images a step and grows with their number, up from 0 over the warm-up and
    down to 0 by a cosine. Weight decay is for all that learns (LARS spares vectors)."""

    by: Literal["adamw", "lars"] = "adamw"
    lr: float = Field(gt=0)
    warmup_epochs: float = Field(default=40, ge=0)
    weight_decay: float = Field(default=0.1, ge=0)


class Sweep(Section):
    """Gradient descent with momentum 0.9 and no decay: one classifier for each of `rates`, which are for 256
    images a step. They fall by a cosine from epoch to epoch."""

    rates: tuple[float, ...] = Field(min_length=1)


class Steps(Section):
    """Gradient descent with momentum 0.9; `lr` is for 16 images a step and grows with their number, up from
    nothing over the warm-up, and then as `steps` say: since which epoch it is which part of itself."""

    lr: float = Field(default=0.02, gt=0)
    steps: tuple[tuple[float, float], ...] = ((0, 1.0), (8, 0.1), (11, 0.01))
    warmup_epochs: float = Field(default=0.15, ge=0)
    weight_decay: float = Field(default=1e-4, ge=0)


class HeldOut(Section):
    """How images go through an encoder that does not learn: `batch` at a time."""

    batch: int = Field(default=64, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    workers: int = Field(default=4, ge=0)
    max_unreadable: float = Field(default=0.01, ge=0, le=1)


class Pretraining(Config):
    """Learn from images without labels."""

    recipe: Literal["pretrain"]
    model: Twins
    data: Images = Images()
    learning: Learning = Learning()
    schedule: Schedule
    training: Training

    @model_validator(mode="after")
    def _finds(self) -> Pretraining:
        if self.learning.neighbours > self.model.bank:
            raise ValueError(f"a bank of {self.model.bank} has no {self.learning.neighbours} neighbours")
        return self


class Probing(Config):
    """Learn a linear classifier on the frozen encoder."""

    recipe: Literal["probe"]
    model: Classifier
    data: Images = Images()
    schedule: Sweep
    training: Training


class Detection(Config):
    """Learn to find and outline objects, the encoder learning along."""

    recipe: Literal["detect"]
    model: Detector
    schedule: Steps = Steps()
    training: Training


class Features(Config):
    """The encoder as it is: features of films, nearest neighbours, and its weights for others."""

    recipe: Literal["features"]
    model: Network
    data: HeldOut = HeldOut()


RECIPES: dict[str, type[Config]] = {
    "pretrain": Pretraining,
    "probe": Probing,
    "detect": Detection,
    "features": Features,
}
