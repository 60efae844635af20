"""Heads that name the class of every pixel, over the backbone's four maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from avmodels.groupmixformer.model import Backbone
from avmodels.nn.batch_norm import BatchNorm

# Squares that UPerNet's pyramid pools the last map to.
POOLED = (1, 2, 3, 6)
# The stage whose map an auxiliary head reads in training, and its channels.
AUXILIARY, AUXILIARY_CHANNELS = 2, 256
DROPOUT = 0.1


def layer(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, BatchNorm(outputs), nn.ReLU())


def resized(x: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """x (B, C, h, w) -> (B, C, *size), bilinear."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


class SemanticFPN(nn.Module):
    """A feature pyramid, each level brought to the finest size step by step and added up (arXiv 1901.02446)."""

    def __init__(self, widths: tuple[int, ...], channels: int, classes: int):
        super().__init__()
        self.pyramid = FeaturePyramidNetwork(list(widths), 2 * channels)
        self.scales = nn.ModuleList(
            nn.ModuleList(
                layer(channels if step else 2 * channels, channels, 3) for step in range(max(level, 1))
            )
            for level in range(len(widths))
        )
        self.dropout = nn.Dropout2d(DROPOUT)
        self.classify = nn.Conv2d(channels, classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """The backbone's maps -> scores (B, classes, H / 4, W / 4)."""
        levels = self.pyramid({str(number): level for number, level in enumerate(maps)}).values()
        sizes, total = [level.shape[-2:] for level in maps], 0
        for number, (x, convolutions) in enumerate(zip(levels, self.scales, strict=True)):
            assert isinstance(convolutions, nn.ModuleList)
            for step, convolve in enumerate(convolutions):
                x = convolve(x)
                if number:
                    x = resized(x, sizes[number - 1 - step])
            total = total + x
        return self.classify(self.dropout(total))


class UPerNet(nn.Module):
    """A pyramid over the last map pooled at four sizes, all levels fused at the finest (arXiv 1807.10221)."""

    def __init__(self, widths: tuple[int, ...], channels: int, classes: int):
        super().__init__()
        *finer, last = widths
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), layer(last, channels, 1)) for side in POOLED
        )
        self.context = layer(last + len(POOLED) * channels, channels, 3)
        self.lateral = nn.ModuleList(layer(width, channels, 1) for width in finer)
        self.smooth = nn.ModuleList(layer(channels, channels, 3) for _ in finer)
        self.fuse = layer(len(widths) * channels, channels, 3)
        self.dropout = nn.Dropout2d(DROPOUT)
        self.classify = nn.Conv2d(channels, classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """The backbone's maps -> scores (B, classes, H / 4, W / 4)."""
        *finer, last = maps
        pooled = [resized(pool(last), last.shape[-2:]) for pool in self.pools]
        levels = [self.context(torch.cat([last, *pooled], dim=1))]
        for lateral, level in zip(reversed(self.lateral), reversed(finer), strict=True):
            levels.insert(0, lateral(level) + resized(levels[0], level.shape[-2:]))
        smoothed = [smooth(level) for smooth, level in zip(self.smooth, levels, strict=False)]
        full = [resized(level, maps[0].shape[-2:]) for level in (*smoothed, levels[-1])]
        return self.classify(self.dropout(self.fuse(torch.cat(full, dim=1))))


HEADS = {"semantic-fpn": SemanticFPN, "upernet": UPerNet}


class Segmenter(nn.Module):
    """A backbone, a head, and in training an auxiliary head, which UPerNet is published with."""

    def __init__(self, backbone: Backbone, head: str, channels: int, classes: int):
        super().__init__()
        widths = backbone.size.widths
        self.backbone = backbone
        self.head = HEADS[head](widths, channels, classes)
        self.auxiliary = None
        if head == "upernet":
            self.auxiliary = nn.Sequential(
                layer(widths[AUXILIARY], AUXILIARY_CHANNELS, 3),
                nn.Dropout2d(DROPOUT),
                nn.Conv2d(AUXILIARY_CHANNELS, classes, 1),
            )

    def forward(self, image: Tensor) -> list[Tensor]:
        """image (B, 3, H, W), normalised -> scores (B, classes, H, W), of the head and in training of the other."""
        maps = self.backbone(image)
        scores = [self.head(maps)]
        if self.training and self.auxiliary is not None:
            scores.append(self.auxiliary(maps[AUXILIARY]))
        return [resized(of_head, image.shape[-2:]) for of_head in scores]
