"""The pre-training objective."""

from __future__ import annotations

import torch
from torch import Tensor

from avmodels.nn.embedding import pick_tubelets

# Mean and standard deviation of ImageNet's pixels, RGB in [0, 1].
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@torch.no_grad()
def targets(video: Tensor, tokens: Tensor, tubelet: int, patch: int, normalise: bool = True) -> Tensor:
    """The pixels to reconstruct, of the given tokens only.

    video (B, 3, T, H, W), normalised; tokens (B, n). Returns (B, n, 3 * tubelet * patch * patch) in float32,
    pixels in (t, h, w) order with the colour running fastest; with `normalise` each colour of each tubelet
    has its mean taken away and is divided by its deviation (unbiased, plus 1e-6).
    """
    mean, std = (torch.tensor(values, device=video.device)[:, None] for values in (MEAN, STD))
    pixels = pick_tubelets(video, tokens, tubelet, patch).flatten(3).float() * std + mean
    if normalise:
        variance, centre = torch.var_mean(pixels, dim=-1, keepdim=True)
        pixels = (pixels - centre) / (variance.sqrt() + 1e-6)
    return pixels.transpose(2, 3).flatten(2)


def token_errors(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean squared error of each token, (B, n), in float32."""
    return (prediction.float() - target).square().mean(-1)


def reconstruction_loss(prediction: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """The mean error of the tokens the encoder did not see; hidden (B, n) is True for those."""
    return (token_errors(prediction, target) * hidden).sum() / hidden.sum()
