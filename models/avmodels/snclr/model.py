"""The networks: two encoders that learn from one another, and the probe of one."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from avmodels.snclr.bank import NeighbourBank
from avmodels.snclr.encoder import Encoder, Size, ViTSize, encoder, mlp


class Views(NamedTuple):
    """What becomes of a pair of views, each (B, width), the second of a pair being the second view's."""

    projections: tuple[Tensor, Tensor]
    predictions: tuple[Tensor, Tensor]
    keys: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Head:
    """The widths of projector and predictor, and how many keys the bank holds."""

    width: int = 256
    hidden: int = 4096
    bank: int = 128000


class SNCLR(nn.Module):
    """Encoder with projector, its momentum copy, the predictor, and the bank of the copy's keys.

    A ViT has a projector of three layers and a normalised prediction, a ResNet one of two layers and a free
    prediction, as in MoCo v3. Published parameter names, and `bank.*`.
    """

    def __init__(
        self, size: Size, head: Head, side: int | tuple[int, int] = 224, frozen_patches: bool = True
    ):
        super().__init__()
        self.base_encoder = encoder(size, side, frozen_patches)
        transformer = isinstance(size, ViTSize)
        hidden = (head.hidden,) * (2 if transformer else 1)
        projector = mlp((size.width, *hidden, head.width))
        self.base_encoder.add_module(self.base_encoder.top, projector)
        self.momentum_encoder = follower(self.base_encoder)
        self.predictor = mlp((head.width, head.hidden, head.width), last_norm=transformer)
        self.bank = NeighbourBank(head.width, head.bank)
        # The same in all processes by themselves: DDP need not send them round before each step.
        self._ddp_params_and_buffers_to_ignore = [
            name for name, _ in self.named_buffers() if name.startswith(("bank.", "momentum_encoder."))
        ]

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Moves the copy's parameters towards the encoder's: momentum * copy + (1 - momentum) * encoder."""
        names, ahead = zip(*self.base_encoder.named_parameters(), strict=True)
        behind = [self.momentum_encoder.get_buffer(name) for name in names]
        ahead = [value.full_tensor() if isinstance(value, DTensor) else value for value in ahead]
        torch._foreach_lerp_(behind, ahead, 1 - momentum)  # pyright: ignore[reportPrivateImportUsage]

    def forward(self, view1: Tensor, view2: Tensor | None = None) -> Views | Tensor:
        """Two views of the same images, (B, 3, H, W) each, normalised; or images alone, whose representations
        (B, width) by the encoder it returns."""
        if view2 is None:
            return self.base_encoder.represent(view1)
        projection1, projection2 = projected(self.base_encoder, view1, view2)
        predictions = self.predictor(projection1), self.predictor(projection2)
        with torch.no_grad():
            keys = projected(self.momentum_encoder, view1, view2)
        return Views((projection1, projection2), predictions, keys)


def follower(encoder: Encoder) -> Encoder:
    """A copy whose parameters are buffers of the same names: what it is changes, though not by gradients."""
    copied = copy.deepcopy(encoder)
    for module in copied.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach())
    return copied


def projected(encoder: Encoder, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
    """Both views' projections; batch normalisation sees one view after the other."""
    if encoder.apart:
        representations = encoder.represent(view1), encoder.represent(view2)
    else:
        representations = encoder.represent(torch.cat([view1, view2])).chunk(2)
    projection1 = encoder.projector(representations[0])
    return projection1, encoder.projector(representations[1])


class Probe(nn.Module):
    """A frozen encoder, and linear classifiers on it: one for each learning rate that is tried.

    The encoder stays in evaluation mode whatever happens, so that its batch statistics do not move either.
    """

    def __init__(self, size: Size, classes: int, rates: int = 1, side: int = 224):
        super().__init__()
        self.encoder = encoder(size, side).requires_grad_(False)
        self.heads = nn.ModuleList(classifier(size.width, classes) for _ in range(rates))

    def train(self, mode: bool = True) -> Probe:
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W), normalised -> the logits of every classifier, (rates, B, classes)."""
        with torch.no_grad():
            representation = self.encoder.represent(images)
        return torch.stack([head(representation) for head in self.heads])


def classifier(width: int, classes: int) -> nn.Linear:
    """A linear classifier that begins all but undecided."""
    linear = nn.Linear(width, classes)
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.bias)
    return linear
