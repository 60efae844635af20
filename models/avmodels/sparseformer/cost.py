"""Multiply-accumulates of the network, from its sizes."""

from __future__ import annotations

from typing import Any

from timm.models.vision_transformer import VisionTransformer

from avmodels.sparseformer.model import Design, Unit

# The stem's kernel and its stride.
KERNEL, STRIDE = 7, 2


def network(design: Design, outputs: int, side: int, frames: int = 1, replicates: int | None = None) -> int:
    """Those of one image of `side` x `side` pixels, or of one video of `frames` such if there are replicates.

    Convolution, linear maps, attention's two products and the generated mixings count; normalisations,
    activations and interpolation do not.
    """
    axes, tokens = (2, design.tokens) if replicates is None else (3, design.tokens * replicates)
    total = 3 * KERNEL**2 * design.channels * frames * (-(-side // STRIDE)) ** 2
    width = design.units[0].width
    for number, unit in enumerate(design.units):
        if unit.width != width:
            total += tokens * width * unit.width
            width = unit.width
        tokens += number == design.class_token_before
        total += unit.passes * one_pass(design, unit, tokens, axes)
    return total + width * outputs


def one_pass(design: Design, unit: Unit, tokens: int, axes: int) -> int:
    """Those of one pass of a unit."""
    width, points, channels, mixed = unit.width, design.points, design.channels, design.out_points
    inner = design.generator_width(width)
    generated = channels**2 + mixed * points
    of_one_token = {
        "ATTN": 4 * width**2 + 2 * tokens * width,
        "MLP": 8 * width**2,
        "ROI_ADJ": 2 * axes * width + (width**2 if design.adjustment == "mlp" else 0),
        "PE_INJECT": width**2,
        "SAMPLING_M": axes * points * width
        + width * inner
        + inner * generated
        + channels * (points * channels + mixed * points)
        + channels * mixed * width,
    }
    return tokens * sum(of_one_token[op] for op in unit.ops)


def vit(model: VisionTransformer, side: int) -> int:
    """Those of a ViT for one image."""
    patch, width = model.patch_embed.patch_size[0], model.embed_dim
    patches = (side // patch) ** 2
    blocks: Any = model.blocks
    tokens = patches + model.num_prefix_tokens
    block = tokens * (4 * width**2 + 2 * width * blocks[0].mlp.fc1.out_features + 2 * tokens * width)
    return patches * 3 * patch**2 * width + len(blocks) * block + width * model.num_classes
