"""`avtool tags --backbone`: a film and a picture named by a classifier of the model library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from avmodels import zoo
from avmodels.data import toy_actions
from avmodels.engine import weights
from avmodels.groupmixformer import data
from avtool.cli.main import run

SETTINGS = ("model.widths=[10, 20, 20, 40]", "model.depths=[1, 1, 1, 1]", "model.classes=2", "data.side=32")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that tells red from blue: everything but its head is random, the head is solved for."""
    config, recipe = zoo.load("groupmixformer", "toy", SETTINGS), zoo.recipe("groupmixformer")
    torch.manual_seed(0)
    model = recipe.build(config).eval()
    with torch.no_grad():
        look = data.test_transform(config.data.side)
        red, blue = model.features(
            torch.stack([look(plain(colour)) for colour in ((230, 0, 0), (0, 0, 230))])
        )
        way = 8 * (red - blue) / (red - blue).square().sum()
        model.head.weight.copy_(torch.stack([way, -way]))
        middle = way @ (red + blue) / 2
        model.head.bias.copy_(torch.stack([-middle, middle]))
    path = tmp_path_factory.mktemp("colours") / "colours.safetensors"
    weights.write(model.state_dict(), path, recipe.about(config) | {"labels": ["red", "blue"]})
    return path


def plain(colour: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (128, 96), colour)


def tags(capsys: Any, *words: object) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run(["tags", *map(str, words), "--json", "-q"]) == 0
    return json.loads(capsys.readouterr().out)["records"]


def backbone(path: Path) -> list[object]:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return ["--backbone", "groupmixformer/toy", "--weights", path, *settings]


def test_shots_are_named(colours: Path, tmp_path: Path, capsys: Any) -> None:
    film = tmp_path / "film.mp4"
    frames = np.zeros((72, 96, 128, 3), np.uint8)
    frames[:36, ..., 0] = frames[36:, ..., 2] = 230
    toy_actions.write_video(film, frames)
    work = tmp_path / "work"
    found = tags(capsys, film, *backbone(colours), "--work", work)
    assert [record["label"] for record in found] == ["red", "blue"]
    assert found[0]["shot"] == 0 and found[1]["shot"] == 1
    assert tags(capsys, film, *backbone(colours), "--work", work) == found
    assert tags(capsys, film, *backbone(colours), "--work", work, "--threshold", 1.0) == []


def test_pictures_are_named(colours: Path, tmp_path: Path, capsys: Any) -> None:
    plain((230, 0, 0)).save(tmp_path / "a.png")
    assert [record["label"] for record in tags(capsys, tmp_path / "a.png", *backbone(colours))] == ["red"]


def test_wrong_words_are_told(colours: Path, tmp_path: Path, capsys: Any) -> None:
    film = tmp_path / "none.mp4"
    assert run(["tags", str(film), "--weights", str(colours)]) == 2
    assert run(["tags", str(film), "--backbone", "groupmixformer"]) == 2
    assert run(["tags", str(film), "--backbone", "groupmixformer/toyy"]) == 2
    assert "did you mean toy" in capsys.readouterr().err
    assert run(["tags", str(film), "--backbone", "uni-ad/tiny", "--weights", str(colours)]) == 2
    assert run(["tags", str(film), "--backbone", "groupmixformer/base", "--weights", str(colours)]) == 5
    assert "is of another size" in capsys.readouterr().err
    assert run(["tags", str(film), "--backbone", "groupmixformer/base"]) == 5
    assert "avtool weights import groupmixformer/base" in capsys.readouterr().err
