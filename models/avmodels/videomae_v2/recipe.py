"""How VideoMAE V2 is built, trained and evaluated, top to bottom."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from avmodels.videomae_v2 import checkpoint, cost
from avmodels.videomae_v2.config import RECIPES, Features, FineTuning, Pretraining
from avmodels.videomae_v2.model import SIZES, Classifier, MaskedAutoencoder, positions_for

__all__ = ["RECIPES"]

Settings = Pretraining | FineTuning | Features


def build(config: Settings) -> nn.Module:
    """The network of a configuration, with random weights."""
    model, size = config.model, SIZES[config.model.size]
    if isinstance(config, Pretraining):
        return MaskedAutoencoder(size, model.frames, model.side, config.model.decoder_depth)
    how = config.model
    classifier = Classifier(
        size, how.classes, how.frames, how.side, how.drop_path, how.head_dropout, how.head_scale
    )
    classifier.positions = positions_for(how.positions, size, how.frames, how.side)
    return classifier


def load(model: nn.Module, config: Settings, path: Path) -> None:
    """Puts a published or our own checkpoint into the network. Raises WeightsError where it does not fit."""
    state = checkpoint.read(path)
    if isinstance(model, MaskedAutoencoder):
        checkpoint.load_autoencoder(model, state, str(path))
    elif isinstance(model, Classifier):
        label_set = config.data.label_set if isinstance(config, FineTuning) else ""
        checkpoint.load_classifier(model, state, label_set, str(path))


def example_input(config: Settings) -> tuple[Tensor, ...]:
    """Arguments of the network's forward for one clip, without data, for counting its cost."""
    model = config.model
    video = torch.empty(1, 3, model.frames, model.side, model.side, device="meta")
    if not isinstance(config, Pretraining):
        return (video,)
    visible, kept = token_counts(config)
    return video, *(torch.empty(1, n, dtype=torch.long, device="meta") for n in (visible, kept))


def token_counts(config: Pretraining) -> tuple[int, int]:
    """How many tokens of a clip the encoder sees, and how many the decoder reconstructs."""
    time, high, wide = config.model.grid
    visible = time * (high * wide - int(config.data.encoder_mask * high * wide))
    dropped = int(4 * config.data.decoder_mask) / 4
    whole = time * high * wide
    return visible, int(whole * (1 - dropped)) if dropped else whole - visible


def published_gmacs(config: Settings) -> float:
    """Multiply-accumulates / 1e9 of the published network for one clip."""
    time, high, wide = config.model.grid
    size, tokens = SIZES[config.model.size], time * high * wide
    if isinstance(config, Pretraining):
        visible, kept = token_counts(config)
        return cost.autoencoder(size, tokens, visible, kept, config.model.decoder_depth) / 1e9
    return cost.classifier(size, tokens, config.model.classes) / 1e9
