"""How good the representations are: nearest neighbours, and the linear probe."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.utils.data import DataLoader

from avmodels.data import imagenet, images
from avmodels.data.images import Picture
from avmodels.data.samples import Samples, collate
from avmodels.engine.judging import accuracy, judge, limit
from avmodels.engine.train import Batch
from avmodels.metrics import knn
from avmodels.snclr import data
from avmodels.snclr.config import HeldOut, Probing

# The numbers of neighbours that are reported.
COUNTS = (10, 20, 100, 200)


def nearest(network: nn.Module, folder: Path, side: int, how: HeldOut, here: Accelerator) -> dict[str, float]:
    """The percentage of the images of `folder`/val whose class their neighbours in `folder`/train vote for.

    `network` is an encoder, or one with all it takes to train it. The protocol (weights, temperature, numbers of
    neighbours) is that of most papers; SNCLR published none. Raises DataError where too many images cannot be read.
    """
    references, queries = (
        represent(network, images.labelled(folder / part), side, how, here) for part in ("train", "val")
    )
    return knn.accuracy(*references, *queries, COUNTS)


@torch.inference_mode()
def represent(
    network: nn.Module, pictures: list[Picture], side: int, how: HeldOut, here: Accelerator
) -> tuple[Tensor, Tensor]:
    """The representations (N, width) and labels (N,) of the readable pictures, on the CPU of every process."""
    mine = pictures[here.process_index :: here.num_processes]
    order = [
        [(0, number) for number in range(first, min(first + how.batch, len(mine)))]
        for first in range(0, len(mine), how.batch)
    ]
    samples = Samples(mine, data.test_reader(side), tries=1)
    parts: list[tuple[Tensor, Tensor]] = []
    for part in DataLoader(samples, batch_sampler=order, collate_fn=collate, num_workers=how.workers):
        if part["tensors"] is not None:
            with here.autocast():
                rows = network(part["tensors"]["image"].to(here.device))
            parts.append((rows.float().cpu(), part["tensors"]["label"]))
    rows, labels = (torch.cat(tensors) for tensors in zip(*gather_object(parts), strict=True))
    limit(len(pictures) - len(rows), len(pictures), how.max_unreadable)
    return rows, labels


def probed(model: nn.Module, folder: Path, config: Probing, here: Accelerator) -> dict[str, float]:
    """top1 and top5 in percent over the images of `folder`/val, those of the best rate of the sweep, and that rate."""
    rates = config.schedule.rates

    def score(model: nn.Module, batch: Batch) -> dict[str, float]:
        return {
            f"{name} {rate:g}": value
            for rate, scores in zip(rates, model(batch["image"]), strict=True)
            for name, value in accuracy(scores, batch["label"]).items()
        }

    pictures = imagenet.labelled(folder, "val", config.model.classes)
    got = judge(model, pictures, data.test_reader(config.model.side), score, config.training, here)
    best = max(rates, key=lambda rate: got[f"top1 {rate:g}"])
    return got | {"top1": got[f"top1 {best:g}"], "top5": got[f"top5 {best:g}"], "rate": best}
