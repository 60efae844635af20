"""Judging networks: sight finds sound and sound finds sight, videos find their like, actions are named."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from torch.utils.data import DataLoader

from avmodels.data.samples import Sample, Samples, collate
from avmodels.engine.config import Training
from avmodels.engine.judging import limit
from avmodels.engine.processes import onto
from avmodels.metrics.accuracy import hits
from avmodels.metrics.retrieval import column_ranks, median_rank, recall_at
from avmodels.speed_coaug import data, retrieval
from avmodels.speed_coaug.config import Pretraining, Recognition
from avmodels.speed_coaug.model import Recogniser, SightAndSound
from avmodels.speed_coaug.sets import Clip
from avmodels.speed_coaug.spectrogram import log_mel, normalise


@torch.inference_mode()
def of_videos(
    clips: list[Clip],
    read: data.Reader,
    make: Callable[[Sample], Tensor],
    training: Training,
    here: Accelerator,
) -> tuple[list[Clip], np.ndarray]:
    """What `make` makes of every video that can be read, among all processes: the videos, and (videos, ...).

    `make` is given one video's test clips. Says on stderr what is passed over. Raises DataError where that is more
    than training.max_unreadable of the videos.
    """
    mine = range(here.process_index, len(clips), here.num_processes)
    loader = DataLoader(
        Samples(clips, read, tries=1),
        batch_sampler=[[(0, number)] for number in mine],
        collate_fn=collate,
        num_workers=training.workers,
    )
    made: list[tuple[int, np.ndarray]] = []
    for number, part in zip(mine, loader, strict=True):
        if part["tensors"] is None:
            print(f"skipped: {part['unreadable'][0]}", file=sys.stderr)
            continue
        sample = {name: value[0] for name, value in onto(part["tensors"], here.device).items()}
        with here.autocast():
            made.append((number, make(sample).float().cpu().numpy()))
    everyone = sorted(gather_object(made), key=lambda one: one[0])
    limit(len(clips) - len(everyone), len(clips), training.max_unreadable)
    return [clips[number] for number, _ in everyone], np.stack([value for _, value in everyone])


def in_parts(network: Callable[[Tensor], Tensor], clips: Tensor, batch: int) -> Tensor:
    """The network over clips (n, ...), at most `batch` of them at a time."""
    return torch.cat([network(part) for part in clips.split(batch)])


def cross_modal(
    model: SightAndSound, clips: list[Clip], config: Pretraining, here: Accelerator
) -> dict[str, float]:
    """How well sights find their own sounds among all (`v2a`) and sounds their sights (`a2v`).

    R@k in per cent and the median rank from 1, over the videos' vectors, each the mean over test clips at speed 1;
    `R@1` is the mean of both ways. Where the clips have labels, `class` recalls count any sound or sight of the
    same class.
    """

    def make(sample: Sample) -> Tensor:
        mel = normalise(log_mel(sample["wave"], config.sound))
        seen, heard = model(sample["video"], mel)
        return torch.stack([seen.vector.mean(0), heard.vector.mean(0)])

    found, vectors = of_videos(clips, data.pair_reader(config), make, config.training, here)
    sight, sound = retrieval.unit(vectors[:, 0]), retrieval.unit(vectors[:, 1])
    labels = np.array([clip.label for clip in found])
    told: dict[str, float] = {"videos": len(found), "unreadable": len(clips) - len(found)}
    for way, query, gallery in (("v2a", sight, sound), ("a2v", sound, sight)):
        ranks = column_ranks(query @ gallery.T)
        told |= {f"{way}_R@{k}": recall_at(ranks, k) for k in (1, 5, 10)}
        told[f"{way}_MdR"] = median_rank(ranks)
        if all(labels):
            ranks = retrieval.class_ranks(retrieval.neighbours(query, gallery), labels, labels)
            told |= {f"{way}_class_R@{k}": recall_at(ranks, k) for k in (1, 5, 10)}
    return {"R@1": (told["v2a_R@1"] + told["a2v_R@1"]) / 2, **told}


def video_retrieval(
    model: SightAndSound, train: list[Clip], test: list[Clip], config: Pretraining, here: Accelerator
) -> dict[str, float]:
    """R@k in per cent: test videos that have one of their class among their k nearest training videos.

    A video is the mean feature over its test clips.
    """

    def make(sample: Sample) -> Tensor:
        return in_parts(
            lambda part: model.see(part).feature.float(), sample["video"], config.training.batch
        ).mean(0)

    read = data.silent_reader(config.data)
    gallery, query = (of_videos(clips, read, make, config.training, here) for clips in (train, test))
    order = retrieval.neighbours(retrieval.unit(query[1]), retrieval.unit(gallery[1]))
    labels, gallery_labels = (np.array([clip.label for clip in side[0]]) for side in (query, gallery))
    ranks = retrieval.class_ranks(order, labels, gallery_labels)
    return {
        **{f"R@{k}": recall_at(ranks, k) for k in retrieval.RECALLS},
        "videos": len(labels),
        "unreadable": len(train) + len(test) - len(labels) - len(gallery_labels),
    }


def recognition(
    model: Recogniser, clips: list[Clip], classes: list[str], config: Recognition, here: Accelerator
) -> dict[str, float]:
    """top1 and top5 in per cent, a video's probabilities being the mean over its test clips."""

    def make(sample: Sample) -> Tensor:
        return in_parts(
            lambda part: model(part).float().softmax(1), sample["video"], config.training.batch
        ).mean(0)

    found, scores = of_videos(clips, data.silent_reader(config.data), make, config.training, here)
    labels = np.array([classes.index(clip.label) for clip in found])
    told = {f"top{k}": 100 * float(hits(scores, labels, k).mean()) for k in (1, 5)}
    return {**told, "videos": len(found), "unreadable": len(clips) - len(found)}
