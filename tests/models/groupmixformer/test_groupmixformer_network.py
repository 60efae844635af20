"""GroupMixFormer's networks: of any image size, folded, as a backbone, and from checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from avmodels import run, zoo
from avmodels.errors import ConfigError, WeightsError
from avmodels.groupmixformer import checkpoint
from avmodels.groupmixformer.detection import DETECTORS
from avmodels.groupmixformer.fold import folded
from avmodels.groupmixformer.model import SIZES, Backbone, Classifier, Size, Trunk
from avmodels.groupmixformer.recipe import recognised
from avmodels.nn.batch_norm import BatchNorm

SMALL = Size((20, 40, 40, 60), (1, 2, 1, 1), (4, 2, 2, 3))


def lived_in(model: Trunk) -> Trunk:
    """The network with parameters and statistics as training leaves them, in evaluation mode."""
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.6, 1.6)
        elif tensor.is_floating_point():
            tensor.add_(0.1 * torch.randn_like(tensor))
    return model.eval()


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("size", [SMALL, Size((10, 20, 20, 40), (1, 1, 1, 1), qkv_bias=False, scale=0.3)])
@pytest.mark.parametrize("side", [(64, 96), (61, 100), (33, 7)])
@torch.inference_mode()
def test_the_folded_network_gives_the_same(size: Size, side: tuple[int, int]) -> None:
    image = torch.randn(2, 3, *side)
    for model in (lived_in(Classifier(size, 7)), lived_in(Backbone(size))):
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        want, got = model(image), folded(model)(image)
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-4)
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@torch.inference_mode()
def test_bfloat16_weights_give_nearly_the_same() -> None:
    model = lived_in(Classifier(SIZES["miny"], 10))
    image = torch.randn(4, 3, 64, 64)
    want, got = model(image), folded(model).to(torch.bfloat16)(image).float()
    assert (got - want).norm() < 0.05 * want.norm()


def test_the_folded_network_compiles() -> None:
    model, image = folded(Classifier(SMALL, 5).eval()), torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(torch.export.export(model, (image,)).module()(image), model(image))


@torch.inference_mode()
def test_a_map_for_every_stride_as_timm_gives_them() -> None:
    model = Backbone(SMALL).eval()
    for high, wide in ((64, 96), (100, 75)):
        maps = model(torch.randn(1, 3, high, wide))
        assert [each.shape[1] for each in maps] == model.feature_info.channels() == list(SMALL.widths)
        for each, stride in zip(maps, model.feature_info.reduction(), strict=True):
            assert each.shape[2:] == (-(-high // stride), -(-wide // stride))


@pytest.mark.parametrize("name", DETECTORS)
def test_torchvisions_detectors_train_and_find(name: str) -> None:
    model = DETECTORS[name](Backbone(SMALL, frozen_norms=True), 3, 64, 96)
    images = [torch.rand(3, 50, 70), torch.rand(3, 64, 64)]
    mask = torch.zeros(1, 50, 70, dtype=torch.uint8)
    mask[:, 10:30, 20:40] = 1
    full = {"boxes": torch.tensor([[20.0, 10, 40, 30]]), "labels": torch.tensor([2]), "masks": mask}
    empty = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, 64, 64, dtype=torch.uint8),
    }
    model.train()
    statistics = model.backbone.body.conv_stem.norm1.running_mean.clone()
    total = torch.stack(list(model(images, [full, empty]).values())).sum()
    total.backward()
    body = dict(model.backbone.body.named_parameters())
    assert body["conv_stem.proj1.weight"].grad.abs().sum() > 0
    assert body["conv_stem.norm1.weight"].grad is None
    assert torch.equal(model.backbone.body.conv_stem.norm1.running_mean, statistics)
    found = model.eval()(images)
    assert len(found) == 2 and all(each["boxes"].shape[1] == 4 for each in found)


def test_queries_keys_and_values_share_their_statistics() -> None:
    model = Classifier(SMALL, 5).train()
    norm = model.get_submodule("groupmixformer_backbone.0.gma_stage.0.att.aggregator.norm0")
    seen: list[Tensor] = []
    norm.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model(torch.randn(4, 3, 64, 64))
    assert seen[0].shape == (12, 4, 16, 16)
    assert isinstance(norm, BatchNorm) and norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, 0.1 * seen[0].mean((0, 2, 3)))


def test_a_checkpoint_tells_its_size_and_what_it_is_not() -> None:
    for size in (SIZES["miny"], SMALL):
        assert checkpoint.size_of(Classifier(size, 3).state_dict()) == size
    assert checkpoint.size_of({"head.weight": torch.zeros(2, 2)}) is None
    state = Classifier(SMALL, 3).state_dict()
    with pytest.raises(
        WeightsError, match=r"the file is of another size: give model.widths=\[20, 40, 40, 60\]"
    ):
        checkpoint.start(Classifier(SIZES["miny"], 3), state, "the file")
    with pytest.raises(WeightsError, match="holds no weights of GroupMixFormer"):
        checkpoint.start(Classifier(SMALL, 3), {"a": torch.zeros(1)}, "the file")
    with pytest.raises(WeightsError, match=r"the file has no conv_stem.proj1.bias"):
        lacking = {name: tensor for name, tensor in state.items() if name != "conv_stem.proj1.bias"}
        checkpoint.start(Classifier(SMALL, 3), lacking, "the file")


def test_a_head_of_other_classes_starts_at_zero_and_a_backbone_needs_none() -> None:
    state = lived_in(Classifier(SMALL, 3)).state_dict()
    wrapped = checkpoint.state_of({"model": {f"module.{name}": tensor for name, tensor in state.items()}})
    other = Classifier(SMALL, 5)
    assert sorted(checkpoint.start(other, wrapped, "the file")) == ["head.bias", "head.weight"]
    assert not other.head.weight.any() and torch.equal(other.norm4.bias, state["norm4.bias"])
    backbone = Backbone(SMALL)
    assert checkpoint.start(backbone, wrapped, "the file") == []
    assert torch.equal(
        backbone.state_dict()["conv_stem.norm1.running_var"], state["conv_stem.norm1.running_var"]
    )


def test_published_weights_go_in_and_out(tmp_path: Path) -> None:
    model = lived_in(zoo.create("groupmixformer/miny"))
    torch.save({"model": model.state_dict()}, tmp_path / "published.pth")
    ours = run.import_weights(
        "groupmixformer/miny", tmp_path / "published.pth", tmp_path / "ours.safetensors"
    )
    run.export_weights("groupmixformer/miny", tmp_path / "again.pth", ours)
    again = torch.load(tmp_path / "again.pth", weights_only=True)["model"]
    assert again.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(WeightsError, match="is of another size: give model.widths="):
        run.import_weights("groupmixformer/tiny", tmp_path / "published.pth", tmp_path / "no.safetensors")


def test_what_cannot_be_built_is_said() -> None:
    with pytest.raises(ConfigError, match="multiples of 10"):
        zoo.load("groupmixformer", "miny", ("model.widths=[42, 80, 160, 160]",))
    with pytest.raises(ConfigError, match="training.checkpointing"):
        zoo.load("groupmixformer", "miny", ("training.checkpointing=true",))
    with pytest.raises(ConfigError, match="even number of images"):
        zoo.load("groupmixformer", "miny", ("training.batch=7",))


def test_every_variant_has_a_cost() -> None:
    for variant in zoo.variants("groupmixformer"):
        summary = zoo.summary(f"groupmixformer/{variant}")
        assert summary.gmacs > 0 and summary.gmacs_here > 0
        assert isinstance(zoo.load("groupmixformer", variant).about, str)


def test_accuracy_of_fewer_classes_than_five() -> None:
    model = Classifier(SMALL, 3).eval()
    scores = recognised(model, {"image": torch.randn(2, 3, 64, 64), "label": torch.tensor([0, 2])})
    assert scores["top5"] == 200
