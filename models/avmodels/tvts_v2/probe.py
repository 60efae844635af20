"""The linear probe: what a frozen video encoder's vectors tell of actions.

The protocol is that of TVTS (arXiv 2209.15280), which is VideoMAE's with plain gradient descent; of TVTSv2's own
no code was released.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from avmodels.data import augment, sampling
from avmodels.data.clips import Video
from avmodels.data.lists import Clip
from avmodels.data.mixup import mix
from avmodels.data.samples import Sample
from avmodels.engine.descent import Descent
from avmodels.engine.judging import accuracy, judge
from avmodels.engine.schedule import Length, cosine
from avmodels.engine.train import Batch
from avmodels.metrics.views import crop_starts, square
from avmodels.tvts_v2.config import Descending, Probing
from avmodels.tvts_v2.model import SIZES, Size, VideoEncoder
from avmodels.tvts_v2.views import MEAN, STD


class Probe(nn.Module):
    """A frozen video encoder, and a linear classifier of its vectors as they are."""

    def __init__(self, size: Size, classes: int):
        super().__init__()
        self.video = VideoEncoder(size).requires_grad_(False)
        self.head = nn.Linear(size.text.embedding, classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, video: Tensor) -> Tensor:
        """video (B, T, 3, H, W), normalised -> logits (B, classes)."""
        with torch.no_grad():
            vectors = self.video(video)
        return self.head(vectors)


def training_reader(config: Probing) -> Callable[[Clip], list[Sample]]:
    """Reads a random frame of each part of a video, augmented: `video` (T, 3, H, W) and `label`."""
    how, side = config.data, SIZES[config.model.size].side
    policy = augment.rand_augment(how.policy) if how.policy else None

    def read(clip: Clip) -> list[Sample]:
        video = Video(clip.path)
        frames = video.frames(sampling.sparse(len(video), config.model.frames, random=True))
        if policy is not None:
            frames, _ = augment.rand_augment_clip(frames, policy)
        top, left, height, width = augment.random_resized_box(*frames.shape[1:3])
        cut = frames[:, top : top + height, left : left + width]
        pixels = augment.resize_clip(augment.normalise(cut, MEAN, STD), side)
        pixels = augment.random_flip(pixels) if how.flip else pixels
        pixels = augment.random_erase(pixels, how.erase) if how.erase else pixels
        return [{"video": pixels.transpose(0, 1), "label": clip.label}]

    return read


def test_reader(config: Probing) -> Callable[[Clip], list[Sample]]:
    """Reads a video as its views, segments by crops: `views` (views, T, 3, H, W), and `label`."""
    how, side = config.data, SIZES[config.model.size].side

    def read(clip: Clip) -> list[Sample]:
        video = Video(clip.path)
        numbers = sampling.sparse_views(len(video), config.model.frames, how.segments)
        frames = augment.resize_short(video.frames(numbers.ravel()), side)
        starts = crop_starts(abs(frames.shape[1] - frames.shape[2]), how.crops)
        views = [
            augment.normalise(square(part, start), MEAN, STD).transpose(0, 1)
            for part in np.split(frames, how.segments)
            for start in starts
        ]
        return [{"views": torch.stack(views), "label": clip.label}]

    return read


def loss(config: Probing) -> Callable[[nn.Module, Batch], Tensor]:
    """The cross-entropy of a batch, its clips mixed with one another where the configuration says so."""
    how, classes = config.data, config.model.classes

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        video, label = batch["video"], batch["label"]
        if how.mix:
            video, soft = mix(video, label, classes, smoothing=how.smoothing)
            return F.cross_entropy(model(video).float(), soft)
        return F.cross_entropy(model(video).float(), label, label_smoothing=how.smoothing)

    return objective


def descending(how: Descending) -> Descent:
    """SGD, its rate moving as the settings say."""

    def rate(step: int, length: Length) -> float:
        warmup = min(int(how.warmup_epochs * length.an_epoch), length.total)
        return cosine(step, length.total, warmup, how.lr, how.final_lr) * length.clips / 256

    return Descent(lambda groups: torch.optim.SGD(groups, lr=0.0, momentum=0.9), rate)


def test(model: nn.Module, clips: Sequence[Clip], config: Probing, here: Accelerator) -> dict[str, float]:
    """top1 and top5 in per cent over the readable videos, softmax averaged over each one's views."""

    def score(model: nn.Module, batch: Batch) -> dict[str, float]:
        views = batch["views"]
        scores = model(views.flatten(0, 1)).float().softmax(-1).unflatten(0, views.shape[:2])
        return accuracy(scores.mean(1), batch["label"])

    return judge(model, clips, test_reader(config), score, config.training, here)
