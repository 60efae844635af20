"""The settings of TVTSv2's recipes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from avmodels.engine.config import Config, Section, Staircase, Training
from avmodels.tvts_v2.loss import SORTING_WEIGHT, TEMPERATURE
from avmodels.tvts_v2.model import SIZES
from avmodels.tvts_v2.zero_shot import TEMPLATE

DataSet = Literal["msr-vtt", "didemo", "lsmdc", "webvid", "hmdb-51", "ucf-101", "kinetics-400", "ssv2-mc"]


class Encoders(Section):
    """The networks, made for clips of `frames` frames (as many as the size has positions for, unless fewer)."""

    size: Literal["vit-tiny", "vit-b-32", "vit-b-16", "vit-h-14"]
    frames: int = Field(default=12, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Encoders:
        most = SIZES[self.size].frames
        if self.frames > most:
            raise ValueError(f"{self.size} has positions for {most} frames, not for {self.frames}")
        return self


class Classifier(Encoders):
    """The video encoder, frozen, and a linear map of its vectors to `classes`."""

    classes: int = Field(gt=1)


class LabelledClips(Section):
    """The augmentation of labelled clips, and the views of the test.

    `policy` is RandAugment in timm's notation, empty for none; `mix` blends the clips of a batch.
    """

    policy: str = "rand-m7-n4-mstd0.5-inc1"
    flip: bool = True
    erase: float = Field(default=0.25, ge=0, le=1)
    mix: bool = True
    smoothing: float = Field(default=0.1, ge=0, lt=1)
    segments: int = Field(default=2, gt=0)
    crops: int = Field(default=3, gt=0)


class NarratedClips(Section):
    """Narrated clips and captioned ones, a batch of each in turn.

    `mask` is the share of the patches left out, the same ones in every frame. A window of narration is cut into
    four transcripts with `interval` seconds between them.
    """

    mask: float = Field(default=0.0, ge=0, lt=1)
    interval: int = Field(default=1, ge=0)


class Objective(Section):
    """The temperature of the contrastive loss, and how much sorting counts beside it."""

    temperature: float = Field(default=TEMPERATURE, gt=0)
    sorting: float = Field(default=SORTING_WEIGHT, ge=0)


class Schedule(Staircase):
    """`lr` is that of what CLIP brought, whatever the batch; what is new learns `new_scale` times faster. The first
    `frozen` share of the text encoder's blocks does not learn.
    """

    lr: float = Field(default=1e-7, gt=0)
    new_scale: float = Field(default=1000.0, gt=0)
    steps: tuple[tuple[float, float], ...] = ((0, 1.0), (6, 0.1), (8, 0.01))
    frozen: float = Field(default=0.75, ge=0, le=1)
    eps: float = 1e-6
    weight_decay: float = 0.05


class Descending(Section):
    """SGD with momentum 0.9, a warm-up and then a cosine; rates are for 256 clips a step and grow with them."""

    lr: float = Field(default=0.1, gt=0)
    final_lr: float = Field(default=1e-6, ge=0)
    warmup_epochs: float = Field(default=10, ge=0)
    weight_decay: float = Field(default=1e-9, ge=0)


class HeldOut(Section):
    """One clip from each video of a test set, and how it is looked at.

    `pixels` is the published test's way, or that of the published feature extractor, which squeezes frames to
    squares. `keep` is the share of the patches that is looked at. `template` makes a sentence of a class name;
    `dual_softmax` re-ranks with all queries at once. A film is looked at in windows of `window` seconds.
    """

    set: DataSet = "msr-vtt"
    pixels: Literal["evaluation", "feature"] = "evaluation"
    keep: float = Field(default=1.0, gt=0, le=1)
    template: str = TEMPLATE
    dual_softmax: bool = False
    window: float = Field(default=4.0, gt=0)
    batch: int = Field(default=8, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    workers: int = Field(default=4, ge=0)
    max_unreadable: float = Field(default=0.01, ge=0, le=1)

    @model_validator(mode="after")
    def _names(self) -> HeldOut:
        if self.template.count("{}") != 1:
            raise ValueError("a template has one {} for the name")
        return self


class Pretraining(Config):
    """Clips find their texts, and transcripts their order."""

    recipe: Literal["pretrain"]
    model: Encoders
    data: NarratedClips = NarratedClips()
    objective: Objective = Objective()
    schedule: Schedule = Schedule()
    training: Training


class ZeroShot(Config):
    """Retrieval and recognition as the encoders are; features of clips and sentences."""

    recipe: Literal["zero-shot"]
    model: Encoders
    data: HeldOut = HeldOut()


class Probing(Config):
    """A linear classifier learns on the frozen video encoder."""

    recipe: Literal["probe"]
    model: Classifier
    data: LabelledClips = LabelledClips()
    schedule: Descending = Descending()
    training: Training

    @model_validator(mode="after")
    def _pairs(self) -> Probing:
        if self.data.mix and self.training.batch % 2:
            raise ValueError(f"training.batch = {self.training.batch} must be even to mix clips in pairs")
        return self


RECIPES: dict[str, type[Config]] = {"pretrain": Pretraining, "zero-shot": ZeroShot, "probe": Probing}
