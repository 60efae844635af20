"""The settings of SparseFormer's recipes."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from pydantic import Field, model_validator

from avmodels.engine.config import Config, Optimiser, Section, Training
from avmodels.sparseformer.model import DESIGNS, Design, Unit

Name = Literal["v1-tiny", "v1-small", "v1-base", "augreg-base", "augreg-large", "clip-base", "clip-large"]
# Mean and standard deviation of the pixels, RGB in [0, 1], that networks were trained with.
PIXELS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}


class Network(Section):
    """The network: a published design, and what is to be otherwise in it.

    `units` replaces its units, each in words such as `256x4 ATTN ROI_ADJ SAMPLING_M MLP` (width, passes,
    operations); with head `mean` there is no class token. `numerics` is that of the weights: `library`, or
    `training` for checkpoints of the code that trained version 1. `clamp` bounds the gradients of sampled points
    to a pixel of the feature map, as version 1 was trained. `start`: where the regions start; `published` leaves
    tokens of bootstrapped designs identical for ever.
    """

    design: Name
    units: tuple[str, ...] = ()
    tokens: int | None = Field(default=None, gt=0)
    points: int | None = Field(default=None, gt=0)
    channels: int | None = Field(default=None, gt=0)
    head: Literal["mean", "first"] | None = None
    class_token_before: int | None = Field(default=None, ge=0)
    numerics: Literal["library", "training"] = "library"
    clamp: bool = True
    classes: int = Field(gt=0)
    bias: bool = True
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    start: Literal["spread", "published"] = "spread"

    @model_validator(mode="after")
    def _fits(self) -> Network:
        self.made()
        return self

    def made(self) -> Design:
        """The design with its changes. Raises ValueError where they do not fit together."""
        changes: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("tokens", "points", "channels", "head", "class_token_before")
            if getattr(self, name) is not None
        }
        if self.units:
            changes["units"] = tuple(map(Unit.parse, self.units))
        if self.head == "mean":
            changes["class_token_before"] = None
        return dataclasses.replace(DESIGNS[self.design], clamp=self.clamp, numerics=self.numerics, **changes)


class VideoNetwork(Network):
    """The network over videos: `replicates` sets of its tokens share the time.

    `video_encoding`: what encodes the regions in bootstrapped designs, see model.Design.
    """

    replicates: int = Field(default=8, gt=0)
    video_encoding: Literal["nothing", "space"] = "nothing"

    def made(self) -> Design:
        """The design with its changes. Raises ValueError where they do not fit together."""
        return dataclasses.replace(super().made(), video_encoding=self.video_encoding)


class Images(Section):
    """Images in a layout of avmodels.data.imagenet, and how they become squares of `side` pixels.

    `area` is the share of an image that a training crop covers. In tests the short side is made
    int(side / `centre`) pixels, and the middle taken.
    """

    side: int = Field(default=224, gt=0)
    pixels: Literal["imagenet", "half", "clip"] = "imagenet"
    area: tuple[float, float] = (0.08, 1.0)
    centre: float = Field(default=0.875, gt=0, le=1)
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"


class AugmentedImages(Images):
    """Labelled images, and how they are changed and mixed in training; `policy` is RandAugment in timm's notation."""

    policy: str = "rand-m9-mstd0.5-inc1"
    erase: float = Field(default=0.25, ge=0, le=1)
    mix: bool = True
    mixup: float = Field(default=0.8, gt=0)
    cutmix: float = Field(default=1.0, gt=0)
    smoothing: float = Field(default=0.1, ge=0, lt=1)


class BootstrapImages(Images):
    """Images without labels, and how mildly they are changed."""

    area: tuple[float, float] = (0.4, 1.0)
    jitter: float = Field(default=0.1, ge=0)


class Clips(Section):
    """Videos of the lists train.csv and val.csv (`path label` a line), and the clips taken of them: `frames` square
    frames of `side` pixels, `stride` apart.

    `area` is the share of the picture that a training crop covers. A test takes `segments` clips spread over a
    video, and of each `crops` squares.
    """

    side: int = Field(default=224, gt=0)
    frames: int = Field(default=32, gt=0)
    stride: int = Field(default=2, gt=0)
    area: tuple[float, float] = (0.08, 1.0)
    flip: bool = True
    mix: bool = True
    mixup: float = Field(default=0.8, gt=0)
    cutmix: float = Field(default=1.0, gt=0)
    smoothing: float = Field(default=0.1, ge=0, lt=1)
    segments: int = Field(default=4, gt=0)
    crops: int = Field(default=3, gt=0)


class ViT(Section):
    """A ViT: its name in timm (with more `arguments`) and the side of the images it sees."""

    name: str
    side: int = Field(default=224, gt=0)
    arguments: dict[str, int] = Field(default_factory=dict)


class ClassifyingViT(ViT):
    """A ViT over some classes."""

    classes: int = Field(gt=0)


class Parent(ViT):
    """The ViT a network is bootstrapped from.

    `blocks`: which of its blocks are inherited, see inherit.plan. `align`: what the cosine is taken of, the
    `features` after the last norm, or what head or projection makes of them.
    """

    blocks: Literal["later", "all"] = "later"
    align: Literal["features", "projected"] = "features"


class Words(Section):
    """The words a network that was bootstrapped from a CLIP is asked for, for a test without training.

    `weights`: the CLIP whose text tower speaks, a file of OpenAI or open_clip; `quick_gelu`: whether its MLPs have
    OpenAI's activation. `prompts`: what a class's name is put into, `openai` for its 80 templates, `plain` for one.
    """

    weights: str
    quick_gelu: bool = True
    prompts: Literal["openai", "plain"] = "openai"


class Compiled(Config):
    """What all recipes have. `compile`: whether a network in use (evaluated, seeing) is compiled, which takes a minute
    and then saves a tenth of the time."""

    compile: bool = False


class Classification(Compiled):
    """Supervised: name what an image shows."""

    recipe: Literal["classify"]
    model: Network
    data: AugmentedImages = AugmentedImages()
    optimiser: Optimiser
    training: Training


class Bootstrapping(Compiled):
    """Without labels: see with few tokens what a ViT sees with many.

    `inherited_lr` is the rate of the inherited blocks that learn, as a share of that of the new parts.
    """

    recipe: Literal["bootstrap"]
    model: Network
    parent: Parent
    data: BootstrapImages = BootstrapImages()
    optimiser: Optimiser
    inherited_lr: float = Field(default=0.1, gt=0, le=1)
    training: Training
    words: Words | None = None


class ParentTraining(Compiled):
    """Supervised: a ViT to bootstrap from, where none is at hand."""

    recipe: Literal["parent"]
    model: ClassifyingViT
    data: AugmentedImages = AugmentedImages()
    optimiser: Optimiser
    training: Training


class Videos(Compiled):
    """Supervised: name what a video shows, from weights of images that are inflated. No such training was published:
    the recipe is ours."""

    recipe: Literal["video"]
    model: VideoNetwork
    data: Clips = Clips()
    optimiser: Optimiser
    training: Training


RECIPES: dict[str, type[Config]] = {
    "classify": Classification,
    "bootstrap": Bootstrapping,
    "parent": ParentTraining,
    "video": Videos,
}
