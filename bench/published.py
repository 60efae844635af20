"""What the benches of the model library share: attention as published, and ways that are timed in turn."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from avmodels.nn.attention import Attention


def scores_of(attention: Attention, x: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of all pairs, and the values."""
    queries, keys, values = attention._project(x, 0)
    return (queries * queries.shape[-1] ** -0.5 @ keys.transpose(-2, -1)).softmax(-1), values


class PublishedAttention(Attention):
    """As the authors wrote it: the weights of all pairs are made in full."""

    def forward(self, x: Tensor, last: int = 0) -> Tensor:
        weights, values = scores_of(self, x)
        return self.proj((weights @ values).transpose(1, 2).flatten(2))[:, -last:]


def best_of(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least processor seconds of each way, taken in turn so that a busy machine bothers all alike."""
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            way()
            seconds[name] = min(seconds[name], time.process_time() - began)
    return seconds
