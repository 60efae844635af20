"""Finding the keyframe's people: learned proposals, refined in stages (Sparse R-CNN, arXiv 2011.12450)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import box_convert

from avmodels.evad.pyramid import pool

# Corrections are predicted in these multiples of a box's width and height, and of their logarithms.
DELTA_SCALES = (2.0, 2.0, 1.0, 1.0)
# No stage makes a box wider or higher than by this factor (as logarithm).
MOST_GROWTH = math.log(100_000 / 16)


@dataclass(frozen=True)
class ProposalSize:
    """The numbers of the proposals and of the stages that refine them."""

    count: int = 100
    stages: int = 6
    width: int = 256
    heads: int = 8
    feedforward: int = 2048
    dynamic_width: int = 64
    class_layers: int = 1
    box_layers: int = 3
    cells: int = 7
    samples: int = 2


class Proposals(nn.Module):
    """The learned boxes and features every clip starts from."""

    def __init__(self, count: int, width: int):
        super().__init__()
        self.boxes = nn.Embedding(count, 4)
        self.features = nn.Embedding(count, width)
        nn.init.constant_(self.boxes.weight[:, :2], 0.5)
        nn.init.constant_(self.boxes.weight[:, 2:], 1.0)

    def forward(self, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """sizes (B, 2), height and width of the clips -> boxes (B, P, 4), x1 y1 x2 y2 in their pixels, and
        features (B, P, width)."""
        boxes = box_convert(self.boxes.weight, "cxcywh", "xyxy") * sizes.flip(1).repeat(1, 2)[:, None]
        return boxes, self.features.weight.repeat(len(sizes), 1, 1)


class DynamicInteraction(nn.Module):
    """Looks at the pixels of a box through two layers that the proposal's feature makes."""

    def __init__(self, width: int, dynamic_width: int, cells: int):
        super().__init__()
        self.dynamic_width = dynamic_width
        self.dynamic_layer = nn.Linear(width, 2 * width * dynamic_width)
        self.norm1 = nn.LayerNorm(dynamic_width)
        self.norm2 = nn.LayerNorm(width)
        self.out_layer = nn.Linear(cells * cells * width, width)
        self.norm3 = nn.LayerNorm(width)

    def forward(self, proposals: Tensor, pixels: Tensor) -> Tensor:
        """proposals (n, width), pixels (n, cells * cells, width) -> (n, width)."""
        first, second = self.dynamic_layer(proposals).chunk(2, dim=1)
        x = pixels @ first.view(len(pixels), -1, self.dynamic_width)
        x = F.relu(self.norm1(x))
        x = x @ second.view(len(pixels), self.dynamic_width, -1)
        x = F.relu(self.norm2(x))
        return F.relu(self.norm3(self.out_layer(x.flatten(1))))


class Stage(nn.Module):
    """Proposals look at one another, then at their pixels; each is judged and its box corrected."""

    def __init__(self, size: ProposalSize):
        super().__init__()
        width = size.width
        self.size = size
        self.self_attn = nn.MultiheadAttention(width, size.heads, batch_first=True)
        self.inst_interact = DynamicInteraction(width, size.dynamic_width, size.cells)
        self.linear1 = nn.Linear(width, size.feedforward)
        self.linear2 = nn.Linear(size.feedforward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.cls_module = layers(width, width, size.class_layers)
        self.reg_module = layers(width, width, size.box_layers)
        self.class_logits = nn.Linear(width, 2)
        self.bboxes_delta = nn.Linear(width, 4)

    def forward(self, levels: list[Tensor], boxes: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """levels of the pyramid, boxes (B, P, 4), x1 y1 x2 y2 in pixels, features (B, P, width).

        Returns logits of (person, no person), (B, P, 2), the corrected boxes and the new features.
        """
        x = self.norm1(features + self.self_attn(features, features, features, need_weights=False)[0])
        pixels = pool(levels, boxes, self.size.cells, self.size.samples).flatten(2).transpose(1, 2)
        x = self.norm2(x + self.inst_interact(x.flatten(0, 1), pixels).view_as(x))
        x = self.norm3(x + self.linear2(F.relu(self.linear1(x))))
        logits = self.class_logits(self.cls_module(x))
        deltas = self.bboxes_delta(self.reg_module(x))
        return logits, corrected(boxes, deltas.float()), x


def layers(width_in: int, width: int, number: int) -> nn.Sequential:
    """`number` times a linear layer without bias, LayerNorm and ReLU."""
    widths = (width_in, *(width,) * number)
    parts = [
        (nn.Linear(before, after, bias=False), nn.LayerNorm(after), nn.ReLU())
        for before, after in pairwise(widths)
    ]
    return nn.Sequential(*(layer for part in parts for layer in part))


def corrected(boxes: Tensor, deltas: Tensor) -> Tensor:
    """boxes (..., 4), x1 y1 x2 y2, moved and scaled by deltas (..., 4); not clipped to the picture."""
    centre, size = box_convert(boxes, "xyxy", "cxcywh").chunk(2, dim=-1)
    move, grow = (deltas / deltas.new_tensor(DELTA_SCALES)).chunk(2, dim=-1)
    centre = centre + move * size
    size = size * grow.clamp(max=MOST_GROWTH).exp()
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)
