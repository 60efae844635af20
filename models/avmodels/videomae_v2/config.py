"""The settings of VideoMAE V2's recipes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from avmodels.engine.config import Config, Optimiser, Section, Training
from avmodels.videomae_v2.model import SIZES, TRAINED_FRAMES, TRAINED_SIDE, grid

Positions = Literal["fresh", "interpolate", "official"]


class Input(Section):
    """The network's size and the clips it takes: `frames` square frames of `side` pixels."""

    size: Literal["vit-tiny", "vit-s", "vit-b", "vit-l", "vit-h", "vit-g"]
    frames: int = Field(default=TRAINED_FRAMES, gt=0)
    side: int = Field(default=TRAINED_SIDE, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Input:
        size = SIZES[self.size]
        if self.frames % size.tubelet or self.side % size.patch:
            raise ValueError(
                f"{self.size} cuts clips into {size.tubelet} x {size.patch} x {size.patch}: "
                f"{self.frames} frames of {self.side} do not fit"
            )
        return self

    @property
    def grid(self) -> tuple[int, int, int]:
        """Tokens along time, height and width."""
        return grid(SIZES[self.size], self.frames, self.side)


class Autoencoder(Input):
    """The masked autoencoder."""

    decoder_depth: int = Field(default=4, gt=0)


class Classification(Input):
    """The classifier; `positions` says how its table is made for other inputs than 16 frames of 224."""

    classes: int = Field(gt=1)
    drop_path: float = Field(default=0.1, ge=0, lt=1)
    head_dropout: float = Field(default=0.0, ge=0, lt=1)
    head_scale: float = 0.001
    positions: Positions = "fresh"


class Clips(Section):
    """How clips are read: lists of video files, or of folders of pictures named by `pattern` from `first`.

    One reading gives `repeats` differently cropped clips.
    """

    reader: Literal["video", "frames"] = "video"
    pattern: str = "img_{:05}.jpg"
    first: int = 1
    stride: int = Field(default=4, gt=0)
    repeats: int = Field(default=1, gt=0)


class PretrainingClips(Clips):
    """Clips without labels, and the shares of them that are masked."""

    repeats: int = Field(default=4, gt=0)
    encoder_mask: float = Field(default=0.9, gt=0, lt=1)
    decoder_mask: float = Field(default=0.5, ge=0, lt=1)
    normalise_target: bool = True


class LabelledClips(Clips):
    """Labelled clips, their augmentation, and the views of the test.

    `area` is the share of the picture that a training crop covers; `policy` is RandAugment in timm's notation,
    empty for none. `label_set` names a Kinetics set whose classes the published lists number; it gives class names, and lets
    a 710-way head serve the smaller sets.
    """

    label_set: str = ""
    sampling: Literal["dense", "sparse"] = "dense"
    repeats: int = Field(default=2, gt=0)
    area: tuple[float, float] = (0.08, 1.0)
    policy: str = "rand-m7-n4-mstd0.5-inc1"
    flip: bool = True
    erase: float = Field(default=0.25, ge=0, le=1)
    mix: bool = True
    mixup: float = Field(default=0.8, gt=0)
    cutmix: float = Field(default=1.0, gt=0)
    smoothing: float = Field(default=0.1, ge=0, lt=1)
    segments: int = Field(default=5, gt=0)
    crops: int = Field(default=3, gt=0)


class Windows(Section):
    """A film cut into windows of consecutive frames, one every `stride` frames.

    The published extractor does not subtract the mean its models were trained with; `normalise` does.
    """

    stride: int = Field(default=4, gt=0)
    normalise: bool = False


class Pretraining(Config):
    """Self-supervised: reconstruct masked pixels."""

    recipe: Literal["pretrain"]
    model: Autoencoder
    data: PretrainingClips = PretrainingClips()
    optimiser: Optimiser
    training: Training


class FineTuning(Config):
    """Supervised: name the action of a clip."""

    recipe: Literal["finetune"]
    model: Classification
    data: LabelledClips = LabelledClips()
    optimiser: Optimiser
    training: Training

    @model_validator(mode="after")
    def _pairs(self) -> FineTuning:
        clips = self.training.batch * self.data.repeats
        if self.data.mix and clips % 2:
            raise ValueError(
                f"training.batch x data.repeats is {clips}: mixing needs an even number of clips"
            )
        return self


class Features(Config):
    """A film's features for temporal action detection."""

    recipe: Literal["features"]
    model: Classification
    data: Windows = Windows()


RECIPES: dict[str, type[Config]] = {
    "pretrain": Pretraining,
    "finetune": FineTuning,
    "features": Features,
}
