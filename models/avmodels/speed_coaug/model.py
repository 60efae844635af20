"""The networks: sight and sound in one space, and a classifier of what is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from avmodels.speed_coaug.encoders import SightEncoder, SoundEncoder


@dataclass(frozen=True)
class Size:
    """The numbers of one model: widths of the encoders' first stages, of the video stem between its two
    convolutions, and of the vectors in which sight and sound meet."""

    sight: int
    sound: int
    stem: int
    embedding: int


SIZES = {
    "r2plus1d-18": Size(sight=64, sound=64, stem=45, embedding=128),
    "tiny": Size(sight=8, sound=8, stem=12, embedding=32),
}


class Encoded(NamedTuple):
    """What a network makes of clips: features (B, width) for other uses, and unit vectors (B, embedding)."""

    feature: Tensor
    vector: Tensor


class SightAndSound(nn.Module):
    """Encodes pictures and sounds so that those of one moment get like vectors."""

    def __init__(self, size: Size):
        super().__init__()
        self.video_encoder = SightEncoder(size.sight, size.stem)
        self.audio_encoder = SoundEncoder(size.sound)
        self.video_head = head(self.video_encoder.width, size.embedding)
        self.audio_head = head(self.audio_encoder.width, size.embedding)

    def see(self, video: Tensor) -> Encoded:
        """video (B, 3, T, H, W), normalised."""
        feature = self.video_encoder(video)
        return Encoded(feature, F.normalize(self.video_head(feature).float(), dim=1))

    def hear(self, mel: Tensor) -> Encoded:
        """mel (B, bands, frames), normalised."""
        feature = self.audio_encoder(mel)
        return Encoded(feature, F.normalize(self.audio_head(feature).float(), dim=1))

    def forward(self, video: Tensor, mel: Tensor) -> tuple[Encoded, Encoded]:
        """video (B, 3, T, H, W) and mel (B, bands, frames), normalised -> what is seen, what is heard."""
        return self.see(video), self.hear(mel)


def head(width: int, embedding: int) -> nn.Sequential:
    """From a feature to the common space: (B, width) -> (B, embedding)."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, embedding))


class Recogniser(nn.Module):
    """The action in a clip, from the encoder of sight."""

    def __init__(self, size: Size, classes: int, dropout: float):
        super().__init__()
        self.video_encoder = SightEncoder(size.sight, size.stem)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.video_encoder.width, classes)

    def forward(self, video: Tensor, head_only: bool = False) -> Tensor:
        """video (B, 3, T, H, W), normalised -> logits (B, classes).

        With `head_only` nothing of the encoder changes, neither its weights nor the statistics of its norms.
        """
        if head_only:
            training = self.video_encoder.training
            self.video_encoder.eval()
            feature = self.video_encoder(video).detach()
            self.video_encoder.train(training)
        else:
            feature = self.video_encoder(video)
        return self.classifier(self.dropout(feature))
