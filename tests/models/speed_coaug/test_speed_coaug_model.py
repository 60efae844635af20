"""The networks of Speed Co-Augmentation: torchvision's, in names, values and cost."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18
from torchvision.models.video import r2plus1d_18

from avmodels.speed_coaug import cost
from avmodels.speed_coaug.encoders import SightEncoder, SoundEncoder
from avmodels.speed_coaug.model import SIZES, Recogniser, SightAndSound


def shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def torchvisions() -> tuple[nn.Module, nn.Module]:
    video, sound = r2plus1d_18(), resnet18()
    video.fc, sound.fc = nn.Identity(), nn.Identity()  # type: ignore[assignment]
    sound.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return video, sound


def test_encoders_are_torchvisions() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(2, 3, 5, 40, 33), torch.randn(2, 40, 51)
    parameters = 31_300_125, 11_170_240
    for ours, theirs, given, number in zip(
        (SightEncoder(), SoundEncoder()), torchvisions(), inputs, parameters, strict=True
    ):
        assert shapes(ours) == shapes(theirs) and count(ours) == number
        ours.load_state_dict(theirs.state_dict())
        wanted = theirs.train()(given if given.ndim == 5 else given[:, None])
        torch.testing.assert_close(ours.train()(given), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "frames", "side", "length"), [("r2plus1d-18", 16, 112, 101), ("tiny", 7, 50, 33)]
)
def test_cost_is_counted_from_shapes(name: str, frames: int, side: int, length: int) -> None:
    size = SIZES[name]
    with torch.device("meta"):
        model = SightAndSound(size).to("meta").eval()
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            model(torch.empty(1, 3, frames, side, side), torch.empty(1, 80, length))
    told = cost.sight(size, frames, side) + cost.sound(size, 80, length) + cost.heads(size)
    assert counter.get_total_flops() / 2 == told
    if name == "r2plus1d-18":
        assert cost.sight(size, 16, 112) / 1e9 == pytest.approx(40.5, abs=0.05)
        assert cost.sound(size, 80, 101) / 1e9 == pytest.approx(0.33, abs=0.005)


def test_vectors_have_length_1_and_features_are_free() -> None:
    model = SightAndSound(SIZES["tiny"]).eval()
    seen, heard = model(torch.randn(3, 3, 4, 32, 32), torch.randn(3, 40, 20))
    for encoded in (seen, heard):
        assert encoded.feature.shape == (3, 64) and encoded.vector.shape == (3, 32)
        torch.testing.assert_close(encoded.vector.norm(dim=1), torch.ones(3))


def test_warming_the_classifier_up_leaves_the_encoder_alone() -> None:
    model = Recogniser(SIZES["tiny"], classes=5, dropout=0.5).train()
    before = {name: tensor.clone() for name, tensor in model.video_encoder.state_dict().items()}
    model(torch.randn(2, 3, 4, 32, 32), head_only=True).sum().backward()
    assert all(parameter.grad is None for parameter in model.video_encoder.parameters())
    assert model.classifier.weight.grad is not None and model.video_encoder.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.video_encoder.state_dict().items())
