"""How fast EVAD is beside its published computation, and what dropping tokens saves:
`python bench/detect.py [--json FILE]`.

One clip of 3 x 16 x 288 x 512, ViT-base with random weights, one thread: the least processor seconds of some rounds
of each way in turn.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import RoIAlign

from avmodels import zoo
from avmodels.evad.context import ContextBlock, ContextDecoder
from avmodels.evad.detections import proposals
from avmodels.evad.encoder import DroppingBlock, Positions, WeighingAttention
from avmodels.evad.model import Detector, Predictions, pad
from avmodels.evad.pyramid import LEVELS, Pyramid, indexed
from avmodels.nn.attention import Attention
from avmodels.nn.positions import resize_space

ROUNDS = 3
HIGH, WIDE = 288, 512


def scores_of(attention: Attention, x: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of all pairs, and the values."""
    queries, keys, values = attention._project(x, 0)
    return (queries * queries.shape[-1] ** -0.5 @ keys.transpose(-2, -1)).softmax(-1), values


class PublishedAttention(Attention):
    """As the authors wrote it: the weights of all pairs are made in full."""

    def forward(self, x: Tensor, last: int = 0) -> Tensor:
        weights, values = scores_of(self, x)
        return self.proj((weights @ values).transpose(1, 2).flatten(2))[:, -last:]


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
    """A detector with the same random weights every time; its proposals begin apart from one another."""
    torch.manual_seed(0)
    model = zoo.create(f"evad/{variant}")
    torch.nn.init.uniform_(model.proposals.boxes.weight, 0.2, 0.6)
    if published:
        for module in model.modules():
            if type(module) in PUBLISHED and not isinstance(module, WeighingAttention):
                module.__class__ = PUBLISHED[type(module)]
    return model


def best_of(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The least processor seconds of each way, taken in turn so that a busy machine bothers all alike."""
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.process_time()
            way()
            seconds[name] = min(seconds[name], time.process_time() - began)
    return seconds


@torch.inference_mode()
def speed() -> dict[str, Any]:
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
    seconds = best_of(ways | {"bf16": bf16})
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    numbers = speed()
    for name, number in numbers.items():
        print(f"{name:32} {number:.4g}")
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
