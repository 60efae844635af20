"""SparseFormer's configurations, reading of images, training and bootstrapping."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from avmodels import run, zoo
from avmodels.data import toy
from avmodels.engine import config as configs
from avmodels.engine import weights
from avmodels.errors import ConfigError, DataError, WeightsError
from avmodels.sparseformer import recipe

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


# --- training ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    blocks(folder, 16, 4)
    return folder


def blocks(folder: Path, train: int, held_out: int) -> None:
    """Images of four kinds, so many of each: a block of one of four colours anywhere on noise."""
    for part, count in (("train", train), ("val", held_out)):
        for label, colour in enumerate(COLOURS):
            (folder / part / colour).mkdir(parents=True)
            for number in range(count):
                draw = np.random.default_rng([len(part), label, number])
                pixels = draw.integers(0, 90, (32, 32, 3), dtype=np.uint8)
                top, left = draw.integers(0, 16, 2)
                pixels[top : top + 14, left : left + 14] = 220 if label == 3 else 220 * np.eye(3)[label]
                Image.fromarray(pixels).save(folder / part / colour / f"{number}.png")


SETTINGS = ("model.classes=4", "data.side=32", "training.batch=16", "optimiser.lr=0.05")


def test_classification_learns_and_its_weights_are_judged_alike(pictures: Path, tmp_path: Path) -> None:
    config = loaded("tiny", *SETTINGS, "training.epochs=4")
    metrics = recipe.train(config, pictures, tmp_path, None, resume=False)
    assert metrics["top1"] >= 75 and metrics["held_out"] == 16
    told = recipe.evaluate(config, tmp_path / "model.safetensors", pictures, tmp_path / "scores")
    assert told.pop("items_per_second") > 0
    assert told == metrics
    with pytest.raises(DataError, match="4 folders of classes, the network 5"):
        recipe.train(loaded("tiny", *SETTINGS, "model.classes=5"), pictures, tmp_path, None, resume=False)


def test_bootstrapping_comes_near_its_parent(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    small = (
        "parent.side=32",
        "parent.arguments.embed_dim=64",
        "parent.arguments.num_heads=1",
        "parent.arguments.depth=6",
        "parent.arguments.patch_size=8",
    )
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


def test_videos_are_named_from_image_weights(toys: Path, tmp_path: Path) -> None:
    """An image network, inflated, trains on clips; its points are spread over time first."""
    small = (
        "model.units=[64 ATTN ROI_ADJ SAMPLING_M MLP, 64 ATTN MLP]",
        "training.batch=8",
        "training.epochs=1",
    )
    settings = (*small, "data.frames=4", "data.segments=2", "data.crops=3")
    pictures = loaded("tiny", *small[:1], "model.points=16", "model.channels=24")
    weights.write(recipe.build(pictures).state_dict(), tmp_path / "image.safetensors", {})
    config = loaded("tiny-video", *settings)
    model = recipe.build(config)
    recipe.start(model, tmp_path / "image.safetensors")
    assert not model.state_dict()["layers.0.roi_offset_bias"].view(-1, 3)[:, 2].any()
    metrics = recipe.train(config, toys, tmp_path, tmp_path / "image.safetensors", resume=False)
    assert metrics["held_out"] == 16
    trained = weights.read(tmp_path / "model.safetensors", "sparseformer")
    assert trained["layers.0.roi_offset_bias"].view(-1, 3)[:, 2].std() > 0.1
    told = recipe.evaluate(config, tmp_path / "model.safetensors", toys, tmp_path)
    assert told["held_out"] == 16 and told["top5"] >= told["top1"]


def test_a_network_in_clips_space_is_asked_by_words(pictures: Path, tmp_path: Path) -> None:
    from tests.models.sparseformer.test_sparseformer_model import small_clip

    small = "model.units=[64x2 SAMPLING_M PE_INJECT ATTN MLP ROI_ADJ, 64 SAMPLING_M, 64 ATTN MLP]"
    settings = (small, "model.tokens=6", "model.classes=8", "data.side=32", "training.precision=fp32")
    settings += ("training.workers=0", "training.batch=8")
    config = loaded("clip-base", *settings)
    path, clip = tmp_path / "network.safetensors", tmp_path / "clip.safetensors"
    weights.write(recipe.build(config).state_dict(), path, {})
    weights.write(small_clip().state_dict(), clip, {})
    with pytest.raises(ConfigError, match="words.weights=FILE"):
        recipe.evaluate(config, path, pictures, tmp_path)
    config = loaded("clip-base", *settings, f"words.weights={clip}")
    told = recipe.evaluate(config, path, pictures, tmp_path)
    assert told["held_out"] == 16 and 0 <= told["top1"] <= 100
    files = [f"val/{colour}/{number}.png" for colour in COLOURS for number in range(4)]
    captions = {
        "images": [{"id": number, "file_name": f"{pictures}/{file}"} for number, file in enumerate(files)],
        "annotations": [{"image_id": number, "caption": f"picture {number}"} for number in range(16)],
    }
    with pytest.raises(DataError, match="neither annotations"):
        recipe.evaluate(config, path, tmp_path, tmp_path)
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    told = recipe.evaluate(config, path, tmp_path, tmp_path)
    assert told["images"] == told["texts"] == 16 and told["text_to_image_R@10"] >= told["text_to_image_R@1"]
    (tmp_path / "captions.json").write_text("[]")
    with pytest.raises(DataError, match="lists no captions"):
        recipe.evaluate(config, path, tmp_path, tmp_path)


@pytest.mark.parametrize("variant", ["v1-tiny", "v1-tiny-converted"])
def test_published_weights_go_in_and_out(variant: str, tmp_path: Path) -> None:
    """Each layout comes back under its own names."""
    name, sizes = f"sparseformer/{variant}", ("model.classes=5",)
    model = zoo.create(name, settings=sizes)
    theirs = recipe.published(model.state_dict(), zoo.load("sparseformer", variant))
    assert ("token_roi.weight" in theirs) == (variant == "v1-tiny")
    torch.save({"model": theirs}, tmp_path / "published.pth")
    ours = run.import_weights(name, tmp_path / "published.pth", tmp_path / "ours.safetensors", sizes)
    run.export_weights(name, tmp_path / "again.pth", ours)
    again = torch.load(tmp_path / "again.pth", weights_only=True)["model"]
    assert again.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[each]) for each, tensor in again.items())
    with pytest.raises(WeightsError, match=r"initial_roi.weight is \(49, 4\), the model's \(64, 4\)"):
        run.import_weights(
            name.replace("tiny", "small"), tmp_path / "published.pth", tmp_path / "no.safetensors"
        )


def test_a_quarter_of_the_tokens_keeps_what_a_vit_knows(tmp_path: Path, capsys: Any) -> None:
    """A small ViT learns four kinds of images; bootstrapped without labels, four tokens of its 17 keep its accuracy."""
    blocks(tmp_path / "data", 48, 32)
    shared = ("data.side=32", "training.batch=16", "training.evaluate_every=100")
    of_vit = ("side=32", "arguments.patch_size=8")
    parent = loaded(
        "tiny-parent",
        *(f"model.{one}" for one in of_vit),
        "model.classes=4",
        "training.batch=16",
        "training.epochs=20",
    )
    (tmp_path / "parent").mkdir()
    recipe.train(parent, tmp_path / "data", tmp_path / "parent", None, resume=False)
    knows = recipe.evaluate(parent, tmp_path / "parent/model.safetensors", tmp_path / "data", tmp_path)[
        "top1"
    ]
    assert knows > 80  # chance is 25

    # The same images without their classes: one folder, whatever the names.
    for part in ("train", "val"):
        (tmp_path / "bare" / part).mkdir(parents=True)
        for number, path in enumerate(sorted((tmp_path / "data" / part).rglob("*.png"))):
            (tmp_path / "bare" / part / f"{number * 7919 % 1000:03}.png").write_bytes(path.read_bytes())
    few = loaded(
        "tiny-bootstrap",
        *(f"parent.{one}" for one in of_vit),
        *shared,
        "model.classes=4",
        "training.epochs=16",
    )
    (tmp_path / "few").mkdir()
    init = tmp_path / "parent/model.safetensors"
    recipe.train(few, tmp_path / "bare", tmp_path / "few", init, resume=False)
    told = capsys.readouterr().err
    assert "inherited and frozen: 16 tensors (layers.3, norm, proj)" in told
    path = tmp_path / "few/model.safetensors"
    kept = recipe.evaluate(few, path, tmp_path / "data", tmp_path)["top1"]
    assert kept >= 0.95 * knows
    assert weights.metadata(path)["labels"] == json.dumps(sorted(COLOURS))


@pytest.mark.slow
def test_few_tokens_keep_what_a_small_vit_knows(tmp_path: Path) -> None:
    """A ViT learns toy shapes; a quarter of its tokens, bootstrapped without labels, keeps 95 % of its accuracy."""
    toy.make("imagenet", tmp_path / "toy", 4000, 800)
    accuracy = {}
    for variant, init in (
        ("tiny-parent", None),
        ("tiny-bootstrap", tmp_path / "tiny-parent/best.safetensors"),
    ):
        config = zoo.load("sparseformer", variant)
        run.train("sparseformer", config, tmp_path / "toy", tmp_path / variant, init)
        path = tmp_path / variant / "best.safetensors"
        accuracy[variant] = run.evaluate("sparseformer", config, path, tmp_path / "toy", tmp_path)["top1"]
    assert accuracy["tiny-parent"] > 60  # chance is 12.5
    assert accuracy["tiny-bootstrap"] >= 0.95 * accuracy["tiny-parent"]
