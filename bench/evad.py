"""EVAD beside its published computation, and what dropping tokens saves: a part of bench/models.py.

One clip of 3 x 16 x 288 x 512, ViT-base with random weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from published import PublishedAttention, best_of, scores_of
from torch import Tensor
from torchvision.ops import RoIAlign

from avmodels import zoo
from avmodels.evad.context import ContextBlock, ContextDecoder
from avmodels.evad.detections import proposals
from avmodels.evad.encoder import DroppingBlock, Positions, WeighingAttention
from avmodels.evad.model import Detector, Predictions, pad
from avmodels.evad.proposals import Stage
from avmodels.evad.pyramid import LEVELS, Pyramid, indexed
from avmodels.nn.attention import Attention
from avmodels.nn.positions import resize_space

HIGH, WIDE = 288, 512


class PublishedDropping(DroppingBlock):
    """Importance from the weights of all pairs; all tokens are projected, then some dropped."""

    def forward(self, x: Tensor, kept: Tensor, key_tokens: int) -> tuple[Tensor, Tensor]:
        weights, values = scores_of(self.attn, self.norm1(x))
        x = x + self.attn.proj((weights @ values).transpose(1, 2).flatten(2))
        weights[:, :, :key_tokens] *= self.key_weight
        chosen = self.dropout(weights.mean(2).mean(1)[:, key_tokens:], key_tokens)
        others = x[:, key_tokens:].gather(1, chosen[..., None].expand(-1, -1, x.shape[-1]))
        x = torch.cat([x[:, :key_tokens], others], dim=1)
        return x + self.mlp(self.norm2(x)), kept.gather(1, chosen)


class PublishedPyramid(Pyramid):
    """Maps are resized before they are projected, and the coarsest level, of no use, is made too."""

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        merged, out = None, []
        for level, x, scale in zip(reversed(LEVELS), reversed(maps), (0.5, 1.0, 2.0, 4.0), strict=True):
            x = self.lateral[str(level)](F.interpolate(x, scale_factor=scale, mode="nearest"))
            merged = x if merged is None else x + F.interpolate(merged, scale_factor=2.0, mode="nearest")
            out.insert(0, self.output[str(level)](merged))
        F.max_pool2d(out[-1], 1, stride=2)
        return out


class PublishedContext(ContextDecoder):
    """Slice by slice, every row of every block, and every block's heads."""

    def look(self, volume: Tensor, boxes: Tensor) -> Tensor:
        align = RoIAlign(self.size.cells, 1 / self.stride, self.size.samples, aligned=True)
        slices = [align(x.contiguous(), indexed(boxes)).flatten(2).amax(2) for x in volume.unbind(1)]
        return torch.stack(slices).mean(0).unflatten(0, boxes.shape[:2])

    def refine(self, x: Tensor, people: int) -> list[Tensor]:
        logits = []
        for block in cast(list[ContextBlock], list(self.blocks)):
            x = block(x)
            logits.append(block.judge(x[:, -people:]))
        return logits


class PublishedPositions(Positions):
    """Resized for every clip."""

    def forward(self, high: int, wide: int) -> Tensor:
        return resize_space(self.trained, self.grid, (high, wide))


PUBLISHED = {
    Attention: PublishedAttention,
    DroppingBlock: PublishedDropping,
    Pyramid: PublishedPyramid,
    ContextDecoder: PublishedContext,
    Positions: PublishedPositions,
}


def network(variant: str, published: bool = False) -> Detector:
    """A detector with the same random weights every time; its proposals begin apart from one another, and are
    corrected a little, as trained ones are: large random corrections would multiply the last bit's differences."""
    torch.manual_seed(0)
    model = zoo.create(f"evad/{variant}")
    torch.nn.init.uniform_(model.proposals.boxes.weight, 0.2, 0.6)
    for stage in cast(list[Stage], list(model.stages)):
        stage.bboxes_delta.weight.data *= 0.05
    if published:
        for module in model.modules():
            if type(module) in PUBLISHED and not isinstance(module, WeighingAttention):
                module.__class__ = PUBLISHED[type(module)]
    return model


@torch.inference_mode()
def detector(rounds: int) -> dict[str, Any]:
    """Clips a second of each way, their ratios, and how far boxes (pixels) and scores are apart."""
    video, sizes = pad([torch.randn(3, 16, HIGH, WIDE)])
    models = {
        "published": network("vit-b-ktp", published=True),
        "ours": network("vit-b-ktp"),
        "keep_all": network("vit-b"),
        "keep_60": network("vit-b-ktp-ew"),
    }

    def bf16() -> Predictions:
        with torch.autocast("cpu", torch.bfloat16):
            return models["ours"](video, sizes)

    ways: dict[str, Callable[[], object]] = {
        name: (lambda model=model: model(video, sizes)) for name, model in models.items()
    }
    seconds = best_of(ways | {"bf16": bf16}, rounds)
    theirs = results(models["published"](video, sizes), sizes)
    apart = {
        name: {part: (a - b).abs().max().item() for (part, a), b in zip(one.items(), theirs.values(), strict=True)}
        for name, one in (("fp32", results(models["ours"](video, sizes), sizes)), ("bf16", results(bf16(), sizes)))
    }  # fmt: skip
    return {
        **{f"seconds_{name}": value for name, value in seconds.items()},
        "speedup_fp32": seconds["published"] / seconds["ours"],
        "speedup_bf16": seconds["published"] / seconds["bf16"],
        "keep_70_over_all": seconds["keep_all"] / seconds["ours"],
        "keep_60_over_all": seconds["keep_all"] / seconds["keep_60"],
        **{f"apart_{name}_{part}": value for name, one in apart.items() for part, value in one.items()},
    }


def results(predictions: Predictions, sizes: Tensor) -> dict[str, Tensor]:
    """Boxes in pixels, and person and action scores."""
    boxes, people = proposals(predictions.located, sizes, sizes)
    return {"boxes": boxes, "people": people, "actions": predictions.actions[-1].float().sigmoid()}
