"""The model library's commands, from toy data to features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from avmodels.errors import ConfigError, ModelsError
from avtool.cli import evaluate, models
from tests.models.conftest import SMALL

weights_app = typer.Typer()
app = typer.Typer()
models.add_to(app, weights_app)
app.add_typer(evaluate.app, name="eval")
app.add_typer(weights_app, name="weights")


def call(*arguments: object) -> str:
    """What a command prints on stdout; its own error if it fails."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_from_toy_data_to_features(tmp_path: Path) -> None:
    toy, run = tmp_path / "toy", tmp_path / "run"
    call("data", "toy", "videomae-v2", toy, "--train", 16, "--held-out", 8)
    settings = [word for setting in SMALL for word in ("--set", setting)]
    assert call("train", "videomae-v2", "--data", toy, "-o", run, *settings).strip() == str(run)
    told = json.loads(
        call("eval", "videomae-v2", "--weights", run / "model.safetensors", "--data", toy, "--json")
    )
    assert told["schema"] == "avtool.eval/1"
    assert told["metrics"]["videos"] == 8
    film, out = toy / "val/00000.mp4", tmp_path / "f.npy"
    call("features", "videomae-v2", film, "--weights", run / "best.safetensors", "-o", out)
    assert np.load(out).shape == (6, 96)


def test_pretraining_then_finetuning(toys: Path, tmp_path: Path) -> None:
    pretraining = [word for setting in SMALL for word in ("--set", setting)]
    call(
        *("train", "videomae-v2", "--config", "tiny-pretrain", "--data", toys / "unlabelled"),
        *("-o", tmp_path / "one", *pretraining),
    )
    told = call(
        *("eval", "videomae-v2", "--weights", tmp_path / "one/model.safetensors"),
        *("--data", toys / "unlabelled", "--json"),
    )
    assert 0 < json.loads(told)["metrics"]["loss"] < 2
    call(
        *("train", "videomae-v2", "--data", toys, "--init", tmp_path / "one/model.safetensors"),
        *("-o", tmp_path / "two", *pretraining),
    )


def test_the_zoo_is_listed_and_shown() -> None:
    listed = json.loads(call("models", "list", "--json"))["models"]
    assert {"system": "videomae-v2", "variant": "vit-g-k710", "recipe": "finetune"}.items() <= next(
        entry.items() for entry in listed if entry["variant"] == "vit-g-k710"
    )
    shown = call("models", "show", "videomae-v2/vit-b-k710-distilled")
    for words in ("86,773,190", "180.35", "top1 86.6", "vit_b_k710_dl_from_giant.pth"):
        assert words in shown


def test_import_and_export(tmp_path: Path) -> None:
    import torch

    from avmodels import create

    torch.save({"model": create("videomae-v2/tiny").state_dict()}, tmp_path / "published.pth")
    ours = tmp_path / "ours.safetensors"
    assert call(
        "weights", "import", "videomae-v2/tiny", tmp_path / "published.pth", "-o", ours
    ).strip() == str(ours)
    call("weights", "export", "videomae-v2/tiny", tmp_path / "back.pth", "--weights", ours)
    assert (
        torch.load(tmp_path / "back.pth")["model"].keys()
        == torch.load(tmp_path / "published.pth")["model"].keys()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("models", "show", "videomae"), "no system is called 'videomae'; did you mean videomae-v2"),
        (("models", "show", "videomae-v2/vit-b-k500"), "no variant 'vit-b-k500'; did you mean vit-b-k"),
        (("train", "videomae-v2", "--data", ".", "--set", "optimiser.learning_rate=1"), "optimiser.learning_rate is no setting .there are lr, final_lr"),
        (("train", "videomae-v2", "--data", ".", "--set", "training.bach=1"), "training.bach is no setting; did you mean batch"),
        (("train", "videomae-v2", "--data", ".", "--set", "training.batch=0"), "training.batch: .*greater than 0, got 0"),
        (("train", "videomae-v2", "--data", ".", "--set", "model.side=33"), "do not fit"),
        (("train", "videomae-v2", "--data", ".", "--set", "batch"), "write section.key=value"),
        (("train", "videomae-v2", "--data", ".", "--config", "none.yaml"), "cannot read the configuration none.yaml"),
    ],
)  # fmt: skip
def test_a_wrong_command_is_told(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as told:
        call(*arguments)
    assert told.value.exit_code == 2
    assert isinstance(told.value, ModelsError)
    assert "\n" not in str(told.value)
