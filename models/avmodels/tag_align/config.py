"""The settings of TagAlign's recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from avmodels.engine.config import Config, Optimiser, Section, Training
from avmodels.tag_align.model import TAGS
from avmodels.tag_align.tower import Patches


class Gated(Section):
    """A projector of gated convolutions."""

    form: Literal["gated"] = "gated"
    layers: int = Field(default=2, gt=0)
    double: bool = True
    kernel: int = Field(default=3, gt=0)
    activation: Literal["gelu", "relu", "lrelu", "none"] = "gelu"
    norm: Literal["ln", "gn", "bn", "none"] = "ln"


class Transformer(Section):
    """A projector of transformer blocks."""

    form: Literal["transformer"] = "transformer"
    layers: int = Field(default=1, gt=0)
    heads: int = Field(default=16, gt=0)
    mlp_ratio: float = Field(default=4.0, gt=0)


class Network(Section):
    """CLIP's towers, how patches are taken from them, and the projector over so many tags."""

    towers: Literal["vit-b-16", "vit-tiny"] = "vit-b-16"
    patches: Patches = "surgery"
    tags: int = Field(default=TAGS, gt=0)
    projector: Annotated[Gated | Transformer, Field(discriminator="form")]


class Captioned(Section):
    """Pictures with captions and tags, and their augmentation.

    Each of the `sources` is a folder with tags.json, and captions.csv or tar files. `template` makes sentences of the tags.
    `area` is the share of the picture that a crop of `side` pixels covers; `policy` is RandAugment in timm's
    notation, empty for none.
    """

    sources: tuple[str, ...] = (".",)
    template: str = "simple"
    side: int = Field(default=224, gt=0)
    area: tuple[float, float] = (0.08, 1.0)
    policy: str = "rand-m9-mstd0.5-inc1"
    flip: float = Field(default=0.5, ge=0, le=1)
    erase: float = Field(default=0.25, ge=0, le=1)


class Objectives(Section):
    """The share of each objective in the loss."""

    contrastive: float = Field(default=1.0, ge=0)
    tags: float = Field(default=1.0, ge=0)


class Inference(Section):
    """How pictures are segmented, and on which data sets that is measured.

    `protocol` is the first published one or the later; `clip` and `background` replace its numbers. `refine`
    draws the masks towards edges.
    """

    protocol: Literal["v1", "v3"] = "v1"
    template: str = "simple"
    clip: float | None = Field(default=None, ge=0, le=1)
    background: float | None = Field(default=None, ge=0, le=1)
    refine: bool = False
    data: tuple[str, ...] = ()


class Alignment(Config):
    """Trains the projector; segments pictures by words."""

    recipe: Literal["align"]
    model: Network
    data: Captioned = Captioned()
    objectives: Objectives = Objectives()
    inference: Inference = Inference()
    optimiser: Optimiser
    training: Training


class Contrasting(Config):
    """Trains CLIP's two towers on captioned pictures, for want of OpenAI's; an untrained projector then segments."""

    recipe: Literal["clip"]
    model: Network
    data: Captioned = Captioned()
    inference: Inference = Inference()
    optimiser: Optimiser
    training: Training


RECIPES: dict[str, type[Config]] = {"align": Alignment, "clip": Contrasting}
