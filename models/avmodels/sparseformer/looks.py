"""A page that shows where the tokens look: their regions and the points they sample, stage by stage."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from avmodels.sparseformer.model import Layer, SparseFormer, State

PAGE, INK, FAINT = "#fcfcfb", "#1c1c1a", "#77756f"
CELL, EDGE, GAP, TEXT = 336, 32, 20, 44
COLUMNS = 3
# How bright the picture stays where nobody looks.
DIM = 0.3


class Stage(NamedTuple):
    """One look of all tokens: their regions (N, 4) and points (N, P, 2) in the picture, x and y in [0, 1]."""

    unit: int
    number: int
    passes: int
    regions: Tensor
    points: Tensor


@torch.inference_mode()
def stages(model: SparseFormer, image: Tensor) -> Iterator[Stage]:
    """Every look a network takes at an image (3, H, W), normalised, in order."""
    features, state, unit = model.feat_extractor(image[None]), model.begin(image[None]), 0
    for layer in model.layers:
        if not isinstance(layer, Layer):
            state = State(layer(state.tokens), state.regions)
            continue
        if unit == model.design.class_token_before:  # from here on nobody looks
            return
        for number in range(layer.unit.passes):
            state = layer.begin(state, number)
            for op in layer.unit.ops:
                if op == "SAMPLING_M":
                    yield Stage(unit, number, layer.unit.passes, state.regions[0], layer.points(state)[0])
                state = layer.step(op, state, features, number, None)
        unit += 1


def page(
    model: SparseFormer, seen: Tensor, mean: tuple[float, ...], deviation: tuple[float, ...]
) -> Image.Image:
    """What the network sees, an image (3, H, W) normalised so, and then each of its looks: a box for every token, a
    dot for every point, and the picture bright where points are many."""
    colours = seen * torch.tensor(deviation)[:, None, None] + torch.tensor(mean)[:, None, None]
    plain = view(colours)
    panels = [(plain, "what the network sees", f"{model.design.tokens} tokens")]
    for count, stage in enumerate(stages(model, seen), 1):
        inside = ((stage.points >= 0) & (stage.points <= 1)).all(-1).float().mean()
        which = f"pass {stage.number + 1} of {stage.passes}" if stage.passes > 1 else "one pass"
        panels.append(
            (
                panel(plain, stage),
                f"look {count}: unit {stage.unit}, {which}",
                f"{inside:.0%} of the points inside",
            )
        )
    rows = -(-len(panels) // COLUMNS)
    size = 2 * EDGE + COLUMNS * CELL + (COLUMNS - 1) * GAP, 2 * EDGE + rows * (CELL + TEXT) + (rows - 1) * GAP
    made = Image.new("RGB", size, PAGE)
    pen, font = ImageDraw.Draw(made), ImageFont.load_default(15)
    for number, (image, title, more) in enumerate(panels):
        left = EDGE + number % COLUMNS * (CELL + GAP)
        top = EDGE + number // COLUMNS * (CELL + TEXT + GAP)
        made.paste(image, (left, top))
        pen.text((left, top + CELL + 6), title, INK, font)
        pen.text((left, top + CELL + 24), more, FAINT, font)
    return made


def view(image: Tensor) -> Image.Image:
    """An image (3, H, W) of values in [0, 1] as a picture of CELL pixels a side."""
    array = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(array).resize((CELL, CELL), Image.Resampling.BICUBIC)


def panel(image: Image.Image, stage: Stage) -> Image.Image:
    """The picture lit by the points of a look, with the boxes of its regions."""
    points = stage.points.flatten(0, 1)
    counts, _, _ = np.histogram2d(*points.numpy().T[::-1], bins=28, range=[[0, 1], [0, 1]])
    light = F.interpolate(torch.from_numpy(counts)[None, None], (CELL, CELL), mode="bicubic")[0, 0].clamp(
        min=0
    )
    light = DIM + (1 - DIM) * (light / light.max().clamp(min=1e-6)).sqrt()
    made = Image.fromarray((np.asarray(image) * light.numpy()[..., None]).astype(np.uint8)).convert("RGBA")
    lines = Image.new("RGBA", made.size)
    pen = ImageDraw.Draw(lines)
    for number, (box, dots) in enumerate(zip(stage.regions.tolist(), stage.points.tolist(), strict=True)):
        red, green, blue = (
            round(255 * part) for part in colorsys.hsv_to_rgb(number / len(stage.regions), 0.7, 1)
        )
        left, right = sorted((box[0] * CELL, box[2] * CELL))
        top, bottom = sorted((box[1] * CELL, box[3] * CELL))
        pen.rectangle((left, top, right, bottom), outline=(red, green, blue, 150))
        for x, y in dots:
            pen.point((x * CELL, y * CELL), (red, green, blue, 255))
    return Image.alpha_composite(made, lines).convert("RGB")
