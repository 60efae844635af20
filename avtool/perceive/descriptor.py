"""Whose face it is, as 128 numbers: dlib's ResNet (Davis King, dlib_face_recognition_resnet_model_v1), in torch.

dlib's own evaluation takes ten times as long. The network and its arithmetic are those of dlib's
dnn_face_recognition_ex.cpp; its weights are read from dlib's file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avtool.weights import trusted

SIDE = 150  # pixels of a chip
MEAN = 122.782, 117.001, 104.298  # RGB
UNITS = (  # channels of the residual units, and whether they halve the picture
    *[(32, False)] * 3,
    *[(64, True), (64, False), (64, False), (64, False)],
    *[(128, True), (128, False), (128, False)],
    *[(256, True), (256, False), (256, False)],
    (256, True),
)


class Descriptor(nn.Module):
    """Aligned chips (n, 150, 150, 3) uint8 RGB -> descriptors (n, 128)."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        layers = _layers(file.read_bytes())
        self.mean = nn.Buffer(torch.tensor(MEAN)[:, None, None])
        self.stem = _convolution(layers, 32, 3, 7, 2)
        units, channels = [], 32
        for width, halving in UNITS:
            first = _convolution(layers, width, channels, 3, 2 if halving else 1)
            units.append(nn.Sequential(first, nn.ReLU(), _convolution(layers, width, width, 3, 1)))
            channels = width
        self.units = nn.ModuleList(units)
        kind, weight = next(layers)
        assert kind == "fc"
        self.last = nn.Parameter(weight.reshape(channels, 128), requires_grad=False)

    def forward(self, chips: Tensor) -> Tensor:
        x = (chips.permute(0, 3, 1, 2) - self.mean) / 256
        x = functional.max_pool2d(functional.relu(self.stem(x)), 3, 2)
        for unit, (_, halving) in zip(self.units, UNITS, strict=True):
            x = functional.relu(_sum(unit(x), functional.avg_pool2d(x, 2) if halving else x))
        return x.mean((2, 3)) @ self.last


@cache
def _network() -> Descriptor:
    network = Descriptor(trusted("dlib-face-descriptor"))
    # torch's stubs leave out the form with a memory format alone.
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def describe(chip: np.ndarray) -> np.ndarray:
    """The descriptor, float32 (128,), of the face on an aligned chip (150, 150, 3)."""
    with torch.inference_mode():
        return _network()(torch.from_numpy(chip)[None])[0].numpy()


def _sum(one: Tensor, other: Tensor) -> Tensor:
    """The sum of two feature maps; where one ends before the other, in channels or pixels, it is zero."""
    shape = [max(sizes) for sizes in zip(one.shape, other.shape, strict=True)]
    return _padded(one, shape) + _padded(other, shape)


def _padded(x: Tensor, shape: list[int]) -> Tensor:
    missing = [size - have for size, have in zip(shape, x.shape, strict=True)]
    if not any(missing):
        return x
    return functional.pad(x, [side for more in reversed(missing) for side in (0, more)])


def _convolution(
    layers: Iterator[tuple[str, Tensor]], out: int, into: int, side: int, stride: int
) -> nn.Conv2d:
    """The next convolution of the file, with the affine layer that follows it."""
    (kind, numbers), (after, affine) = next(layers), next(layers)
    assert (kind, after) == ("con", "affine")
    gain, shift = affine.chunk(2)
    weight, bias = numbers[:-out].reshape(out, into, side, side), numbers[-out:]
    layer = nn.Conv2d(into, out, side, stride, side // 2 if stride == 1 else 0)
    layer.load_state_dict({"weight": weight * gain[:, None, None, None], "bias": bias * gain + shift})
    return layer.requires_grad_(False)


def _layers(data: bytes) -> Iterator[tuple[str, Tensor]]:
    """The layers of a dlib file that have weights, from the input on: kind and all their numbers.

    dlib writes a name, then a tensor: its version, its four sizes, and float32 little-endian. Whole numbers are
    a byte that counts their bytes, and those.
    """
    for name in re.finditer(rb"\x01\x05con_4|\x01\x07affine_|\x01\x04fc_2", data):
        kind, at = name[0][2:].decode().rstrip("_24"), name.end()
        for _ in range(2 if kind == "fc" else 0):  # a fully connected layer tells its two sizes first
            _, at = _integer(data, at)
        version, at = _integer(data, at)
        assert version == 2
        sizes = []
        for _ in range(4):
            size, at = _integer(data, at)
            sizes.append(size)
        yield kind, torch.from_numpy(np.frombuffer(data, "<f4", int(np.prod(sizes)), at).copy())


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """The whole number at `at`, and where it ends."""
    end = at + 1 + data[at]
    return int.from_bytes(data[at + 1 : end], "little"), end
