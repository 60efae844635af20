"""A list of clips as a data set whose every draw is a function of (seed, epoch, sample).

No state of a random generator has to be saved: a run that goes on after a break draws what it would have.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from avmodels.data.clips import UnreadableError

# So many unreadable clips in a row mean that the folder is wrong, not a clip.
IN_A_ROW = 10

Sample = dict[str, Any]


def seed_generators(*numbers: int) -> None:
    """Seeds `random`, numpy's global generator and torch from some numbers."""
    state = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))
    torch.manual_seed(int(state[2]))


class Samples(Dataset[Sample]):
    """The clips of a list, each read as a list of samples (crops of one reading) by `read(clip)`.

    A clip that cannot be read is replaced by the next one of the list that can, up to `tries` clips in all;
    then the result's `unreadable` says why, and `samples` is empty where none of them can.
    """

    def __init__(
        self, clips: Sequence[Any], read: Callable[[Any], list[Sample]], seed: int = 0, tries: int = IN_A_ROW
    ):
        self.clips = clips
        self._read = read
        self._seed = seed
        self._tries = tries

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, place: tuple[int, int]) -> Sample:
        """The samples of clip number `place[1]` as epoch `place[0]` sees them."""
        epoch, index = place
        unreadable: list[str] = []
        for other in range(index, index + self._tries):
            number = other % len(self.clips)
            seed_generators(self._seed, epoch, index)
            try:
                samples = self._read(self.clips[number])
            except UnreadableError as error:
                unreadable = unreadable or [str(error)]
            else:
                return {"samples": samples, "clips": [number], "unreadable": unreadable}
        return {"samples": [], "clips": [], "unreadable": unreadable}


def collate(items: list[Sample], stack: Callable[[list[Sample]], Sample] = default_collate) -> Sample:
    """A batch: the samples' tensors put together by `stack` (None where no clip could be read), and the lists
    joined."""
    samples = [sample for item in items for sample in item["samples"]]
    return {
        "tensors": stack(samples) if samples else None,
        "clips": [clip for item in items for clip in item["clips"]],
        "unreadable": [message for item in items for message in item["unreadable"]],
    }


class Order:
    """Which clips make each batch of a process: shuffled anew every epoch, a last partial step dropped.

    Yields lists of (epoch, clip number) for the batches from number `start` to before `total`; `accumulate`
    batches of every process make a step.
    """

    def __init__(
        self,
        clips: int,
        batch: int,
        seed: int,
        start: int,
        total: int,
        process: int = 0,
        processes: int = 1,
        accumulate: int = 1,
    ):
        self._clips = clips
        self._batch = batch
        self._seed = seed
        self._range = range(start, total)
        self._process = process
        self._processes = processes
        self._an_epoch = clips // (batch * processes * accumulate) * accumulate

    def __len__(self) -> int:
        return len(self._range)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        shuffled: tuple[int, np.ndarray] | None = None
        for number in self._range:
            epoch, batch = divmod(number, self._an_epoch)
            if shuffled is None or shuffled[0] != epoch:
                shuffled = epoch, np.random.default_rng([self._seed, epoch]).permutation(self._clips)
            first = (batch * self._processes + self._process) * self._batch
            yield [(epoch, int(clip)) for clip in shuffled[1][first : first + self._batch]]
