"""TransNetV2 (Soucek and Lokoc, arXiv 2008.04838), for use alone: same weights, same numbers, less work.

The published network convolves each frame, then along time, then normalises; all three are linear, so the norms
are folded into the convolutions along time, and the first layer, whose input has three channels only, becomes
one convolution over the nine frames it looks at.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

HEIGHT, WIDTH = 27, 48  # of the pictures
DILATIONS = 1, 2, 4, 8  # frames between the taps of the four branches
SHIFTS = -8, -4, -2, -1, 0, 1, 2, 4, 8  # that the four branches look at together
EPSILON = 1e-3  # of the norms
LOOKUP = 101  # neighbouring frames that each frame is compared with


class TransNetV2(nn.Module):
    """Frames (frames, 27, 48, 3) uint8 -> logits (frames,) of being the last before a cut, and of lying inside a
    transition.

    `state` is the published one; `precision` that of the convolutions.
    """

    def __init__(self, state: Mapping[str, Tensor], precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.precision = precision
        self.stacks = nn.ModuleList(Stack(_under(state, f"SDDCNN.{n}"), precision) for n in range(3))
        self.project = _linear(state, "frame_sim_layer.projection")
        self.compare = _linear(state, "frame_sim_layer.fc")
        self.compare_colours = _linear(state, "color_hist_layer.fc")
        self.hidden = _linear(state, "fc1").to(precision)
        self.cut = _linear(state, "cls_layer1")
        self.change = _linear(state, "cls_layer2")

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        x = frames.permute(0, 3, 1, 2).to(self.precision)  # (frames, 3, 27, 48)
        means = []
        for stack in self.stacks:
            x = stack(x)
            means.append(x.float().mean((2, 3)))
        features = (
            functional.relu(self.compare_colours(_neighbours(_histograms(frames)))),
            functional.relu(self.compare(_neighbours(self.project(torch.cat(means, 1))))),
            x.permute(0, 2, 3, 1).flatten(1),
        )
        hidden = functional.relu(
            self.hidden(torch.cat([each.to(self.precision) for each in features], 1))
        ).float()
        return self.cut(hidden)[:, 0], self.change(hidden)[:, 0]


class Stack(nn.Module):
    """Two layers with a shortcut past the second, then pictures of half the size."""

    def __init__(self, state: Mapping[str, Tensor], precision: torch.dtype) -> None:
        super().__init__()
        first, second = _under(state, "DDCNN.0"), _under(state, "DDCNN.1")
        colours = first["Conv3D_1.layers.0.weight"].shape[1] == 3
        self.first = Colours(first, precision) if colours else Layer(first, precision)
        self.second = Layer(second, precision)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu_()
        return functional.avg_pool2d(self.second(x).relu_().add_(x), 2)


class Layer(nn.Module):
    """Four branches: a convolution of each frame, then one along time. (frames, channels, height, width)."""

    def __init__(self, state: Mapping[str, Tensor], precision: torch.dtype) -> None:
        super().__init__()
        scale, shift = _norm(state)
        self.shift = nn.Parameter(shift.to(precision), False)
        spatial, temporal = [], []
        for dilation, gain in zip(DILATIONS, scale.chunk(4), strict=True):
            own, along = _branch(state, dilation)
            spatial.append(nn.Parameter(own.to(precision, memory_format=torch.channels_last), False))
            along = (along * gain[:, None, None])[..., None]
            temporal.append(nn.Parameter(along.to(precision, memory_format=torch.channels_last), False))
        self.spatial, self.temporal = nn.ParameterList(spatial), nn.ParameterList(temporal)

    def forward(self, x: Tensor) -> Tensor:
        frames, _, height, width = x.shape
        channels = len(self.shift) // 4
        out = x.new_empty((frames, height * width, 4 * channels))
        for number, dilation in enumerate(DILATIONS):
            y = functional.conv2d(x, self.spatial[number], padding=1)
            y = y.permute(0, 2, 3, 1).reshape(1, frames, height * width, 2 * channels).permute(0, 3, 1, 2)
            begin, end = number * channels, (number + 1) * channels
            y = functional.conv2d(
                y, self.temporal[number], self.shift[begin:end], padding=(dilation, 0), dilation=(dilation, 1)
            )
            out[..., begin:end] = y[0].permute(1, 2, 0)
        return out.unflatten(1, (height, width)).permute(0, 3, 1, 2)


class Colours(nn.Module):
    """A Layer whose input are the three colours, as one convolution."""

    def __init__(self, state: Mapping[str, Tensor], precision: torch.dtype) -> None:
        super().__init__()
        scale, shift = _norm(state)
        channels = len(scale) // 4
        whole = torch.zeros(4 * channels, len(SHIFTS), 3, 3, 3)
        for number, (dilation, gain) in enumerate(zip(DILATIONS, scale.chunk(4), strict=True)):
            own, along = _branch(state, dilation)
            taps = torch.einsum("mchw,omt->otchw", own, along) * gain[:, None, None, None, None] / 255
            for tap, shifted in enumerate((-dilation, 0, dilation)):
                whole[number * channels : (number + 1) * channels, SHIFTS.index(shifted)] = taps[:, tap]
        whole = whole.flatten(1, 2).to(precision, memory_format=torch.channels_last)
        self.weight = nn.Parameter(whole, False)
        self.shift = nn.Parameter(shift.to(precision), False)

    def forward(self, x: Tensor) -> Tensor:
        frames, reach = len(x), SHIFTS[-1]
        x = x.permute(0, 2, 3, 1)
        x = functional.pad(x, (0, 0, 0, 0, 0, 0, reach, reach))
        x = torch.cat([x[reach + shift :][:frames] for shift in SHIFTS], 3).permute(0, 3, 1, 2)
        return functional.conv2d(x, self.weight, self.shift, padding=1)


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in state.items()
        if name.startswith(f"{prefix}.")
    }


def _linear(state: Mapping[str, Tensor], name: str) -> nn.Linear:
    weight = state[f"{name}.weight"]
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict(_under(state, name))
    return layer.requires_grad_(False)


def _norm(state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """What the norm after the convolutions multiplies with and adds, (channels,) each."""
    scale = state["bn.weight"] / (state["bn.running_var"] + EPSILON).sqrt()
    return scale, state["bn.bias"] - state["bn.running_mean"] * scale


def _branch(state: Mapping[str, Tensor], dilation: int) -> tuple[Tensor, Tensor]:
    """Weights of a frame (middle, in, 3, 3) and along time (out, middle, 3)."""
    name = f"Conv3D_{dilation}.layers"
    return state[f"{name}.0.weight"][:, :, 0], state[f"{name}.1.weight"][..., 0, 0]


def _histograms(frames: Tensor) -> Tensor:
    """How often each of 512 colours is in each frame, (frames, 512)."""
    levels = (frames >> 5).to(torch.int64)
    colours = (levels[..., 0] << 6 | levels[..., 1] << 3 | levels[..., 2]).flatten(1)
    counts = torch.zeros(len(frames), 512)
    return counts.scatter_add_(1, colours, torch.ones(colours.shape))


def _neighbours(features: Tensor) -> Tensor:
    """How alike (cosine) each frame (frames, features) is to its neighbours on both sides, (frames, LOOKUP)."""
    unit = functional.normalize(features, dim=1)
    alike = functional.pad(unit @ unit.T, (LOOKUP // 2, LOOKUP // 2)).contiguous()
    rows, columns = alike.shape
    return alike.as_strided((rows, LOOKUP), (columns + 1, 1))
