"""From a line of a list to the tensors of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from avmodels.data import augment, sampling
from avmodels.data.clips import Pictures, Video
from avmodels.data.lists import Clip
from avmodels.data.samples import Sample
from avmodels.metrics import views
from avmodels.videomae_v2 import masks
from avmodels.videomae_v2.config import Clips, FineTuning, LabelledClips, Pretraining
from avmodels.videomae_v2.loss import MEAN, STD

Reader = Callable[[Clip], list[Sample]]


class Frames(Protocol):
    """Whatever gives frames by number, (n, H, W, 3) uint8."""

    def __len__(self) -> int: ...

    def frames(self, numbers: np.ndarray) -> np.ndarray: ...


def open_clip(clip: Clip, how: Clips) -> Frames:
    """The frames of a line, be it a file or a folder of pictures. Raises UnreadableError."""
    if clip.frames == 0 and how.reader == "video":
        return Video(clip.path)
    return Pictures(clip.path, clip.frames, how.pattern, clip.first or how.first)


def normalised(frames: np.ndarray) -> Tensor:
    """frames (T, H, W, 3) uint8 -> (3, T, H, W) with ImageNet's mean and deviation."""
    return augment.normalise(frames, MEAN, STD)


def crop_clip(frames: np.ndarray, box: augment.Box, size: int) -> Tensor:
    """The crop of frames (T, H, W, 3), normalised and resized: (3, T, size, size)."""
    top, left, height, width = box
    return augment.resize_clip(normalised(frames[:, top : top + height, left : left + width]), size)


def centre_view(frames: np.ndarray, side: int) -> Tensor:
    """frames (T, H, W, 3) -> their middle square, (3, T, side, side)."""
    frames = augment.resize_short(frames, side)
    room = abs(frames.shape[1] - frames.shape[2])
    return normalised(views.square(frames, views.crop_starts(room, crops=1)[0]))


def window_pixels(frames: np.ndarray, side: int, normalise: bool) -> Tensor:
    """frames (T, H, W, 3) squeezed to squares, (3, T, side, side), as the published feature extractor does."""
    mean, std = (MEAN, STD) if normalise else ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return augment.resize_clip(augment.normalise(frames, mean, std), side)


def pretraining_reader(config: Pretraining) -> Reader:
    """Reads a clip as differently cropped videos, (3, T, H, W), each with the masks of encoder and decoder,
    (tokens,), True = hidden or dropped."""
    model, how = config.model, config.data

    def read(clip: Clip) -> list[Sample]:
        video = open_clip(clip, how)
        frames = video.frames(sampling.pretraining(len(video), model.frames, how.stride))
        return [crop(frames) for _ in range(how.repeats)]

    def crop(frames: np.ndarray) -> Sample:
        height, width = frames.shape[1:3]
        box = augment.fixed_box(height, width, model.side)
        pixels = normalised(augment.resize_crop(frames, box, model.side))
        hidden, dropped = masks.draw(model.grid, how.encoder_mask, how.decoder_mask)
        return {"video": pixels, "hidden": torch.from_numpy(hidden), "dropped": torch.from_numpy(dropped)}

    return read


def training_reader(config: FineTuning) -> Reader:
    """Reads a clip as differently augmented videos, (3, T, H, W), each with its label."""
    model, how = config.model, config.data
    policy = augment.rand_augment(how.policy) if how.policy else None

    def read(clip: Clip) -> list[Sample]:
        video = open_clip(clip, how)
        frames = video.frames(clip_frames(len(video), model.frames, how, random=True))
        return [{"video": vary(frames), "label": clip.label} for _ in range(how.repeats)]

    def vary(frames: np.ndarray) -> Tensor:
        if policy is not None:
            frames, _ = augment.rand_augment_clip(frames, policy)
        height, width = frames.shape[1:3]
        pixels = crop_clip(frames, augment.random_resized_box(height, width, how.area), model.side)
        if how.flip:
            pixels = augment.random_flip(pixels)
        return augment.random_erase(pixels, how.erase) if how.erase else pixels

    return read


def validation_reader(config: FineTuning) -> Reader:
    """Reads a clip as one video, the middle of it in time and space, (3, T, H, W), with its label."""
    model, how = config.model, config.data

    def read(clip: Clip) -> list[Sample]:
        video = open_clip(clip, how)
        frames = video.frames(clip_frames(len(video), model.frames, how, random=False))
        return [{"video": centre_view(frames, model.side), "label": clip.label}]

    return read


def clip_frames(length: int, frames: int, how: LabelledClips, random: bool) -> np.ndarray:
    """The frames of one clip of a labelled video, drawn or from its middle."""
    if how.sampling == "sparse":
        return sampling.sparse(length, frames, random)
    return sampling.dense(length, frames, how.stride, random)


def test_frames(length: int, config: FineTuning) -> np.ndarray:
    """The frames of every test clip of a video, (segments, n)."""
    how, n = config.data, config.model.frames
    if how.sampling == "sparse":
        return sampling.sparse_views(length, n, how.segments)
    return sampling.dense_views(length, n, how.stride, how.segments)


def test_views(
    video: Frames, numbers: np.ndarray, side: int, crops: int
) -> Iterator[tuple[Tensor, list[tuple[int, int]]]]:
    """The distinct views of a video from one decoding, each with the (segment, crop) pairs it serves.

    numbers (segments, n) are the clips' frames. Clips of a short video and crops of a square one repeat each
    other: such a view comes once, (3, n, side, side).
    """
    wanted, at = np.unique(numbers, return_inverse=True)
    frames = augment.resize_short(video.frames(wanted), side)
    height, width = frames.shape[1:3]
    starts = views.crop_starts(abs(height - width), crops)
    served: dict[tuple[bytes, int], list[tuple[int, int]]] = {}
    clips = at.reshape(numbers.shape)
    for segment, clip in enumerate(clips):
        for crop, start in enumerate(starts):
            served.setdefault((clip.tobytes(), start), []).append((segment, crop))
    for (_, start), places in served.items():
        yield normalised(views.square(frames[clips[places[0][0]]], start)), places
