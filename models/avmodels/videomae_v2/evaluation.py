"""Judging networks: while they train, by the published test, and by what they reconstruct."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from avmodels.data.clips import UnreadableError
from avmodels.data.lists import Clip
from avmodels.data.samples import Samples, collate
from avmodels.engine.judging import accuracy, judge, limit, total
from avmodels.engine.processes import onto
from avmodels.engine.train import Batch
from avmodels.metrics import views
from avmodels.videomae_v2 import data
from avmodels.videomae_v2.config import FineTuning, Pretraining


def validate(model: nn.Module, clips: list[Clip], config: FineTuning, here: Accelerator) -> dict[str, float]:
    """top1 and top5 in percent over the middle view of every readable clip, and how many could not be read."""

    def score(model: nn.Module, batch: Batch) -> dict[str, float]:
        return accuracy(model(batch["video"]), batch["label"])

    return judge(model, clips, data.validation_reader(config), score, config.training, here)


class TestVideos(Dataset[dict[str, Any]]):
    """The distinct views of every test video, (views, 3, T, H, W), and the places each serves; for a video
    that cannot be read, the reason under `unreadable`."""

    def __init__(self, clips: list[Clip], config: FineTuning):
        self.clips = clips
        self._config = config

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> dict[str, Any]:
        model, how = self._config.model, self._config.data
        try:
            video = data.open_clip(self.clips[number], how)
            numbers = data.test_frames(len(video), self._config)
            pairs = list(data.test_views(video, numbers, model.side, how.crops))
        except UnreadableError as error:
            return {"unreadable": str(error)}
        return {"views": torch.stack([view for view, _ in pairs]), "places": [places for _, places in pairs]}


@torch.inference_mode()
def test(
    model: nn.Module, clips: list[Clip], results: Path, config: FineTuning, here: Accelerator
) -> dict[str, float]:
    """top1 and top5 in percent over every readable video, softmax averaged over its views.

    Each process writes its views to `results`/<rank>.txt in the published form, videos named by their
    path; the merge of those files gives the numbers.
    """
    mine = clips[here.process_index :: here.num_processes]
    videos = DataLoader(TestVideos(mine, config), batch_size=None, num_workers=config.training.workers)
    results.mkdir(parents=True, exist_ok=True)
    unreadable = 0
    with (results / f"{here.process_index}.txt").open("w", encoding="utf-8") as file:
        file.write("id [logits] label segment crop\n")
        for clip, video in zip(mine, videos, strict=True):
            if "unreadable" in video:
                unreadable += 1
                print(f"skipped: {video['unreadable']}", file=sys.stderr)
                continue
            scores = view_scores(model, video["views"], config.training.batch, here)
            for row, places in zip(scores, video["places"], strict=True):
                file.writelines(views.line(str(clip.path), row, clip.label, *place) for place in places)
    (missed,) = total([unreadable], here)
    limit(missed, len(clips), config.training.max_unreadable)
    texts = [(results / f"{rank}.txt").read_text().splitlines() for rank in range(here.num_processes)]
    return {**views.merge(texts).accuracy(), "unreadable": missed}


def view_scores(model: nn.Module, clips: Tensor, batch: int, here: Accelerator) -> np.ndarray:
    """The logits (views, classes) of views (views, 3, T, H, W), `batch` of them at a time."""
    with here.autocast():
        parts = [model(part.to(here.device)).float().cpu() for part in clips.split(batch)]
    return torch.cat(parts).numpy()


@torch.inference_mode()
def reconstruction(
    model: nn.Module,
    loss: Callable[[nn.Module, Batch], Tensor],
    clips: list[Clip],
    config: Pretraining,
    here: Accelerator,
) -> dict[str, float]:
    """The mean loss over the readable videos, with crops and masks drawn from the seed."""
    samples = Samples(clips, data.pretraining_reader(config), config.training.seed, tries=1)
    lost, read, unreadable = 0.0, 0.0, 0.0
    for number in range(here.process_index, len(clips), here.num_processes):
        part = collate([samples[0, number]])
        unreadable += len(part["unreadable"])
        if part["tensors"] is not None:
            with here.autocast():
                lost += loss(model, onto(part["tensors"], here.device)).item()
            read += 1
    lost, read, unreadable = total([lost, read, unreadable], here)
    limit(unreadable, len(clips), config.training.max_unreadable)
    return {"loss": lost / read, "videos": read, "unreadable": unreadable}
