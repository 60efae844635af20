"""How the weights follow the gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from avmodels.engine.config import Optimiser, Staircase
from avmodels.engine.schedule import Length, Rate, cosine, staircase


@dataclass(frozen=True)
class Descent:
    """The optimiser made of some groups, the learning rate of every step, and the bound on the gradients' norm."""

    optimiser: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    rate: Rate
    clip: float | None = None


def adamw(how: Optimiser | Staircase) -> Descent:
    """AdamW, its rate moving as the settings say: by a cosine that grows with the batch, or by steps."""

    def optimiser(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups, lr=0.0, betas=how.betas, eps=how.eps)

    def by_cosine(step: int, length: Length) -> float:
        assert isinstance(how, Optimiser)
        warmup = min(int(how.warmup_epochs * length.an_epoch), length.total)
        return cosine(step, length.total, warmup, how.lr, how.final_lr) * length.clips / 256

    def by_steps(step: int, length: Length) -> float:
        assert isinstance(how, Staircase)
        epoch = step / length.an_epoch
        return how.lr * staircase(epoch, how.steps, how.warmup_epochs, how.warmup_lr / how.lr)

    return Descent(optimiser, by_steps if isinstance(how, Staircase) else by_cosine, how.clip)
