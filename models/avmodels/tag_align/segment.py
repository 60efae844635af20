"""Where in a picture each word is: the published dense inference, by windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from avmodels.tag_align.loss import normalise
from avmodels.tag_align.model import TagAlign
from avmodels.tag_align.refine import refine

# Windows of one picture that pass the network together.
TOGETHER = 8


@dataclass(frozen=True)
class Protocol:
    """How cosines become scores, and pictures windows.

    A score is the sigmoid of scale * cosine + bias, or the softmax of scale * cosine over the words. The share
    `clip` of it comes from CLIP's own projection. `background` is the score of places where no word is. With
    `refine` the scores of a window are drawn towards the edges in its pixels.
    """

    form: Literal["sigmoid", "softmax"] = "sigmoid"
    scale: float = 10.0
    bias: float = -2.5
    clip: float = 0.3
    background: float = 0.4
    crop: tuple[int, int] = (448, 448)
    stride: tuple[int, int] = (224, 224)
    bounds: tuple[int, int] = (2048, 448)
    refine: bool = False


# The first protocol (December 2023), and the later one, whose background differs from data set to data set.
PUBLISHED = {
    "v1": Protocol(),
    "v3": Protocol("softmax", 30.0, 0.0, clip=0.5, background=0.45, stride=(56, 56)),
}


class Window(NamedTuple):
    """A part of a picture in pixels; bottom and right are the first outside."""

    top: int
    left: int
    bottom: int
    right: int


def windows(height: int, width: int, crop: tuple[int, int], stride: tuple[int, int]) -> list[Window]:
    """The windows of a picture row by row; the last of a row or column is moved back inside the picture."""
    rows, columns = starts(height, crop[0], stride[0]), starts(width, crop[1], stride[1])
    return [
        Window(top, left, min(top + crop[0], height), min(left + crop[1], width))
        for top in rows
        for left in columns
    ]


def starts(length: int, crop: int, stride: int) -> list[int]:
    """Where windows of `crop` pixels begin along a side of `length`."""
    count = max(length - crop + stride - 1, 0) // stride + 1
    return [max(min(number * stride, length - crop), 0) for number in range(count)]


def cosines(patches: Tensor, words: Tensor) -> Tensor:
    """patches (B, h, w, E), words (K, E), of any length -> their cosines (B, K, h, w), those of a place side by side
    in memory: many words are resized and compared in half the time so."""
    return (normalise(patches) @ normalise(words).T).float().permute(0, 3, 1, 2)


def scores(cosine: Tensor, protocol: Protocol) -> Tensor:
    """Cosines (B, K, h, w) -> scores of the same shape."""
    if protocol.form == "sigmoid":
        return (protocol.scale * cosine + protocol.bias).sigmoid()
    return (protocol.scale * cosine).softmax(1)


def word_maps(model: TagAlign, image: Tensor, words: Tensor, protocol: Protocol) -> Tensor:
    """image (B, 3, H, W), normalised, and words (K, E) -> scores on the grid of patches, (B, K, h, w)."""
    patches = model.clip_image_encoder(image)
    maps = scores(cosines(model.projector(patches), words), protocol)
    if not protocol.clip:
        return maps
    of_clip = scores(cosines(model.clip_image_encoder.clip_proj(patches), words), protocol)
    return (1 - protocol.clip) * maps + protocol.clip * of_clip


def masks(model: TagAlign, image: Tensor, words: Tensor, protocol: Protocol) -> Tensor:
    """The scores at the resolution of the image, (B, K, H, W)."""
    return in_pixels(image, word_maps(model, image, words, protocol), protocol)


def in_pixels(image: Tensor, maps: Tensor, protocol: Protocol) -> Tensor:
    """Scores on the grid of patches of image (B, 3, H, W) -> (B, K, H, W)."""
    return refine(image, maps) if protocol.refine else resize(maps, image.shape[2], image.shape[3])


def resize(maps: Tensor, height: int, width: int) -> Tensor:
    """maps (B, K, h, w) -> (B, K, height, width), bilinear."""
    return F.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)


@torch.inference_mode()
def picture_scores(model: TagAlign, image: Tensor, words: Tensor, protocol: Protocol) -> Tensor:
    """image (3, H, W) of any size, normalised -> the mean over its windows of each word's scores, (K, H, W)."""
    height, width = image.shape[1:]
    places = windows(height, width, protocol.crop, protocol.stride)
    total = image.new_zeros(height, width, len(words)).permute(2, 0, 1)
    cover = image.new_zeros(height, width)
    for first in range(0, len(places), TOGETHER):
        some = places[first : first + TOGETHER]
        cut = torch.stack([image[:, top:bottom, left:right] for top, left, bottom, right in some])
        maps = word_maps(model, cut, words, protocol)
        # One by one: a window's scores in pixels are by far the largest thing held.
        for number, (top, left, bottom, right) in enumerate(some):
            one = slice(number, number + 1)
            total[:, top:bottom, left:right] += in_pixels(cut[one], maps[one], protocol)[0]
            cover[top:bottom, left:right] += 1
    return total.div_(cover)


def with_background(maps: Tensor, protocol: Protocol) -> Tensor:
    """Scores (K, H, W) with a constant class put first, (K + 1, H, W)."""
    return torch.cat([torch.full_like(maps[:1], protocol.background), maps])


@torch.inference_mode()
def segment(
    model: TagAlign, image: Tensor, words: Tensor, protocol: Protocol, size: tuple[int, int], background: bool
) -> Tensor:
    """The best word of every pixel of a picture, (height, width) int64 of the original `size`.

    image (3, H, W), normalised. With `background` class 0 is where no word reaches protocol.background, and the
    words are the classes from 1.
    """
    maps = resize(picture_scores(model, image, words, protocol)[None], *size)[0]
    return (with_background(maps, protocol) if background else maps).argmax(0)
