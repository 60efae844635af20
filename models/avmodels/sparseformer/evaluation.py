"""Judging networks on held-out images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from avmodels.data.samples import Samples, collate
from avmodels.engine.config import Training
from avmodels.engine.train import Batch
from avmodels.errors import DataError
from avmodels.metrics.accuracy import hits
from avmodels.sparseformer.data import Picture, Reader

# The sum of each metric over a batch.
Score = Callable[[nn.Module, Batch], dict[str, float]]


@torch.inference_mode()
def judge(
    model: nn.Module,
    pictures: list[Picture],
    reader: Reader,
    score: Score,
    training: Training,
    here: Accelerator,
) -> dict[str, float]:
    """The mean of each metric over the readable pictures of all processes, and how many could not be read.

    Raises DataError where more than training.max_unreadable of them cannot be read.
    """
    mine = pictures[here.process_index :: here.num_processes]
    places = [(0, number) for number in range(len(mine))]
    order = [places[first : first + training.batch] for first in range(0, len(mine), training.batch)]
    samples = Samples(mine, reader, tries=1)
    loader = DataLoader(samples, batch_sampler=order, collate_fn=collate, num_workers=training.workers)
    totals: dict[str, float] = {}
    read, unreadable = 0, 0
    for part in loader:
        unreadable += len(part["unreadable"])
        if part["tensors"] is None:
            continue
        read += len(part["clips"])
        with here.autocast():
            scores = score(model, {name: value.to(here.device) for name, value in part["tensors"].items()})
        totals = {name: totals.get(name, 0.0) + value for name, value in scores.items()}
    counts = torch.tensor([read, unreadable, *totals.values()], dtype=torch.float64, device=here.device)
    summed = here.reduce(counts)
    assert isinstance(summed, Tensor)
    read, unreadable, *sums = summed.tolist()
    if not read or unreadable > training.max_unreadable * len(pictures):
        raise DataError(
            f"{unreadable:g} of {len(pictures)} held-out images cannot be read, more than training.max_unreadable "
            f"= {training.max_unreadable:g} allows"
        )
    means = {name: total / read for name, total in zip(totals, sums, strict=True)}
    return means | {"images": read, "unreadable": unreadable}


def accuracy(model: nn.Module, batch: Batch) -> dict[str, float]:
    """top1 and top5, in percent, of a batch of images with labels."""
    scores, labels = model(batch["image"]).float().cpu().numpy(), batch["label"].cpu().numpy()
    return {f"top{k}": 100.0 * float(hits(scores, labels, k).sum()) for k in (1, 5)}
