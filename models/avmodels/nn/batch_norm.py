"""Batch normalisation over the samples of all processes."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm


class BatchNorm(_BatchNorm):
    """Batch normalisation of (B, C, ...); processes, each with as many samples, share their statistics.

    torch's SyncBatchNorm does so on GPUs alone.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """The same shape, every channel of mean 0 and variance 1, then scaled and shifted where it is affine."""
        if not (self.training and dist.is_available() and dist.is_initialized()):
            return super().forward(input)
        processes = dist.get_world_size()
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = (-1, *[1] * (input.ndim - 2))
        x = input.float()
        mean = (everywhere(x.mean(axes)) / processes).view(shape)
        x = x - mean
        variance = (everywhere(x.square().mean(axes)) / processes).view(shape)
        self._follow(mean.flatten(), variance.flatten(), processes * input.numel() // input.shape[1])
        y = x * (variance + self.eps).rsqrt()
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Moves the running statistics towards those of `count` values a channel, the variance unbiased."""
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)


def everywhere(x: Tensor) -> Tensor:
    """The sum of x over all processes, with gradients to each."""
    total = all_reduce(x)
    assert isinstance(total, Tensor)
    return total
