"""Judging networks on what was held out, over all processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

from avmodels.data.samples import Sample, Samples, collate
from avmodels.engine.config import Training
from avmodels.engine.processes import onto
from avmodels.engine.train import Batch
from avmodels.errors import DataError
from avmodels.metrics.accuracy import hits

# The sum of each metric over the samples of a batch.
Score = Callable[[nn.Module, Batch], dict[str, float]]


@torch.inference_mode()
def judge(
    model: nn.Module,
    items: Sequence[Any],
    read: Callable[[Any], list[Sample]],
    score: Score,
    training: Training,
    here: Accelerator,
    stack: Callable[[list[Sample]], Sample] = default_collate,
) -> dict[str, float]:
    """The mean of each metric over the readable items, one sample each, and how many there were and could not be
    read.

    Raises DataError where more than training.max_unreadable of them cannot be read.
    """
    mine = items[here.process_index :: here.num_processes]
    places = [(0, number) for number in range(len(mine))]
    order = [places[first : first + training.batch] for first in range(0, len(mine), training.batch)]
    samples = Samples(mine, read, tries=1)
    loader = DataLoader(
        samples, batch_sampler=order, collate_fn=partial(collate, stack=stack), num_workers=training.workers
    )
    totals: dict[str, float] = {}
    seen, unreadable = 0, 0
    for part in loader:
        unreadable += len(part["unreadable"])
        if part["tensors"] is None:
            continue
        seen += len(part["clips"])
        with here.autocast():
            scores = score(model, onto(part["tensors"], here.device))
        totals = {name: totals.get(name, 0.0) + value for name, value in scores.items()}
    seen, unreadable, *sums = total([seen, unreadable, *totals.values()], here)
    limit(unreadable, len(items), training.max_unreadable)
    means = {name: value / seen for name, value in zip(totals, sums, strict=True)}
    return means | {"held_out": seen, "held_out_unreadable": unreadable}


def timed(judged: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What a judgement comes to, and how many items a second it took, reading and all."""
    began = time.perf_counter()
    told = judged()
    return told | {"items_per_second": told["held_out"] / (time.perf_counter() - began)}


def accuracy(scores: Tensor, labels: Tensor) -> dict[str, float]:
    """top1 and top5 of scores (n, classes) and labels (n,), in percent, summed over the n."""
    ours, truth = scores.detach().float().cpu().numpy(), labels.cpu().numpy()
    return {f"top{k}": 100.0 * float(hits(ours, truth, k).sum()) for k in (1, 5)}


def total(counts: Sequence[float], here: Accelerator) -> list[float]:
    """The sums of some counts over all processes."""
    summed = here.reduce(torch.tensor(counts, dtype=torch.float64, device=here.device))
    assert isinstance(summed, Tensor)
    return summed.tolist()


def limit(unreadable: float, items: int, share: float) -> None:
    """Raises DataError where all, or more than a share, of the held-out items could not be read."""
    if unreadable > share * items or unreadable == items:
        raise DataError(
            f"{unreadable:g} of {items} held-out items cannot be read, more than training.max_unreadable = "
            f"{share:g} allows"
        )
