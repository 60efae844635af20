"""SparseFormer as it is used: the same numbers, compiled or not, and where its tokens look."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from avmodels import run, zoo
from avmodels.engine import weights
from avmodels.errors import ConfigError
from avmodels.sparseformer import data, looks, recipe
from avmodels.sparseformer.fold import folded
from avmodels.sparseformer.model import DESIGNS, Design, SparseFormer, Unit
from tests.models.sparseformer.test_sparseformer_model import LOOK, SMALL, bootstrapped_small

TWICE = ("SAMPLING_M", "ATTN", "SAMPLING_M", "MLP", "ROI_ADJ")


def lived_in(design: Design, replicates: int | None = None) -> SparseFormer:
    """A network in float64 every part of which tells in the numbers."""
    torch.manual_seed(0)
    model = SparseFormer(design, 7, replicates=replicates).double().eval()
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


def seen(*sides: int) -> Tensor:
    return torch.randn(2, 3, *sides, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("side", [(48, 48), (37, 90), (9, 14)])
@pytest.mark.parametrize(
    "design",
    [
        SMALL,
        dataclasses.replace(SMALL, numerics="training", points=36),
        dataclasses.replace(SMALL, units=(Unit(64, TWICE, 2), Unit(128, ("MLP",)))),
        dataclasses.replace(
            SMALL, units=(Unit(64, ("ATTN", "MLP")), Unit(128, LOOK), Unit(128, ("ATTN", "MLP")))
        ),
        bootstrapped_small(),
        bootstrapped_small(quick_gelu=True, tokens=12),
        bootstrapped_small(class_token_before=None, head="mean"),
    ],
)
@torch.inference_mode()
def test_the_folded_network_gives_the_same(design: Design, side: tuple[int, int]) -> None:
    model, image = lived_in(design), seen(*side)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fast = folded(model, torch.float64)
    torch.testing.assert_close(fast(image), model(image), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        fast(image, projected=False), model(image, projected=False), rtol=1e-5, atol=1e-5
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("design", [SMALL, bootstrapped_small(video_encoding="space")])
@torch.inference_mode()
def test_videos_too(design: Design) -> None:
    model, video = lived_in(design, replicates=2), seen(5, 40, 32)
    torch.testing.assert_close(folded(model, torch.float64)(video), model(video), rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_bfloat16_weights_give_nearly_the_same() -> None:
    torch.manual_seed(0)
    model = SparseFormer(DESIGNS["v1-tiny"], 10).eval()
    for parameter in model.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    image = torch.randn(2, 3, 96, 96)
    want, got = model(image), folded(model, torch.bfloat16)(image).float()
    assert (got - want).norm() < 0.05 * want.norm()


@pytest.mark.slow
@pytest.mark.parametrize("system", ["sparseformer", "groupmixformer"])
@torch.inference_mode()
def test_compiled_networks_give_the_same(system: str, tmp_path: Path) -> None:
    """The option of the configurations, for batches of more sizes than one."""
    variant = {"sparseformer": "tiny", "groupmixformer": "toy"}[system]
    config = zoo.load(system, variant, ("compile=true",))
    plain = zoo.create(f"{system}/{variant}")
    weights.write(plain.state_dict(), tmp_path / "w.safetensors", {})
    fast = zoo.recipe(system).in_use(config, tmp_path / "w.safetensors")
    for batch in (2, 3):
        image = torch.randn(batch, 3, 64, 64)
        torch.testing.assert_close(fast(image), plain(image), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("design", [SMALL, bootstrapped_small()])
def test_every_look_is_shown(design: Design) -> None:
    model = lived_in(design).float()
    image = torch.randn(3, 40, 40)
    shown = list(looks.stages(model, image))
    wanted = sum(unit.passes for unit in design.units if "SAMPLING_M" in unit.ops)
    assert len(shown) == wanted
    assert shown[0].points.shape == (design.tokens, design.points, 2)
    after = dict(enumerate(model.passes(image[None])))
    if design.units[0].ops[-1] == "ROI_ADJ":  # what a pass leaves is what the next one looks with
        assert torch.equal(shown[1].regions, after[0].regions[0])


def test_the_page_shows_the_picture_and_where_it_is_looked_at(tmp_path: Path) -> None:
    pixels = np.zeros((90, 120, 3), np.uint8)
    pixels[30:60, 40:80] = (255, 200, 0)
    config = zoo.load("sparseformer", "tiny")
    path = tmp_path / "w.safetensors"
    weights.write(recipe.build(config).state_dict(), path, recipe.about(config))
    page = run.show("sparseformer", config, path, pixels)
    assert page.width > 3 * looks.CELL and page.height > looks.CELL
    first = np.asarray(page)[looks.EDGE : looks.EDGE + looks.CELL, looks.EDGE : looks.EDGE + looks.CELL]
    assert first[looks.CELL // 2, looks.CELL // 2].tolist() == pytest.approx([255, 200, 0], abs=2)
    with pytest.raises(ConfigError, match="does not tell where it looks; sparseformer does"):
        run.show("groupmixformer", config, path, pixels)
    small = data.middle(config.data, config.data.side)(Image.fromarray(pixels))
    assert small.shape == (3, config.data.side, config.data.side)
