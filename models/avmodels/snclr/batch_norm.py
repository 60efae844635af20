"""Batch normalisation over the samples of all processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm


class BatchNorm(_BatchNorm):
    """Batch normalisation of (B, C) or (B, C, H, W); several processes, each with as many samples, share their
    statistics.

    torch's own SyncBatchNorm does the same on GPUs alone.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """The same shape, every channel of mean 0 and variance 1, then scaled and shifted where it is affine."""
        processes = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
        if not self.training or processes == 1:
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(input.ndim)]
        x = input.float()
        mean = total(x.mean(axes)) / processes
        variance = total((x - mean.view(shape)).square().mean(axes)) / processes
        self._follow(mean.detach(), variance.detach(), processes * input.numel() // input.shape[1])
        y = (x - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            y = torch.addcmul(self.bias.view(shape), y, self.weight.view(shape))
        return y.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Moves the running statistics towards those of `count` values a channel, the variance unbiased."""
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)


def total(x: Tensor) -> Tensor:
    """The sum over all processes; gradients flow back to all of them."""
    summed: Any = all_reduce(x)
    return summed
