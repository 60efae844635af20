"""How the weights follow the gradients: rates, momentum and LARS."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


def rate(epoch: float, epochs: float, warmup: float, base: float) -> float:
    """The learning rate at a moment in epochs: a line from 0 to `base`, then half a cosine to 0 at the end."""
    if epoch < warmup:
        return base * epoch / warmup
    return base * 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))


def momentum(epoch: float, epochs: float, first: float) -> float:
    """How far the momentum encoder stays what it was: half a cosine from `first` to 1 at the end."""
    return 1 - 0.5 * (1 + math.cos(math.pi * epoch / epochs)) * (1 - first)


class LARS(torch.optim.Optimizer):
    """Gradient descent with momentum 0.9, each matrix's step in proportion to its norm (You et al., arXiv
    1708.03888, as in MoCo v3): vectors get neither weight decay nor that proportion, 0.001 |weight| / |gradient|.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float = 0.0):
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Moves every parameter that has a gradient; a closure is not called."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    step = self._step(parameter, group["weight_decay"])
                    parameter.add_(step, alpha=-group["lr"])

    def _step(self, parameter: Tensor, weight_decay: float) -> Tensor:
        """The direction of a parameter's step, remembered for the next."""
        gradient = parameter.grad
        assert gradient is not None
        if parameter.ndim > 1:
            gradient = gradient.add(parameter, alpha=weight_decay)
            size, slope = parameter.norm(), gradient.norm()
            trust = torch.where((size > 0) & (slope > 0), 0.001 * size / slope, 1.0)
            gradient = gradient * trust
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"].mul_(0.9).add_(gradient)
