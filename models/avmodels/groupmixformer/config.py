"""The settings of GroupMixFormer's recipes."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from pydantic import Field, model_validator

from avmodels.engine.config import Config, Section, Training
from avmodels.groupmixformer.model import SIZES, Size

Four = tuple[int, int, int, int]


class Network(Section):
    """The network: a published size, of which `widths`, `depths` and `mlp_ratios` of the stages may be otherwise."""

    size: Literal["miny", "tiny", "small", "base", "large"]
    widths: Four | None = None
    depths: Four | None = None
    mlp_ratios: tuple[float, float, float, float] | None = None
    classes: int = Field(gt=1)
    drop_path: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Network:
        self.made()
        return self

    def made(self) -> Size:
        """The size with its changes. Raises ValueError where heads do not divide a width."""
        changes: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("widths", "depths", "mlp_ratios")
            if getattr(self, name) is not None
        }
        return dataclasses.replace(SIZES[self.size], **changes)


class Images(Section):
    """Labelled images (see avmodels.data.imagenet) and how they become squares of `side` pixels.

    `area` is the share of an image that a training crop covers, `policy` RandAugment in timm's notation, empty for
    none. In tests the middle is taken of an image an eighth larger, or with `crop` off the whole image squeezed.
    """

    side: int = Field(default=224, gt=0)
    area: tuple[float, float] = (0.08, 1.0)
    policy: str = "rand-m9-mstd0.5-inc1"
    erase: float = Field(default=0.25, ge=0, le=1)
    mix: bool = True
    mixup: float = Field(default=0.8, gt=0)
    cutmix: float = Field(default=1.0, gt=0)
    smoothing: float = Field(default=0.1, ge=0, lt=1)
    crop: bool = True


class Scenes(Section):
    """ADE20K (see ade20k): training crops of `side` pixels of images scaled by a factor from `scale`, perhaps
    mirrored; in tests the short side is `side` pixels, the long one at most four times that."""

    side: int = Field(default=512, gt=0)
    scale: tuple[float, float] = (0.5, 2.0)


class Objects(Section):
    """COCO (see coco): the short side is `side` pixels, the long one at most `longest`; perhaps mirrored in training."""

    side: int = Field(default=800, gt=0)
    longest: int = Field(default=1333, gt=0)


class Steepness(Section):
    """AdamW, a linear warm-up and a cosine; rates are for 512 images a step and grow with their number."""

    lr: float = Field(default=5e-4, gt=0)
    warmup_lr: float = Field(default=5e-7, ge=0)
    final_lr: float = Field(default=5e-6, ge=0)
    warmup_epochs: float = Field(default=20, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.05
    clip: float | None = Field(default=5.0, gt=0)


class Recipe(Config):
    """What all recipes have. `compile`: whether a classifier in use (evaluated, seeing) is compiled, which takes a
    minute or two and then saves a tenth of the time."""

    optimiser: Steepness = Steepness()
    training: Training
    compile: bool = False

    @model_validator(mode="after")
    def _keeps_statistics(self) -> Recipe:
        if self.training.checkpointing:
            raise ValueError(
                "training.checkpointing would have the blocks' batch norms see every batch twice: leave it off"
            )
        return self


class Classification(Recipe):
    """Supervised: name what an image shows."""

    recipe: Literal["classify"]
    model: Network
    data: Images = Images()

    @model_validator(mode="after")
    def _pairs(self) -> Classification:
        if self.data.mix and self.training.batch % 2:
            raise ValueError(
                f"training.batch is {self.training.batch}: mixing needs an even number of images"
            )
        return self


class Segmenter(Network):
    """The backbone under a head that names every pixel's class; `channels` is the head's width."""

    head: Literal["semantic-fpn", "upernet"]
    channels: int = Field(gt=0)


class Detector(Network):
    """The backbone under one of torchvision's detectors; `classes` are those of objects.

    `frozen_norms` keeps the statistics of the backbone's batch norms as its weights have them: a few images at a
    time make poor ones.
    """

    detector: Literal["mask-rcnn", "retinanet"]
    frozen_norms: bool = True


class Segmentation(Recipe):
    """Supervised: name the class of every pixel."""

    recipe: Literal["segment"]
    model: Segmenter
    data: Scenes = Scenes()


class Detection(Recipe):
    """Supervised: find objects, and with Mask R-CNN their outlines."""

    recipe: Literal["detect"]
    model: Detector
    data: Objects = Objects()


RECIPES: dict[str, type[Config]] = {
    "classify": Classification,
    "segment": Segmentation,
    "detect": Detection,
}
