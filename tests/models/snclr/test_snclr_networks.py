"""SNCLR's networks and rules where the published cases do not reach."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avmodels import run, zoo
from avmodels.engine import weights
from avmodels.errors import ConfigError, WeightsError
from avmodels.metrics.knn import accuracy, weighted_votes
from avmodels.snclr import checkpoint, recipe
from avmodels.snclr.bank import NeighbourBank
from avmodels.snclr.encoder import SIZES, ResNetSize, ViT, ViTSize, sine_cosine
from avmodels.snclr.loss import Candidates, Objective, direction, positiveness
from avmodels.snclr.model import SNCLR, Head
from tests.models.snclr.conftest import small

VIT = ViTSize(patch=8, width=24, depth=2, heads=3)
HEAD = Head(width=8, hidden=16, bank=20)


def labels_loss(prediction: Tensor, projection: Tensor, candidates: Candidates, how: Objective) -> Tensor:
    """The loss by its definition: a matrix of labels over all candidates."""
    rows = candidates.rows.flatten(0, 1)
    each = candidates.rows.shape[1]
    labels = torch.zeros(len(prediction), len(rows))
    weights = positiveness(projection, candidates.own(len(prediction))[:, 1:], how.threshold)
    for i, shares in enumerate(weights):
        first = (candidates.first + i) * each
        labels[i, first] = 1
        labels[i, first + 1 : first + each] = shares
    scores = F.normalize(prediction, dim=1) @ rows.T / how.temperature
    return -2 * how.temperature * (labels * scores.log_softmax(1)).sum(1).mean()


@pytest.mark.parametrize("threshold", [False, True])
@pytest.mark.parametrize("first", [0, 5])
def test_the_closed_form_is_the_labelled_loss(first: int, threshold: bool) -> None:
    torch.manual_seed(0)
    prediction, projection = (torch.randn(5, 8, requires_grad=True) for _ in range(2))
    candidates = Candidates(F.normalize(torch.randn(15, 4, 8), dim=2), first)
    how = Objective(neighbours=3, threshold=threshold)
    ours = torch.autograd.grad(direction(prediction, projection, candidates, how), (prediction, projection))
    theirs = torch.autograd.grad(
        labels_loss(prediction, projection, candidates, how), (prediction, projection)
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_without_neighbours_it_is_instance_discrimination() -> None:
    prediction, keys = torch.randn(6, 8), F.normalize(torch.randn(6, 8), dim=1)
    got = direction(prediction, prediction, Candidates(keys[:, None], 0), Objective(0.5, neighbours=0))
    scores = F.normalize(prediction, dim=1) @ keys.T / 0.5
    torch.testing.assert_close(got, F.cross_entropy(scores, torch.arange(6)))


def test_the_papers_form_counts_all_positives_in_one_logarithm() -> None:
    torch.manual_seed(0)
    prediction, rows = torch.randn(4, 8), F.normalize(torch.randn(4, 3, 8), dim=2)
    candidates, how = Candidates(rows, 0), Objective(0.2, neighbours=2, form="paper")
    exponentials = (F.normalize(prediction, dim=1) @ rows.flatten(0, 1).T / 0.2).exp().view(4, 4, 3)
    own, weights = exponentials[range(4), range(4)], positiveness(prediction, rows[:, 1:])
    likely = (own[:, 0] + (weights * own[:, 1:]).sum(1)) / exponentials.sum((1, 2))
    torch.testing.assert_close(direction(prediction, prediction, candidates, how), -0.4 * likely.log().mean())


@settings(max_examples=30, deadline=None)
@given(size=st.integers(3, 12), batches=st.lists(st.integers(1, 15), max_size=6))
def test_the_bank_is_written_in_turn_and_drops_what_does_not_fit(size: int, batches: list[int]) -> None:
    bank, place = NeighbourBank(4, size), 0
    held = bank.rows.clone()
    for number, count in enumerate(batches, start=1):
        bank.put(torch.full((count, 4), float(number)))
        for _ in range(min(count, size - place)):
            held[place] = number
            place += 1
        place %= size
    assert bank.place == place
    assert torch.equal(bank.rows, held)
    torch.testing.assert_close(bank.directions(torch.arange(size)), F.normalize(held))


def test_neighbours_are_those_of_the_largest_cosine() -> None:
    torch.manual_seed(0)
    bank, keys = NeighbourBank(8, 50), torch.randn(5, 8)
    bank.put(torch.randn(30, 8) * torch.rand(30, 1) * 9)
    numbers, cosines = bank.nearest(keys, 4)
    expected = F.cosine_similarity(keys[:, None], bank.rows[None], dim=2).topk(4)
    assert torch.equal(numbers, expected.indices)
    torch.testing.assert_close(cosines, expected.values)


def test_positions_of_a_wide_grid_are_rows_and_columns() -> None:
    table = sine_cosine(2, 3, 16)[1:].view(2, 3, 16)
    assert torch.equal(table[:, 0, :8], table[:, 2, :8])
    assert torch.equal(table[0, :, 8:], table[1, :, 8:])
    assert len(table.flatten(0, 1).unique(dim=0)) == 6


def test_the_copy_follows_and_learns_nothing() -> None:
    model = SNCLR(VIT, HEAD, side=16)
    names = dict(model.named_parameters())
    assert not any(name.startswith("momentum_encoder.") for name in names)
    before = model.momentum_encoder.get_buffer("norm.bias").clone()
    with torch.no_grad():
        names["base_encoder.norm.bias"].add_(1)
    model.follow(0.75)
    torch.testing.assert_close(model.momentum_encoder.get_buffer("norm.bias"), before + 0.25)
    assert not names["base_encoder.patch_embed.proj.weight"].requires_grad
    views = model(torch.randn(4, 3, 16, 16), torch.randn(4, 3, 16, 16))
    assert views.predictions[0].requires_grad and not views.keys[0].requires_grad


def test_views_side_by_side_are_views_one_by_one() -> None:
    torch.manual_seed(0)
    model = SNCLR(VIT, HEAD, side=16).train()
    views = torch.randn(2, 4, 3, 16, 16)
    together = model(*views)
    encoder = model.base_encoder
    one_by_one = [encoder.projector(encoder.represent(view)) for view in views]
    for got, expected in zip(together.projections, one_by_one, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_a_resnet_learns_from_each_view_by_itself() -> None:
    model = SNCLR(ResNetSize((1, 1, 1, 1)), HEAD).train()
    model(torch.randn(4, 3, 32, 32), torch.randn(4, 3, 32, 32))
    assert model.base_encoder.get_buffer("bn1.num_batches_tracked") == 2
    assert model.base_encoder.get_buffer("layer1.0.bn3.num_batches_tracked") == 2
    assert "predictor.4.running_mean" not in model.state_dict()


def test_initial_projections_are_xavier_for_queries_keys_and_values_each() -> None:
    vit = ViT(ViTSize(patch=16, width=384, depth=1, heads=12), side=32)
    weights = vit.state_dict()
    for name, fans in (("blocks.0.attn.qkv", 384 + 384), ("patch_embed.proj", 3 * 16**2 + 384)):
        assert 0.98 < weights[f"{name}.weight"].abs().max() / math.sqrt(6 / fans) <= 1
        assert not weights[f"{name}.bias"].any()


def published_file(model: SNCLR, path: Path) -> Path:
    """A checkpoint as the published training writes it."""
    state = {f"module.{name}": value for name, value in checkpoint.published(model.state_dict()).items()}
    torch.save({"epoch": 300, "arch": "vit_small", "state_dict": state}, path)
    return path


def test_a_published_checkpoint_gives_pretraining_and_encoder(tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = small()
    model = recipe.build(config)
    assert isinstance(model, SNCLR)
    path = published_file(model, tmp_path / "checkpoint_0299.pth.tar")
    other = zoo.validate("snclr", config.model_dump(mode="json"), "a test")
    again = recipe.build(other)
    recipe.load(again, other, path)
    name = "predictor.0.weight"
    assert torch.equal(again.state_dict()[name], model.state_dict()[name])
    plain = zoo.load("snclr", "vit-s-features", ("model.size=vit-tiny", "model.side=16"))
    trunk = recipe.build(plain)
    recipe.load(trunk, plain, path)
    image = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(trunk.eval()(image), model.base_encoder.eval().represent(image))


def test_the_encoder_is_exported_for_timm(tmp_path: Path) -> None:
    from timm.models.vision_transformer import VisionTransformer

    model = recipe.build(zoo.load("snclr", "vit-s-features"))
    weights.write(
        model.state_dict(),
        tmp_path / "ours.safetensors",
        recipe.about(zoo.load("snclr", "vit-s-features")),
    )
    run.export_weights("snclr/vit-s-features", tmp_path / "deit.pth", tmp_path / "ours.safetensors")
    timm = VisionTransformer(embed_dim=384, num_heads=12, num_classes=0)
    timm.load_state_dict(torch.load(tmp_path / "deit.pth")["model"])
    image = torch.randn(1, 3, 224, 224)
    torch.testing.assert_close(timm.eval()(image), model.eval()(image))


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    path = published_file(SNCLR(VIT, HEAD, side=16), tmp_path / "other.pth.tar")
    config = small()
    with pytest.raises(WeightsError, match="does not fit"):
        recipe.load(recipe.build(config), config, path)


@pytest.mark.parametrize(
    ("setting", "words"),
    [("learning.neighbours=25", "a bank of 24"), ("model.side=20", "patches of 8 pixels")],
)
def test_settings_that_cannot_work_are_refused(setting: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        small(setting)


def test_every_configuration_is_valid() -> None:
    for name in zoo.variants("snclr"):
        assert zoo.load("snclr", name).model.size in SIZES


def test_votes_weigh_by_nearness() -> None:
    references = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.8, 0.6], [-1.0, 0.0]])
    labels, query = torch.tensor([0, 1, 1, 2]), torch.tensor([[2.0, 0.1]])
    # Three neighbours: one vote of cosine 1, two of 0.83 or so, which at 0.07 weigh less together.
    assert weighted_votes(references, labels, query, (1, 3)).tolist() == [[0], [0]]
    assert weighted_votes(references, labels, query, (3,), temperature=1.0).tolist() == [[1]]
    assert accuracy(references, labels, query, torch.tensor([0]), (3, 100)) == {"knn3": 100.0}
