"""Vectors and names of pictures and frames, by any network of images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from avmodels import run, seeing, zoo
from avmodels.data import toy_actions
from avmodels.engine import weights
from avmodels.errors import ConfigError, DataError
from avmodels.groupmixformer.model import Classifier
from tests.models.conftest import SMALL

BRIEF = ("model.widths=[10, 20, 20, 40]", "model.depths=[1, 1, 1, 1]", "data.side=32")
NETWORKS = {"groupmixformer": ("toy", BRIEF, 40), "sparseformer": ("tiny", ("data.side=32",), 128)}


def made(system: str, folder: Path, **about: Any) -> tuple[Any, Path]:
    """A small network of a system with random weights: its configuration, and its file."""
    variant, settings, _ = NETWORKS[system]
    config, path = zoo.load(system, variant, settings), folder / f"{system}.safetensors"
    torch.manual_seed(0)
    model = zoo.recipe(system).build(config)
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    weights.write(model.state_dict(), path, zoo.recipe(system).about(config) | about)
    return config, path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """One picture in many modes and sizes, one on its side, and three that cannot be read."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    grey = np.tile(np.linspace(0, 255, 48, dtype=np.uint8), (32, 1))
    colour = Image.fromarray(np.stack([grey, grey[:, ::-1], grey], -1))
    for mode, name in (
        ("L", "grey.png"),
        ("CMYK", "cmyk.jpg"),
        ("P", "palette.png"),
        ("RGBA", "alpha.png"),
        ("RGB", "colour.jpg"),
    ):
        colour.convert(mode).save(folder / name)
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "sixteen.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    colour.save(folder / "side.jpg", exif=exif)
    colour.resize((3, 200)).save(folder / "thin.png")
    colour.resize((1, 1)).save(folder / "dot.png")
    whole = (folder / "colour.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("no picture")
    header = Image.new("1", (20000, 20000))
    header.save(folder / "bomb.png")
    return folder


@pytest.mark.parametrize("system", NETWORKS)
def test_pictures_of_all_kinds_have_vectors(
    system: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, path = made(system, tmp_path)
    count = run.features(system, config, path, [pictures], tmp_path / "f.npz", "fp32")
    told = capsys.readouterr().err
    assert count == 9
    assert all(f"{name} cannot be read" in told for name in ("cut.jpg", "text.png", "bomb.png"))
    with np.load(tmp_path / "f.npz") as file:
        assert file["features"].shape == (9, NETWORKS[system][2]) and np.isfinite(file["features"]).all()
        names = [Path(name).name for name in file["files"]]
        rows = dict(zip(names, file["features"], strict=True))
    assert names == sorted(names)
    # A photo taken on its side is another picture than the same one upright; with alpha it is the same.
    off = {name: np.abs(rows[name] - rows["colour.jpg"]).max() for name in ("side.jpg", "alpha.png")}
    assert off["side.jpg"] > 3 * off["alpha.png"]
    again = run.features(system, config, path, [pictures / "grey.png"], tmp_path / "g.npz", "bf16")
    with np.load(tmp_path / "g.npz") as file:
        assert again == 1
        off = np.linalg.norm(file["features"][0] - rows["grey.png"]) / np.linalg.norm(rows["grey.png"])
        assert off < 0.05


def test_a_film_has_a_vector_a_second(toys: Path, tmp_path: Path) -> None:
    config, path = made("sparseformer", tmp_path)
    film = next((toys / "val").glob("*.mp4"))
    assert run.features("sparseformer", config, path, [film], tmp_path / "f.npz", "bf16") == 2
    with np.load(tmp_path / "f.npz") as file:
        assert file["seconds"].tolist() == [0, 1] and file["features"].shape == (2, 128)


def test_what_gives_no_features_is_said(pictures: Path, toys: Path, tmp_path: Path) -> None:
    config, path = made("groupmixformer", tmp_path)
    film = next((toys / "val").glob("*.mp4"))
    with pytest.raises(ConfigError, match="one film, or pictures"):
        run.features("groupmixformer", config, path, [film, pictures], tmp_path / "f.npz", "fp32")
    with pytest.raises(ConfigError, match=r"\.npz, not to f\.npy"):
        run.features("groupmixformer", config, path, [pictures], tmp_path / "f.npy", "fp32")
    with pytest.raises(ConfigError, match="fp32 or bf16, not fp8"):
        run.features("groupmixformer", config, path, [pictures], tmp_path / "f.npz", "fp8")
    with pytest.raises(DataError, match="none of the pictures"):
        run.features("groupmixformer", config, path, [pictures / "text.png"], tmp_path / "f.npz", "fp32")
    segmenter = zoo.load("groupmixformer", "toy-semantic-fpn")
    with pytest.raises(ConfigError, match="segment is another configuration"):
        run.features("groupmixformer", segmenter, path, [pictures], tmp_path / "f.npz", "fp32")
    assert not list(tmp_path.glob("f.*"))


def test_classes_have_the_names_they_were_trained_with(tmp_path: Path) -> None:
    names = json.dumps([f"kind {number}" for number in range(8)])
    config, path = made("groupmixformer", tmp_path, labels=names)
    recogniser = run.recogniser("groupmixformer", config, path)
    assert recogniser.labels[3] == "kind 3"
    clip = np.random.default_rng(0).integers(0, 255, (1, 50, 70, 3), dtype=np.uint8)
    scores = recogniser([clip, clip])
    assert scores.shape == (2, 8) and scores.sum(1) == pytest.approx(1, abs=1e-5)
    _, nameless = made("groupmixformer", tmp_path)
    with pytest.raises(ConfigError, match="does not say what its 8 classes are called"):
        run.recogniser("groupmixformer", config, nameless)
    assert seeing.labels(nameless, 1000)[0] == "tench"
    with pytest.raises(ConfigError, match="tag-align names no pictures"):
        run.recogniser("tag-align", config, path)


def test_clips_are_named_by_classifiers_of_videos(tmp_path: Path) -> None:
    config = zoo.load("videomae-v2", "tiny", SMALL)
    path = tmp_path / "w.safetensors"
    names = json.dumps(list(toy_actions.ACTIONS))
    weights.write(zoo.recipe("videomae-v2").build(config).state_dict(), path, {"labels": names})
    recogniser = run.recogniser("videomae-v2", config, path)
    assert recogniser.frames == 4 and recogniser.labels == toy_actions.ACTIONS
    assert recogniser([np.zeros((4, 20, 30, 3), np.uint8)]).shape == (1, 8)


def test_folded_features_are_those_of_the_network() -> None:
    from avmodels.groupmixformer.fold import folded

    torch.manual_seed(0)
    model = zoo.create("groupmixformer/toy")
    assert isinstance(model, Classifier)
    model.norm4.running_mean.uniform_(-1, 1)  # pyright: ignore[reportOptionalMemberAccess]
    image = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(
            folded(model)(image, projected=False), model.features(image), rtol=1e-3, atol=1e-4
        )
