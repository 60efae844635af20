"""Things looked for by name: a picture or a film in, a table, JSON and a page that shows where out."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avtool import tag
from avtool.cli.main import run
from avtool.errors import UsageError


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TagAlign with small towers that never learned anything."""
    import torch

    from avmodels import zoo
    from avmodels.engine.weights import write

    torch.manual_seed(0)
    config = zoo.load("tag-align", "gated", ("model.towers=vit-tiny", "model.tags=3"))
    recipe = zoo.recipe("tag-align")
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    write(recipe.build(config).state_dict(), path, recipe.about(config))
    return path


def test_words_are_told_apart_by_commas_and_told_once():
    assert tag.words_of(" red  car, dog,, red car ,a man with a hat") == [
        "red car",
        "dog",
        "a man with a hat",
    ]
    with pytest.raises(UsageError, match="names nothing"):
        tag.words_of(" , ")


def test_a_box_is_drawn_around_what_is_there():
    where = np.zeros((10, 20), bool)
    assert tag.box_of(where) is None
    where[2:5, 4:8] = True
    assert tag.box_of(where) == (0.2, 0.2, 0.4, 0.5)


def test_a_picture_gets_a_score_a_word_and_a_page(weights, tmp_path: Path, capsys):
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 255, (90, 120, 3), np.uint8)).save(tmp_path / "a.png")
    options = ["--weights", str(weights), "--map", str(tmp_path / "map.png"), "--threshold", "0", "--json"]
    assert run(["tag", str(tmp_path / "a.png"), "--tags", "red car, dog", *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(it["word"], it["present"], it["shot"]) for it in told["tags"]] == [
        ("red car", True, None),
        ("dog", True, None),
    ]
    assert all(0 < it["score"] < 1 and it["box"] == [0, 0, 1, 1] for it in told["tags"])
    with Image.open(tmp_path / "map.png") as page:
        assert page.width == 2 * tag.EDGE + 3 * tag.CELL + 2 * tag.GAP


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["gone.png", "--tags", "dog"], 4, "gone.png"),
        (["a.png", "--tags", ","], 2, "names nothing"),
        (["a.png", "--tags", "dog", "--weights", "gone.safetensors"], 5, "gone.safetensors"),
    ],
)
def test_bad_input_is_told_in_a_line(arguments, code, words, weights, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = arguments if "--weights" in arguments else [*arguments, "--weights", str(weights)]
    ended = run(["tag", *given])
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and said.out == ""
    assert ended == code


def test_weights_that_were_never_imported_name_the_command(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert run(["tag", "a.png", "--tags", "dog"]) == 5
    assert "avtool weights import tag-align/gated" in capsys.readouterr().err
