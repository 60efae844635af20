"""The networks: four stages of group-mix attention, as a classifier and as a backbone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch.nn.functional as F
from timm.layers.weight_init import trunc_normal_
from timm.models._features import FeatureInfo
from torch import Tensor, nn

from avmodels.groupmixformer.attention import HEADS, SEGMENTS, Block, Separable, picture, tokens
from avmodels.nn.batch_norm import BatchNorm

# Pixels of the image along one of each stage's maps.
STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True)
class Size:
    """The numbers of one model, of its four stages each.

    `qkv_bias`: whether queries, keys and values have one; `scale` replaces attention's own.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    mlp_ratios: tuple[float, ...] = (4, 4, 4, 4)
    qkv_bias: bool = True
    scale: float | None = None

    def __post_init__(self) -> None:
        step = SEGMENTS * HEADS // 4  # heads divide four segments, segments the width
        if any(width % step for width in self.widths):
            raise ValueError(f"widths {self.widths} are not all multiples of {step}")


SIZES = {
    "miny": Size((40, 80, 160, 160), (3, 3, 12, 4)),
    "tiny": Size((80, 160, 200, 240), (4, 4, 12, 4)),
    "small": Size((80, 160, 320, 320), (2, 4, 12, 4)),
    "base": Size((200, 240, 320, 480), (8, 8, 12, 8), (2, 2, 4, 4)),
    # The authors' own file of this one, which they marked as unfinished: it has 1.5 million parameters more than
    # they published.
    "large": Size((240, 320, 360, 480), (8, 10, 30, 10), (4, 4, 2, 2)),
}


class Stem(nn.Module):
    """Two convolutions that halve the picture, each with norm and activation."""

    def __init__(self, width: int):
        super().__init__()
        self.proj1 = nn.Conv2d(3, width // 2, 3, 2, 1)
        self.norm1 = BatchNorm(width // 2)
        self.proj2 = nn.Conv2d(width // 2, width, 3, 2, 1)
        self.norm2 = BatchNorm(width)

    def forward(self, image: Tensor) -> Tensor:
        """image (B, 3, H, W) -> (B, width, H / 4, W / 4), rounded up."""
        x = F.hardswish(self.norm1(self.proj1(image)))
        return F.hardswish(self.norm2(self.proj2(x)))


class PatchEmbedding(nn.Module):
    """From the map before a stage to the stage's width and, but for the first, half the size."""

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        self.proj = Separable(inputs, width, 3, stride)
        self.norm = BatchNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, inputs, H, W) -> tokens (B, H / stride, W / stride, width), rounded up."""
        return tokens(F.hardswish(self.norm(self.proj(x))))


class Stage(nn.Module):
    """Blocks of one width."""

    def __init__(self, width: int, mlp_ratio: float, drop_paths: list[float], size: Size):
        super().__init__()
        self.gma_stage = nn.ModuleList(
            Block(width, mlp_ratio, rate, size.qkv_bias, size.scale) for rate in drop_paths
        )

    def forward(self, x: Tensor) -> Tensor:
        """tokens (B, H, W, width) -> their map, (B, width, H, W)."""
        for block in self.gma_stage:
            x = block(x)
        return picture(x)


class Trunk(nn.Module):
    """Stem, and four patch embeddings and stages: what classifier and backbone share.

    Images may be of any size; the published networks knew only sides that are multiples of 32.
    """

    def __init__(self, size: Size, drop_path: float = 0.0):
        super().__init__()
        self.size = size
        widths = (size.widths[0], *size.widths)
        self.conv_stem = Stem(size.widths[0])
        self.patch_embed_layers = nn.ModuleList(
            PatchEmbedding(before, width, stride=2 if number else 1)
            for number, (before, width) in enumerate(pairwise(widths))
        )
        rates = drop_path_rates(size, drop_path)
        self.groupmixformer_backbone = nn.ModuleList(
            Stage(width, ratio, of_stage, size)
            for width, ratio, of_stage in zip(size.widths, size.mlp_ratios, rates, strict=True)
        )

    def maps(self, image: Tensor) -> list[Tensor]:
        """image (B, 3, H, W), normalised -> each stage's map, (B, width, H / stride, W / stride)."""
        x, maps = self.conv_stem(image), []
        for embed, stage in zip(self.patch_embed_layers, self.groupmixformer_backbone, strict=True):
            x = stage(embed(x))
            maps.append(x)
        return maps


class Classifier(Trunk):
    """An image's class, from the mean of the last map after a batch norm."""

    def __init__(self, size: Size, classes: int, drop_path: float = 0.0):
        super().__init__(size, drop_path)
        self.norm4 = BatchNorm(size.widths[-1])
        self.head = nn.Linear(size.widths[-1], classes)
        initialise(self)

    def features(self, image: Tensor) -> Tensor:
        """image (B, 3, H, W) -> (B, width of the last stage)."""
        return self.norm4(self.maps(image)[-1]).mean((2, 3))

    def forward(self, image: Tensor) -> Tensor:
        """image (B, 3, H, W), normalised -> logits (B, classes)."""
        return self.head(self.features(image))


class Backbone(Trunk):
    """The maps of the four stages, as timm's `features_only` networks give them; `feature_info` describes them.

    `frozen_norms` keeps the statistics of the batch norms as they are in training too, and their parameters.
    """

    def __init__(self, size: Size, drop_path: float = 0.0, frozen_norms: bool = False):
        super().__init__(size, drop_path)
        self._frozen_norms = frozen_norms
        stages = [
            {"num_chs": width, "reduction": stride, "module": f"groupmixformer_backbone.{number}"}
            for number, (width, stride) in enumerate(zip(size.widths, STRIDES, strict=True))
        ]
        self.feature_info = FeatureInfo(stages, tuple(range(len(stages))))
        initialise(self)
        if frozen_norms:
            for norm in self._norms():
                norm.requires_grad_(False)

    def train(self, mode: bool = True) -> Backbone:
        """As every module's, but for norms that are frozen."""
        super().train(mode)
        if self._frozen_norms:
            for norm in self._norms():
                norm.eval()
        return self

    def _norms(self) -> list[BatchNorm]:
        return [module for module in self.modules() if isinstance(module, BatchNorm)]

    def forward(self, image: Tensor) -> list[Tensor]:
        """image (B, 3, H, W), normalised -> four maps, (B, width, H / stride, W / stride)."""
        return self.maps(image)


def drop_path_rates(size: Size, most: float) -> list[list[float]]:
    """Each block's chance to be skipped, by stage: from 0 at the first block to `most` at the last."""
    rates = np.linspace(0, most, sum(size.depths))
    return [part.tolist() for part in np.split(rates, np.cumsum(size.depths)[:-1])]


def initialise(model: nn.Module) -> None:
    """The published start: linear maps from a normal distribution of deviation 0.02, convolutions as torch has it."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
