"""SparseFormer's configurations, reading of images, training and bootstrapping."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from avmodels.data.clips import UnreadableError
from avmodels.engine import config as configs
from avmodels.engine import weights
from avmodels.errors import ConfigError, DataError
from avmodels.sparseformer import data, recipe

FOLDER = Path(str(files("avmodels.sparseformer"))) / "configs"
COLOURS = ("red", "green", "blue", "grey")


def loaded(variant: str, *settings: str) -> Any:
    document = configs.override(configs.read_yaml(FOLDER / f"{variant}.yaml"), settings)
    return configs.validate(document, recipe.RECIPES[document["recipe"]], variant)


# --- configurations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_every_configuration_builds_at_the_published_cost(variant: str) -> None:
    config = loaded(variant)
    with torch.device("meta"):
        model = recipe.build(config).to("meta").eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(*recipe.example_input(config))
    assert counter.get_total_flops() / 2e9 == pytest.approx(recipe.published_gmacs(config), rel=0.01)


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("model.units=[64x2 ATTN DANCE]", "no operation 'DANCE'"),
        ("model.units=[ATTN]", "is no unit"),
        ("model.desing=v1-tiny", "did you mean design"),
        ("model.tokens=0", "greater than 0"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        loaded("tiny", setting)


# --- images --------------------------------------------------------------------------------------------------


def ramp(mode: str) -> Image.Image:
    grey = np.tile(np.linspace(0, 255, 32, dtype=np.uint8), (24, 1))
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    return Image.fromarray(np.stack([grey] * 3, -1)).convert(mode)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("L", "png"),
        ("CMYK", "jpg"),
        ("P", "png"),
        ("RGBA", "png"),
        ("LA", "png"),
        ("I;16", "png"),
        ("1", "png"),
    ],
)
def test_every_mode_reads_as_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"ramp.{suffix}"
    ramp(mode).save(path)
    got = data.read(path)
    assert got.mode == "RGB" and got.size == (32, 24)
    off = np.asarray(got, float) - np.asarray(ramp("RGB"), float)
    # A palette and two levels dither: right in the mean only.
    assert abs(off.mean()) < 4 if mode in ("P", "1") else np.abs(off).mean() < 8


def test_a_photo_taken_on_its_side_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    ramp("RGB").save(tmp_path / "side.jpg", exif=exif)
    assert data.read(tmp_path / "side.jpg").size == (24, 32)


def test_what_is_no_image_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.effect_noise((64, 64), 90).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no image")
    for name in ("cut.png", "text.png", "missing.png"):
        with pytest.raises(UnreadableError, match=name):
            data.read(tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with pytest.raises(UnreadableError, match="whole.png"):
        data.read(tmp_path / "whole.png")


# --- training ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of four kinds: a block of one of four colours anywhere on noise."""
    folder = tmp_path_factory.mktemp("pictures")
    for part, count in (("train", 16), ("val", 4)):
        for label, colour in enumerate(COLOURS):
            (folder / part / colour).mkdir(parents=True)
            for number in range(count):
                draw = np.random.default_rng([len(part), label, number])
                pixels = draw.integers(0, 90, (32, 32, 3), dtype=np.uint8)
                top, left = draw.integers(0, 16, 2)
                pixels[top : top + 14, left : left + 14] = 220 if label == 3 else 220 * np.eye(3)[label]
                Image.fromarray(pixels).save(folder / part / colour / f"{number}.png")
    return folder


SETTINGS = ("model.classes=4", "data.side=32", "training.batch=16", "optimiser.lr=0.05")


def test_classification_learns_and_its_weights_are_judged_alike(pictures: Path, tmp_path: Path) -> None:
    config = loaded("tiny", *SETTINGS, "training.epochs=4")
    metrics = recipe.train(config, pictures, tmp_path, None, resume=False)
    assert metrics["top1"] >= 75 and metrics["held_out"] == 16
    told = recipe.evaluate(config, tmp_path / "model.safetensors", pictures, tmp_path / "scores")
    assert told == metrics
    with pytest.raises(DataError, match="4 folders of classes, the network 5"):
        recipe.train(loaded("tiny", *SETTINGS, "model.classes=5"), pictures, tmp_path, None, resume=False)


def test_bootstrapping_comes_near_its_parent(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    small = ("parent.side=32", "parent.arguments.embed_dim=64", "parent.arguments.num_heads=1")
    units = "32x2 SAMPLING_M PE_INJECT ATTN MLP ROI_ADJ, 64 SAMPLING_M PE_INJECT" + ", 64 ATTN MLP" * 4
    settings = (*SETTINGS, *small, f"model.units=[{units}]", "model.tokens=6", "training.epochs=3")
    settings += ("optimiser.lr=0.15", "inherited_lr=1.0")
    config = loaded("tiny-bootstrap", *settings)
    with pytest.raises(ConfigError, match="--init"):
        recipe.train(config, pictures, tmp_path, None, resume=False)

    from timm.models import create_model

    torch.manual_seed(0)
    parent = create_model("vit_tiny_patch16_224", img_size=32, num_classes=4, **config.parent.arguments)
    weights.write(parent.state_dict(), tmp_path / "vit.safetensors", {})
    (tmp_path / "run").mkdir()
    metrics = recipe.train(config, pictures, tmp_path / "run", tmp_path / "vit.safetensors", resume=False)
    assert "inherited and tuned: 24 tensors (layers.3, layers.4)" in capsys.readouterr().err
    assert metrics["cosine"] > 0.9
    trained = weights.read(tmp_path / "run" / "model.safetensors", "sparseformer")
    frozen = parent.state_dict()["blocks.5.mlp.fc2.weight"]
    assert torch.equal(trained["layers.6.mlp.fc2.weight"], frozen)
    recipe.load(recipe.build(config), config, tmp_path / "run" / "model.safetensors")


def test_videos_are_neither_trained_on_nor_judged(tmp_path: Path) -> None:
    config = loaded("v1-tiny-k400")
    with pytest.raises(ConfigError, match="no training on videos"):
        recipe.train(config, tmp_path, tmp_path, None, resume=False)
    with pytest.raises(ConfigError, match="no test on videos"):
        recipe.evaluate(config, tmp_path, tmp_path, tmp_path)
