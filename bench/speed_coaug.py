"""What playing at several speeds is worth, and what reading both views at once saves:
`python bench/speed_coaug.py [--json FILE]`.

Compares co-augmentation with its soft targets against the same with hard targets, and against one view at speed 1:
cross-modal retrieval of held-out toy events, whose rates reach beyond those to train on, with three seeds each, every
step encoding as many clips. Then the processor time of reading a clip's two views at once and each by itself, the
least of some rounds of each in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avmodels import run, zoo
from avmodels.data import toy
from avmodels.engine.log import records
from avmodels.speed_coaug import data
from avmodels.speed_coaug.data import Film
from avmodels.speed_coaug.sets import clips_of
from avmodels.speed_coaug.sound import read_sound

SEEDS = (0, 1, 2)
TRAIN, HELD_OUT = 64, 64
AROUND = 4  # seconds of silence before a toy film's sound
ROUNDS = 5
# 240 steps of 16 pictures and sounds, each way.
TWO_VIEWS = ("training.epochs=30", "training.evaluate_every=30", "training.save_every=30")
ONE_VIEW = ("training.epochs=60", "training.evaluate_every=60", "training.save_every=60")
HARD = ("loss.affinity=constant",)
WAYS = {
    "co_augmentation": TWO_VIEWS,
    "hard_targets": (*TWO_VIEWS, *HARD),
    "one_view": (
        *ONE_VIEW,
        *HARD,
        "data.views=1",
        "data.speeds=[1]",
        "training.batch=16",
        "optimiser.warmup_epochs=2",
    ),
}


class Decoded(data.Video):
    """A video that is decoded once, however often its frames are taken."""

    @cached_property
    def _all(self) -> np.ndarray:
        return super().frames(np.arange(len(self)))

    def frames(self, numbers: np.ndarray) -> np.ndarray:
        return self._all[numbers]


@cache
def whole(path: Path, rate: int) -> np.ndarray:
    """All of a toy film's sound, with silence around it."""
    return read_sound(path, -AROUND, 12 * rate, rate)


def heard(path: Path, start: float, count: int, rate: int) -> np.ndarray:
    """As `read_sound`, but decoded once."""
    first = round((start + AROUND) * rate)
    return whole(path, rate)[first : first + count]


def comparison(folder: Path) -> dict[str, Any]:
    """R@1 in per cent, the mean of both directions, and the median ranks: of each seed, mean and spread (standard
    deviation). Films are decoded once: only training is of interest."""
    data.Video, data.read_sound = cache(Decoded), heard
    found: dict[str, Any] = {}
    for name, settings in WAYS.items():
        last = []
        for seed in SEEDS:
            config = zoo.load(
                "speed-coaug", "tiny", (*settings, f"training.seed={seed}", "training.workers=0")
            )
            place = folder / f"{name}-{seed}"
            run.train("speed-coaug", config, folder / "toy", place)
            last.append([record for record in records(place) if "R@1" in record][-1])
        scores = [record["R@1"] for record in last]
        found[name] = {
            "R@1": scores,
            "mean": statistics.mean(scores),
            "spread": statistics.stdev(scores),
            "median_rank": [(record["v2a_MdR"] + record["a2v_MdR"]) / 2 for record in last],
        }
    return found


def reading(folder: Path) -> dict[str, float]:
    """Processor seconds to read the views of 16 clips at speeds 3 and 4, at once and one by one."""
    config = zoo.load("speed-coaug", "tiny")
    clips = clips_of(folder / "toy", "train")[:16]
    speeds = [Fraction(3), Fraction(4)]

    def at_once() -> None:
        for clip in clips:
            film = Film(clip, config.data)
            film.show(0, speeds)
            film.play(0, speeds, config.sound)

    def one_by_one() -> None:
        for clip in clips:
            for speed in speeds:
                film = Film(clip, config.data)
                film.show(0, [speed])
                film.play(0, [speed], config.sound)

    ways = {"one_by_one": one_by_one, "at_once": at_once}
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.process_time()
            way()
            seconds[name] = min(seconds[name], time.process_time() - began)
    return {**seconds, "times_as_fast": seconds["one_by_one"] / seconds["at_once"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        toy.make("speed-coaug", Path(folder) / "toy", TRAIN, HELD_OUT)
        results = {part.__name__: part(Path(folder)) for part in (reading, comparison)}
    print(json.dumps(results, indent=1))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
