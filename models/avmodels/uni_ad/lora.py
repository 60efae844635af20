"""Low-rank adaptation of a language model's attention (arXiv 2106.09685), under the names of the loralib package."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

# What the families of language models call the projections of their attention.
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "out_proj", "c_attn", "attn.c_proj")


@dataclass(frozen=True)
class LoRASize:
    """The rank of what is learned, its scale alpha / rank, and the dropout before it."""

    rank: int = 16
    alpha: float = 16
    dropout: float = 0.05


class LoRALinear(nn.Linear):
    """A frozen linear map W, and a learned one of low rank beside it: W x + scale B A dropout(x)."""

    def __init__(self, linear: nn.Linear, size: LoRASize):
        super().__init__(1, 1, device="meta")
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.scale, self.drop = size.alpha / size.rank, size.dropout
        like = {"device": linear.weight.device, "dtype": linear.weight.dtype}
        self.lora_A = nn.Parameter(torch.empty(size.rank, linear.in_features, **like))
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, size.rank, **like))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, input: Tensor) -> Tensor:
        """input (..., in) -> (..., out)."""
        low = F.dropout(input, self.drop, self.training) @ self.lora_A.T @ self.lora_B.T
        return super().forward(input) + self.scale * low

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One plain linear map that does the same in evaluation."""
        linear = nn.Linear(1, 1, device="meta")
        linear.in_features, linear.out_features = self.in_features, self.out_features
        weight = self.weight + self.scale * self.lora_B @ self.lora_A
        linear.weight, linear.bias = nn.Parameter(weight, requires_grad=False), self.bias
        return linear


def adapt(model: nn.Module, size: LoRASize) -> None:
    """Puts low-rank maps beside all projections of a language model's attention.

    GPT-2 holds its projections transposed; they are linear maps afterwards.
    """
    for parent, name, module in projections(model):
        linear = untransposed(module) if isinstance(module, Conv1D) else module
        assert isinstance(linear, nn.Linear)
        setattr(parent, name, LoRALinear(linear, size))


def merge(model: nn.Module) -> None:
    """Adds the low-rank maps to those they stand beside; the model then runs as fast as without."""
    for parent, name, module in projections(model):
        if isinstance(module, LoRALinear):
            setattr(parent, name, module.merged())


def projections(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """All projections of attention, each with the module that holds it and its name there."""
    for path, module in list(model.named_modules()):
        if path.endswith(PROJECTIONS) and isinstance(module, nn.Linear | Conv1D):
            above, _, name = path.rpartition(".")
            yield model.get_submodule(above), name, module


def untransposed(conv: Conv1D) -> nn.Linear:
    """A linear map that does what a transposed one does."""
    linear = nn.Linear(1, 1, device="meta")
    linear.in_features, linear.out_features = conv.weight.shape
    linear.weight, linear.bias = nn.Parameter(conv.weight.T.contiguous()), conv.bias
    return linear
