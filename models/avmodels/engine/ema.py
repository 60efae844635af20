"""A slowly following copy of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MovingAverage:
    """The exponential moving average of what a network learns: average = decay * average + (1 - decay) * now."""

    def __init__(self, model: nn.Module, decay: float):
        self._decay = decay
        self.parameters = {
            name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Follows the network by one step."""
        for name, value in model.named_parameters():
            if name in self.parameters:
                self.parameters[name].mul_(self._decay).add_(value, alpha=1 - self._decay)

    def state(self, model: nn.Module) -> dict[str, Tensor]:
        """The network's state with averaged parameters."""
        return model.state_dict() | self.parameters
