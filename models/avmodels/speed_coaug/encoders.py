"""Residual networks for sight and sound, with torchvision's parameter names, at any width.

Sight is R(2+1)D (Tran et al., arXiv 1711.11248): every 3-D convolution is one over space and then one over time.
Sound is ResNet-18 (He et al., arXiv 1512.03385) over a spectrogram.
"""

from __future__ import annotations

from torch import Tensor, nn

from avmodels.nn.batch_norm import BatchNorm

# Widths of the four stages over that of the first.
STAGES = (1, 2, 4, 8)
BLOCKS = 2


class Block(nn.Module):
    """Two convolutions beside a shortcut: x (B, in, ...) -> (B, out, ...), each side over `stride`."""

    relu: nn.Module
    downsample: nn.Module | None

    def shortcut(self, x: Tensor) -> Tensor:
        """What is added to the convolved x."""
        return x if self.downsample is None else self.downsample(x)


class SoundBlock(Block):
    """A block over time and pitch: x (B, in, bands, frames)."""

    def __init__(self, before: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.bn1 = BatchNorm(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = BatchNorm(width)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), BatchNorm(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class SightBlock(Block):
    """A block over time and space: x (B, in, T, H, W).

    Both convolutions pass through as many channels as give the parameters of one that is not factored.
    """

    def __init__(self, before: int, width: int, stride: int):
        super().__init__()
        between = before * width * 27 // (before * 9 + 3 * width)
        self.conv1 = nn.Sequential(
            factored(before, between, width, stride), BatchNorm(width), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(factored(width, between, width, 1), BatchNorm(width))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv3d(before, width, 1, stride, bias=False), BatchNorm(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


def factored(before: int, between: int, width: int, stride: int) -> nn.Sequential:
    """A convolution over 3 x 3 pixels, then one over 3 frames, with a non-linearity between."""
    return nn.Sequential(
        nn.Conv3d(before, between, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        BatchNorm(between),
        nn.ReLU(inplace=True),
        nn.Conv3d(between, width, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    )


def stages(block: type[SoundBlock | SightBlock], width: int) -> list[nn.Sequential]:
    """The four stages of two blocks; each but the first halves all sides."""
    made, before = [], width
    for number, times in enumerate(STAGES):
        blocks = [
            block(before if first else width * times, width * times, 2 if first and number else 1)
            for first in (True, False)
        ]
        made.append(nn.Sequential(*blocks))
        before = width * times
    return made


class SightEncoder(nn.Module):
    """A clip's feature: video (B, 3, T, H, W), normalised -> (B, 8 * width)."""

    def __init__(self, width: int = 64, stem: int = 45):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, stem, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
            BatchNorm(stem),
            nn.ReLU(inplace=True),
            nn.Conv3d(stem, width, (3, 1, 1), padding=(1, 0, 0), bias=False),
            BatchNorm(width),
            nn.ReLU(inplace=True),
        )
        self.layer1, self.layer2, self.layer3, self.layer4 = stages(SightBlock, width)
        self.width = width * STAGES[-1]
        initialise(self)

    def forward(self, video: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(video)))))
        return x.mean((2, 3, 4))


class SoundEncoder(nn.Module):
    """A sound's feature: mel (B, bands, frames), normalised -> (B, 8 * width)."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 7, 2, padding=3, bias=False)
        self.bn1 = BatchNorm(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages(SoundBlock, width)
        self.width = width * STAGES[-1]
        initialise(self)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(mel[:, None]))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3))


def initialise(encoder: nn.Module) -> None:
    """Gives every convolution weights that keep the deviation of what passes back through it."""
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
