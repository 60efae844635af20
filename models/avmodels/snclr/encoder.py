"""The image encoders that are trained without labels: a ViT with fixed positions, and a ResNet-50."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from avmodels.snclr.batch_norm import BatchNorm


@dataclass(frozen=True)
class ViTSize:
    """The numbers of a ViT."""

    patch: int
    width: int
    depth: int
    heads: int


@dataclass(frozen=True)
class ResNetSize:
    """The bottlenecks of the four stages of a ResNet."""

    blocks: tuple[int, int, int, int]

    @property
    def width(self) -> int:
        """Channels of the pooled features."""
        return 512 * Bottleneck.expansion


Size = ViTSize | ResNetSize

# ViT-S has twice the heads that DeiT-S has.
SIZES: dict[str, Size] = {
    "vit-tiny": ViTSize(patch=8, width=96, depth=4, heads=3),
    "vit-s": ViTSize(patch=16, width=384, depth=12, heads=12),
    "vit-b": ViTSize(patch=16, width=768, depth=12, heads=12),
    "resnet14": ResNetSize(blocks=(1, 1, 1, 1)),
    "resnet50": ResNetSize(blocks=(3, 4, 6, 3)),
}


class ViT(VisionTransformer):
    """A pre-norm ViT whose representation is the class token after the last norm.

    Its positions are fixed; with `frozen_patches` so is its random patch projection, without which training
    is unstable (Chen et al., arXiv 2104.02057, section 4). Published parameter names.
    """

    # No part of the trunk looks at other samples: views may pass it side by side.
    apart = False
    # The name of what stands on the representation.
    top = "head"

    def __init__(self, size: ViTSize, side: int | tuple[int, int], frozen_patches: bool = True):
        super().__init__(
            img_size=side,
            patch_size=size.patch,
            embed_dim=size.width,
            depth=size.depth,
            num_heads=size.heads,
            num_classes=0,
            weight_init="skip",
        )
        high, wide = self.patch_embed.grid_size
        self.pos_embed = nn.Parameter(sine_cosine(high, wide, size.width)[None], requires_grad=False)
        self._initialise()
        self.patch_embed.proj.requires_grad_(not frozen_patches)

    @property
    def projector(self) -> nn.Module:
        """What stands on the representation; nothing at first."""
        return self.head

    def represent(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W), normalised -> (B, width)."""
        return self.forward_features(images)[:, 0]

    @torch.no_grad()
    def _initialise(self) -> None:
        """Xavier, for queries, keys and values each by itself."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                out = module.out_features // 3 if name.endswith("qkv") else module.out_features
                bound = math.sqrt(6 / (out + module.in_features))
                nn.init.uniform_(module.weight, -bound, bound)
                nn.init.zeros_(module.bias)
        projection = self.patch_embed.proj
        assert isinstance(projection, nn.Conv2d) and projection.bias is not None
        fan_in = projection.weight[0].numel()
        bound = math.sqrt(6 / (fan_in + projection.out_channels))
        nn.init.uniform_(projection.weight, -bound, bound)
        nn.init.zeros_(projection.bias)
        assert self.cls_token is not None
        nn.init.normal_(self.cls_token, std=1e-6)


class ConvNet(ResNet):
    """A ResNet whose representation is its pooled features; residual branches begin at zero."""

    # Batch normalisation is to see one view at a time.
    apart = True
    # The name of what stands on the representation.
    top = "fc"

    def __init__(self, size: ResNetSize):
        super().__init__(Bottleneck, list(size.blocks), zero_init_residual=True, norm_layer=BatchNorm)
        self.add_module(self.top, nn.Identity())

    @property
    def projector(self) -> nn.Module:
        """What stands on the representation; nothing at first."""
        return self.fc

    def represent(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W), normalised -> (B, 2048)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.avgpool(x).flatten(1)


Encoder = ViT | ConvNet


def encoder(size: Size, side: int | tuple[int, int] = 224, frozen_patches: bool = True) -> Encoder:
    """An encoder of a size with nothing on its representation; `side` and `frozen_patches` matter to a ViT."""
    return ViT(size, side, frozen_patches) if isinstance(size, ViTSize) else ConvNet(size)


def mlp(widths: tuple[int, ...], last_norm: bool = True) -> nn.Sequential:
    """Linear layers without bias from each width to the next, batch normalisation and ReLU after each but the
    last, and with `last_norm` a normalisation without gain and bias at the end."""
    layers: list[nn.Module] = []
    for number, (into, out) in enumerate(pairwise(widths), start=2):
        layers.append(nn.Linear(into, out, bias=False))
        if number < len(widths):
            layers += [BatchNorm(out), nn.ReLU(inplace=True)]
        elif last_norm:
            layers.append(BatchNorm(out, affine=False))
    return nn.Sequential(*layers)


def sine_cosine(high: int, wide: int, width: int) -> Tensor:
    """The fixed table (1 + high * wide, width) of a grid, a row of zeros for the class token first.

    A token's row is sin and cos of its row number, then sin and cos of its column number, each at width / 4
    frequencies 10000^(-4 j / width). The published code makes that of the grid turned over, `sine_cosine(wide,
    high, width)`: the same where it is square, scrambled where it is not.
    """
    if width % 4:
        raise ValueError(f"a position takes a multiple of four channels, not {width}")
    frequencies = 1 / 10000 ** (torch.arange(width // 4, dtype=torch.float32) / (width // 4))
    rows, columns = torch.meshgrid(torch.arange(high), torch.arange(wide), indexing="ij")
    across, down = (places.flatten()[:, None] * frequencies for places in (rows, columns))
    table = torch.cat([across.sin(), across.cos(), down.sin(), down.cos()], dim=1)
    return torch.cat([torch.zeros(1, width), table])
