"""The network: finds the people of a clip's middle frame, and says what each of them does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels.evad.context import ContextDecoder, ContextSize
from avmodels.evad.encoder import Encoded, Encoder, EncoderSize
from avmodels.evad.proposals import Proposals, ProposalSize, Stage
from avmodels.evad.pyramid import LEVELS, Pyramid

# Clips are padded to multiples of the coarsest stride of the pyramid.
PADDING = 2 ** LEVELS[-1]


@dataclass(frozen=True)
class Size:
    """The numbers of one model. `dropping` are the blocks that drop tokens, where any do."""

    encoder: EncoderSize
    context: ContextSize
    dropping: tuple[int, ...]
    proposals: ProposalSize = field(default_factory=ProposalSize)

    def keep_rates(self, keep_rate: float) -> tuple[float, ...]:
        """The share of tokens that each block keeps."""
        return tuple(keep_rate if n in self.dropping else 1.0 for n in range(self.encoder.depth))


SIZES = {
    "vit-tiny": Size(
        EncoderSize(width=96, depth=4, heads=3, maps=(0, 1, 2, 3), frames=8, trained_side=64),
        ContextSize(width=96, depth=2, heads=3, judge_width=96, cells=4),
        dropping=(1, 3),
        proposals=ProposalSize(
            count=8, stages=2, width=64, heads=4, feedforward=128, dynamic_width=16, cells=4, samples=1
        ),
    ),
    "vit-b": Size(
        EncoderSize(width=768, depth=12, heads=12, maps=(2, 5, 8, 11)),
        ContextSize(width=384, depth=6, heads=6),
        dropping=(3, 6, 9),
    ),
    "vit-l": Size(
        EncoderSize(width=1024, depth=24, heads=16, maps=(5, 11, 17, 23)),
        ContextSize(width=512, depth=12, heads=8),
        dropping=(6, 12, 18),
    ),
}


class Located(NamedTuple):
    """The P proposals of B clips, after each stage: logits of (person, no person), (B, P, 2), and boxes (B,
    P, 4), x1 y1 x2 y2 in pixels of the clip, which may reach beyond it."""

    people: list[Tensor]
    boxes: list[Tensor]


class Predictions(NamedTuple):
    """What was located, and action logits (B, P, classes): of the last decoder block, in training of all."""

    located: Located
    actions: list[Tensor]


class Detector(nn.Module):
    """An encoder, a pyramid of its keyframe, stages that find people on it, a decoder of their actions."""

    def __init__(
        self,
        encoder: Encoder,
        pyramid: Pyramid,
        proposals: Proposals,
        stages: list[Stage],
        context: ContextDecoder,
    ):
        super().__init__()
        self.encoder = encoder
        self.pyramid = pyramid
        self.proposals = proposals
        self.stages = nn.ModuleList(stages)
        self.context = context
        for part in (self.stages, self.context):
            for parameter in part.parameters():
                if parameter.ndim > 1:
                    nn.init.xavier_uniform_(parameter)
        for module in self.context.blocks.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, video: Tensor, sizes: Tensor) -> Predictions:
        """video (B, 3, frames, H, W), normalised, padded (see pad); sizes (B, 2): height and width before."""
        seen = self.encoder(video)
        located = self.locate(seen, sizes)
        return Predictions(located, self.context(seen, located.boxes[-1].detach(), sizes))

    def locate(self, seen: Encoded, sizes: Tensor) -> Located:
        """Where the people of the keyframes are."""
        levels = self.pyramid(seen.maps)
        boxes, features = self.proposals(sizes)
        located = Located([], [])
        for stage in self.stages:
            people, after, features = stage(levels, boxes, features)
            located.people.append(people)
            located.boxes.append(after)
            boxes = after.detach()
        return located

    def set_checkpointing(self, on: bool) -> None:
        """Whether the backward pass computes the encoder's activations again instead of keeping them."""
        self.encoder.checkpointing = on


def detector(
    size: Size,
    classes: int,
    keep_rates: tuple[float, ...],
    key_weight: float = 1.0,
    extension: tuple[float, float] = (0.4, 0.2),
    drop_path: float = 0.0,
    decoder_drop_path: float = 0.0,
    own_places: bool = False,
) -> Detector:
    """The network of a size; for its settings see Encoder and ContextDecoder."""
    shape, found = size.encoder, size.proposals
    return Detector(
        Encoder(shape, keep_rates, key_weight, drop_path),
        Pyramid(shape.width, found.width),
        Proposals(found.count, found.width),
        [Stage(found) for _ in range(found.stages)],
        ContextDecoder(
            size.context,
            shape.width,
            classes,
            shape.steps,
            shape.trained_side,
            shape.patch,
            extension,
            decoder_drop_path,
            shape.bias,
            own_places,
        ),
    )


def pad(clips: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Clips (3, T, h, w), normalised -> one batch (B, 3, T, H, W), and their sizes (B, 2), height and width.

    Zeros (mean grey) fill each at the right and bottom up to the largest, and to a multiple of 32. They are
    tokens like others, so that a clip's result depends on its company: batch clips of equal size.
    """
    sizes = torch.tensor([clip.shape[-2:] for clip in clips], dtype=torch.float32, device=clips[0].device)
    high, wide = (
        -(-max(sides) // PADDING) * PADDING for sides in zip(*(c.shape[-2:] for c in clips), strict=True)
    )
    return torch.stack([F.pad(c, (0, wide - c.shape[-1], 0, high - c.shape[-2])) for c in clips]), sizes
