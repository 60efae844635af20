"""What the people do: each person's token attends to all that the encoder kept of the clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import RoIAlign

from avmodels.evad.encoder import Encoded, Positions, key_first
from avmodels.evad.proposals import layers
from avmodels.evad.pyramid import indexed
from avmodels.nn.attention import Block


@dataclass(frozen=True)
class ContextSize:
    """The numbers of the context decoder; `judge_width` and `judge_layers` are those of its action heads."""

    width: int
    depth: int
    heads: int
    mlp_ratio: float = 4.0
    judge_width: int = 2048
    judge_layers: int = 1
    cells: int = 7
    samples: int = 2


class ContextBlock(Block):
    """A transformer block with an action head of its own."""

    def __init__(self, size: ContextSize, classes: int, drop_path: float, bias: bool):
        super().__init__(size.width, size.heads, size.mlp_ratio, drop_path, bias)
        self.act_module = layers(size.width, size.judge_width, size.judge_layers)
        self.action_logits = nn.Linear(size.judge_width, classes)

    def judge(self, people: Tensor) -> Tensor:
        """people (B, P, width) -> action logits (B, P, classes)."""
        return self.action_logits(self.act_module(people))


class ContextDecoder(nn.Module):
    """Places the encoder's tokens back into the whole clip, takes a token for each box from it, and lets
    these attend to the tokens and to one another.

    As published, and as all published weights were trained, the kept tokens are placed wrongly: they come in
    order of falling importance, and are put on their positions in order of position. `own_places` puts each
    on its own, for networks trained so. `extension` widens the boxes by these shares of width and height.
    """

    def __init__(
        self,
        size: ContextSize,
        width_in: int,
        classes: int,
        steps: int,
        trained_side: int,
        stride: int,
        extension: tuple[float, float],
        drop_path: float = 0.0,
        bias: bool = True,
        own_places: bool = False,
    ):
        super().__init__()
        self.size = size
        self.classes = classes
        self.stride = stride
        self.extension = extension
        self.own_places = own_places
        self.encoder_to_decoder = nn.Linear(width_in, size.width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.positions = Positions(steps, trained_side // stride, size.width)
        rates = np.linspace(0, drop_path, size.depth).tolist()
        self.blocks = nn.ModuleList(ContextBlock(size, classes, rate, bias) for rate in rates)

    def forward(self, seen: Encoded, boxes: Tensor, sizes: Tensor) -> list[Tensor]:
        """boxes (B, P, 4), x1 y1 x2 y2 in pixels; sizes (B, 2), height and width of the clips unpadded.

        Returns the action logits, (B, P, classes), of every block when training, else of the last alone.
        """
        visible, volume = self.place(seen)
        people = self.look(volume, extended(boxes, self.extension, sizes))
        return self.refine(torch.cat([visible, people], dim=1), boxes.shape[1])

    def place(self, seen: Encoded) -> tuple[Tensor, Tensor]:
        """The visible tokens with their positions, (B, n, width), and the whole clip, (B, steps, width, h,
        w), with the keyframe's slice first and mask tokens where tokens were dropped."""
        x = self.encoder_to_decoder(seen.tokens)
        steps, high, wide = seen.grid
        table = self.positions(high, wide).to(x.dtype).unflatten(0, (steps, -1))
        table = table[key_first(steps)].flatten(0, 1)
        kept = seen.kept if self.own_places else seen.kept.sort(dim=1).values
        key = torch.arange(seen.key_tokens, device=kept.device).expand(len(kept), -1)
        places = torch.cat([key, kept + seen.key_tokens], dim=1)
        visible = x + table[places]
        volume = (self.mask_token.to(x.dtype) + table).expand(len(x), -1, -1)
        volume = volume.scatter(1, places[..., None].expand_as(visible), visible)
        return visible, volume.unflatten(1, seen.grid).permute(0, 1, 4, 2, 3)

    def look(self, volume: Tensor, boxes: Tensor) -> Tensor:
        """volume (B, steps, width, h, w), boxes (B, P, 4) in pixels -> a token for each box, (B, P, width):
        the maximum over its cells in each slice, the mean of that over the slices."""
        steps = volume.shape[1]
        align = RoIAlign(self.size.cells, 1 / self.stride, self.size.samples, aligned=True)
        pooled = align(volume.flatten(1, 2).float(), indexed(boxes.float())).to(volume.dtype)
        return pooled.flatten(2).amax(2).unflatten(1, (steps, -1)).mean(1).unflatten(0, boxes.shape[:2])

    def refine(self, x: Tensor, people: int) -> list[Tensor]:
        """x (B, N, width), the last `people` tokens being boxes -> action logits, see forward."""
        *before, final = cast(list[ContextBlock], list(self.blocks))
        logits = []
        for block in before:
            x = block(x)
            if self.training:
                logits.append(block.judge(x[:, -people:]))
        # Of the last block only the rows that are judged are computed.
        return [*logits, final.judge(final(x, people))]


def extended(boxes: Tensor, extension: tuple[float, float], sizes: Tensor) -> Tensor:
    """boxes (B, P, 4), x1 y1 x2 y2 in pixels, moved outwards on each side by half of `extension` (x, y) times
    their width and height (counted in whole pixels: x2 - x1 + 1), and clipped to the last pixel of the
    clip."""
    sides = boxes[..., 2:] - boxes[..., :2] + 1
    margin = sides * boxes.new_tensor(extension) / 2
    return clipped(torch.cat([boxes[..., :2] - margin, boxes[..., 2:] + margin], dim=-1), sizes - 1)


def clipped(boxes: Tensor, ends: Tensor) -> Tensor:
    """boxes (B, P, 4), x1 y1 x2 y2, within 0 and ends (B, 2), given as y, x."""
    return boxes.clamp(min=0).minimum(ends.flip(1).repeat(1, 2)[:, None].to(boxes.dtype))
