"""From image and video files to the tensors of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.transforms_factory import create_transform
from torch import Tensor

from avmodels.data import augment, sampling
from avmodels.data.clips import Video
from avmodels.data.images import Picture, read
from avmodels.data.lists import Clip
from avmodels.data.samples import Sample
from avmodels.metrics import views
from avmodels.sparseformer.config import PIXELS, AugmentedImages, BootstrapImages, Clips, Images

Reader = Callable[[Picture], list[Sample]]
Transform = Callable[[Image.Image], Tensor]


def training_reader(how: AugmentedImages, side: int) -> Reader:
    """Reads an image augmented, (3, side, side), with its label."""
    mean, std = PIXELS[how.pixels]
    vary: Any = create_transform(
        side,
        is_training=True,
        scale=how.area,
        auto_augment=how.policy or None,
        color_jitter=0.0,
        interpolation=how.interpolation,
        mean=mean,
        std=std,
        re_prob=how.erase,
        re_mode="pixel",
    )
    return lambda picture: [{"image": vary(read(picture)), "label": picture.label}]


def bootstrap_reader(how: BootstrapImages, side: int) -> Reader:
    """Reads an image mildly augmented, (3, side, side)."""
    mean, std = PIXELS[how.pixels]
    vary: Any = create_transform(
        side,
        is_training=True,
        scale=how.area,
        color_jitter=how.jitter,
        interpolation=how.interpolation,
        mean=mean,
        std=std,
    )
    return lambda picture: [{"image": vary(read(picture))}]


def middle(how: Images, side: int) -> Transform:
    """From an RGB image to its middle, (3, side, side), normalised."""
    mean, std = PIXELS[how.pixels]
    made: Any = create_transform(
        side, interpolation=how.interpolation, mean=mean, std=std, crop_pct=how.centre
    )
    return made


def test_reader(how: Images, side: int) -> Reader:
    """Reads the middle of an image, (3, side, side), with its label."""
    view = middle(how, side)
    return lambda picture: [{"image": view(read(picture)), "label": picture.label}]


def batches(pictures: list[Picture], read: Reader, size: int) -> Iterator[Tensor]:
    """All pictures in order, (B, 3, side, side). Raises UnreadableError for the first that cannot be read."""
    for first in range(0, len(pictures), size):
        yield torch.stack([read(picture)[0]["image"] for picture in pictures[first : first + size]])


def training_clips(how: Clips) -> Callable[[Clip], list[Sample]]:
    """Reads a video's stretch, drawn and cropped at random, (3, frames, side, side), with its label."""
    mean, std = PIXELS["imagenet"]

    def taken(clip: Clip) -> list[Sample]:
        video = Video(clip.path)
        frames = video.frames(sampling.dense(len(video), how.frames, how.stride, random=True))
        high, wide = frames.shape[1:3]
        top, left, height, width = augment.random_resized_box(high, wide, how.area)
        cut = frames[:, top : top + height, left : left + width]
        pixels = augment.resize_clip(augment.normalise(cut, mean, std), how.side)
        return [{"video": augment.random_flip(pixels) if how.flip else pixels, "label": clip.label}]

    return taken


def test_clips(how: Clips, segments: int, crops: int) -> Callable[[Clip], list[Sample]]:
    """Reads the views of a video, (segments x crops, 3, frames, side, side), with its label."""

    def taken(clip: Clip) -> list[Sample]:
        video = Video(clip.path)
        numbers = sampling.dense_views(len(video), how.frames, how.stride, segments)
        seen = [view for stretch in numbers for view in squares(video.frames(stretch), how.side, crops)]
        return [{"video": torch.stack(seen), "label": clip.label}]

    return taken


def squares(frames: np.ndarray, side: int, crops: int = 1) -> list[Tensor]:
    """frames (T, H, W, 3) uint8 -> `crops` squares spread along the longer side, (3, T, side, side) each."""
    frames = augment.resize_short(frames, side)
    starts = views.crop_starts(abs(frames.shape[1] - frames.shape[2]), crops)
    return [augment.normalise(views.square(frames, start), *PIXELS["imagenet"]) for start in starts]
