"""Maps of the keyframe at four scales, and what lies in boxes on them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import RoIAlign

# The levels by log2 of their stride in pixels, fine to coarse.
LEVELS = (2, 3, 4, 5)
# A box of this side (pixels) belongs to level 4, one of half the side to level 3.
CANONICAL_SIDE = 224
CANONICAL_LEVEL = 4


class Pyramid(nn.Module):
    """A feature pyramid (Lin et al., arXiv 1612.03144) whose levels all come from one stride, 16.

    The maps would be resized to strides 4, 8, 16 and 32 by nearest neighbour before their 1 x 1 convolutions
    and sums; since all that repeats equal pixels, it is done at stride 16, and repeated after.
    """

    def __init__(self, width_in: int, width: int):
        super().__init__()
        self.lateral = nn.ModuleDict({str(level): nn.Conv2d(width_in, width, 1) for level in LEVELS})
        self.output = nn.ModuleDict({str(level): nn.Conv2d(width, width, 3, padding=1) for level in LEVELS})
        for convolution in (*self.lateral.values(), *self.output.values()):
            assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
            nn.init.kaiming_uniform_(convolution.weight, a=1)
            nn.init.zeros_(convolution.bias)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Four maps (B, width_in, h, w), h and w even, of stride 16 -> (B, width, ., .) of 4 to 32."""
        finest, fine, middle, coarse = maps
        merged5 = self.lateral["5"](coarse[..., ::2, ::2])
        merged4 = self.lateral["4"](middle) + _repeat(merged5, 2)
        merged3 = self.lateral["3"](fine) + merged4
        merged2 = self.lateral["2"](finest) + merged3
        merged = (_repeat(merged2, 4), _repeat(merged3, 2), merged4, merged5)
        return [self.output[str(level)](x) for level, x in zip(LEVELS, merged, strict=True)]


def _repeat(x: Tensor, times: int) -> Tensor:
    """Every pixel as a square of `times` x `times`."""
    return F.interpolate(x, scale_factor=times, mode="nearest")


def level_of(boxes: Tensor) -> Tensor:
    """boxes (n, 4), x1 y1 x2 y2 in pixels -> which of LEVELS serves each by its area, 0 to 3."""
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    side = (width * height).sqrt()
    level = torch.floor(CANONICAL_LEVEL + torch.log2(side / CANONICAL_SIDE + 1e-8))
    return level.clamp(LEVELS[0], LEVELS[-1]).long() - LEVELS[0]


def pool(levels: list[Tensor], boxes: Tensor, cells: int, samples: int) -> Tensor:
    """What lies in the boxes, each read from the level of its size.

    levels: four of (B, width, ., .); boxes (B, P, 4), x1 y1 x2 y2 in pixels of the clip, which may reach
    beyond it. Returns (B * P, width, cells, cells), from samples x samples points a cell.
    """
    # In float32 whatever the maps are in: half precision would move boxes by pixels.
    rows = indexed(boxes.float())
    which = level_of(rows[:, 1:])
    pooled = levels[0].new_zeros(len(rows), levels[0].shape[1], cells, cells)
    if rows.is_meta:  # without data no box has a level; the shape is all there is
        return pooled
    for number, (level, x) in enumerate(zip(LEVELS, levels, strict=True)):
        here = (which == number).nonzero().squeeze(1)
        align = RoIAlign(cells, 1 / 2**level, samples, aligned=True)
        pooled = pooled.index_copy(0, here, align(x.float(), rows[here]).to(x.dtype))
    return pooled


def indexed(boxes: Tensor) -> Tensor:
    """boxes (B, P, 4) -> (B * P, 5): the clip's number before each."""
    clip = torch.arange(len(boxes), device=boxes.device, dtype=boxes.dtype)
    return torch.cat([clip.repeat_interleave(boxes.shape[1])[:, None], boxes.flatten(0, 1)], dim=1)
