"""What is trained: a network over the frozen tower's patches, and a projection into the space of the words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

# Groups of a group norm.
GROUPS = 32


@dataclass(frozen=True)
class GatedSize:
    """A stack of gated convolutions; a layer has one branch, or two if `double`."""

    layers: int = 2
    double: bool = True
    kernel: int = 3
    activation: Literal["gelu", "relu", "lrelu", "none"] = "gelu"
    norm: Literal["ln", "gn", "bn", "none"] = "ln"


@dataclass(frozen=True)
class TransformerSize:
    """Transformer blocks over the patches."""

    layers: int = 1
    heads: int = 16
    mlp_ratio: float = 4.0


class Projection(nn.Module):
    """A LayerNorm (eps 1e-5), and a matrix into the space that pictures and words share."""

    def __init__(self, width: int, embedding: int):
        super().__init__()
        self.ln = nn.LayerNorm(width)
        self.proj = nn.Parameter(width**-0.5 * torch.randn(width, embedding))

    def forward(self, x: Tensor) -> Tensor:
        """x (..., width) -> (..., embedding), not normalised."""
        return self.ln(x) @ self.proj


class PixelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each place of a map."""

    def forward(self, input: Tensor) -> Tensor:
        """input (B, C, h, w) -> the same shape."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Gate(nn.Module):
    """tanh(g) * x, with g = 0 at first: the branch starts shut."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        return self.gate.tanh() * x


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "ln": PixelNorm,
    "gn": lambda width: nn.GroupNorm(GROUPS, width),
    "bn": nn.BatchNorm2d,
    "none": lambda width: nn.Identity(),
}
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "lrelu": lambda: nn.LeakyReLU(0.2),
    "none": nn.Identity,
}


class Branch(nn.Sequential):
    """Norm, activation, convolution, gate: (B, C, h, w) -> the same shape."""

    def __init__(self, width: int, size: GatedSize):
        super().__init__()
        self.norm = NORMS[size.norm](width)
        self.act = ACTIVATIONS[size.activation]()
        self.conv = nn.Conv2d(width, width, size.kernel, padding=size.kernel // 2)
        self.gate = Gate()


class GatedLayer(nn.Module):
    """One or two branches, each added to its input."""

    def __init__(self, width: int, size: GatedSize):
        super().__init__()
        self.conv = Branch(width, size)
        self.conv2 = Branch(width, size) if size.double else None

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, h, w) -> the same shape."""
        x = x + self.conv(x)
        return x if self.conv2 is None else x + self.conv2(x)


class GatedStack(nn.Module):
    """Gated layers over a map of patches; the identity until it is trained."""

    def __init__(self, width: int, size: GatedSize):
        super().__init__()
        self.net = nn.Sequential(*(GatedLayer(width, size) for _ in range(size.layers)))

    def forward(self, patches: Tensor) -> Tensor:
        """patches (B, h, w, width) -> the same shape."""
        return self.net(patches.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class TransformerStack(nn.Sequential):
    """Transformer blocks (LayerNorm eps 1e-5) over patches that are told no positions."""

    def __init__(self, width: int, size: TransformerSize):
        blocks = (
            Block(width, size.heads, size.mlp_ratio, qkv_bias=True, norm_layer=nn.LayerNorm)
            for _ in range(size.layers)
        )
        super().__init__(*blocks)

    def forward(self, input: Tensor) -> Tensor:
        """input (B, h, w, width) -> the same shape."""
        return super().forward(input.flatten(1, 2)).view_as(input)


class Projector(nn.Module):
    """The trained network and its own projection."""

    def __init__(self, width: int, embedding: int, size: GatedSize | TransformerSize):
        super().__init__()
        gated = isinstance(size, GatedSize)
        self.projector = GatedStack(width, size) if gated else TransformerStack(width, size)
        self.clip_proj = Projection(width, embedding)

    def forward(self, patches: Tensor) -> Tensor:
        """patches (B, h, w, width) -> (B, h, w, embedding), not normalised."""
        return self.clip_proj(self.projector(patches))
