"""What SNCLR's neighbours are worth, and what its rewriting saves: `python bench/snclr.py [--json FILE]`.

Compares it with plain instance discrimination (the same run without neighbours) by nearest neighbours on toy photos
of things at all angles, with three seeds each; then the neighbour look-up and the loss with the published ones
stated anew, the least processor time of some rounds of each in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from avmodels import run, zoo
from avmodels.engine.log import records
from avmodels.snclr import toy
from avmodels.snclr.bank import NeighbourBank
from avmodels.snclr.evaluation import COUNTS
from avmodels.snclr.loss import Candidates, Objective, direction

SEEDS = (0, 1, 2)
ROUNDS = 5
# A process of the published recipe: samples, neighbours, width, keys in the bank.
BATCH, NEIGHBOURS, WIDTH, BANK = 128, 30, 256, 128000


def comparison() -> dict[str, Any]:
    """How often nearest neighbours name the thing, with neighbours in training and without: for each number of
    those who vote the scores of all seeds, their mean and spread (standard deviation)."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "toy"
        toy.make(data, 1024, 512)
        for name, settings in (("soft_neighbours", ()), ("instances", ("learning.neighbours=0",))):
            told = []
            for seed in SEEDS:
                config = zoo.load("snclr", "tiny", (*settings, f"training.seed={seed}"))
                place = Path(folder) / f"{name}-{seed}"
                run.train("snclr", config, data, place)
                told.append([record for record in records(place) if "knn10" in record][-1])
            found[name] = {}
            for votes in (f"knn{count}" for count in COUNTS):
                scores = [record[votes] for record in told]
                mean, spread = statistics.mean(scores), statistics.stdev(scores)
                found[name][votes] = {"scores": scores, "mean": mean, "spread": spread}
    return found


def published_neighbours(columns: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """The look-up as published: the whole bank (width, size) is copied and normalised at every call."""
    copied = columns.clone()
    cosines = F.normalize(keys, dim=1) @ F.normalize(copied, dim=0)
    numbers = cosines.topk(NEIGHBOURS, dim=1).indices
    return numbers, copied.T[numbers]


def look_up() -> dict[str, float]:
    """Seconds of a look-up of a small batch, as published and ours, and whether they find the same."""
    torch.manual_seed(0)
    bank, keys = NeighbourBank(WIDTH, BANK), torch.randn(32, WIDTH)
    bank.put(torch.randn(BANK, WIDTH))
    columns = bank.rows.T.contiguous()

    def ours() -> tuple[Tensor, Tensor]:
        numbers, _ = bank.nearest(keys, NEIGHBOURS)
        return numbers, bank.rows[numbers]

    seconds = least({"published": lambda: published_neighbours(columns, keys), "ours": ours})
    same = (published_neighbours(columns, keys)[0] == ours()[0]).float().mean().item()
    return {**seconds, "times_as_fast": seconds["published"] / seconds["ours"], "same_neighbours": same}


def published_loss(prediction: Tensor, projection: Tensor, rows: Tensor) -> Tensor:
    """The loss as published: a softmax over all neighbours of the batch with those of others masked out, and a
    matrix of labels over all candidates."""
    how, batch = Objective(neighbours=NEIGHBOURS), len(prediction)
    everyone = F.normalize(rows.flatten(0, 1), dim=1)
    neighbours = F.normalize(rows[:, 1:].flatten(0, 1), dim=1)
    mask = torch.full((batch, batch, NEIGHBOURS), -999.0)
    mask[range(batch), range(batch)] = 0
    attention = F.normalize(projection, dim=1) @ neighbours.T + mask.flatten(1)
    weights = attention.softmax(1).view(batch, batch, NEIGHBOURS)
    keys = torch.eye(batch).unsqueeze(2)
    labels = torch.cat([keys, weights], dim=2).flatten(1)
    scores = F.normalize(prediction, dim=1) @ everyone.T / how.temperature
    return -2 * how.temperature * (labels * scores.log_softmax(1)).sum(1).mean()


def objective() -> dict[str, float]:
    """Seconds of the loss of one direction and its gradients, as published and ours, and how far they differ."""
    torch.manual_seed(0)
    rows = torch.randn(BATCH, 1 + NEIGHBOURS, WIDTH)
    prediction, projection = (torch.randn(BATCH, WIDTH, requires_grad=True) for _ in range(2))
    vectors = prediction, projection
    how = Objective(neighbours=NEIGHBOURS)
    losses: dict[str, Callable[[], Tensor]] = {
        "published": lambda: published_loss(prediction, projection, rows),
        "ours": lambda: direction(prediction, projection, Candidates(F.normalize(rows, dim=2), 0), how),
    }
    gradients = {name: torch.autograd.grad(loss(), vectors) for name, loss in losses.items()}
    differences = [
        (one - other).abs().max().item()
        for one, other in zip(gradients["published"], gradients["ours"], strict=True)
    ]
    seconds = least(
        {name: lambda loss=loss: torch.autograd.grad(loss(), vectors) for name, loss in losses.items()}
    )
    return {
        **seconds,
        "times_as_fast": seconds["published"] / seconds["ours"],
        "loss_difference": abs(losses["published"]().item() - losses["ours"]().item()),
        "gradient_difference": max(differences),
    }


def least(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The least processor seconds of each way, taken in turn so that a busy machine bothers all alike."""
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.process_time()
            way()
            seconds[name] = min(seconds[name], time.process_time() - began)
    return seconds


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "look_up": look_up,
    "objective": objective,
    "comparison": comparison,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: part() for name, part in PARTS.items() if arguments.only in (None, name)}
    text = json.dumps(found, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
