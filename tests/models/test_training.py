"""The loop: exact resume, several processes, EMA, checkpoints, logs, and what stops it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from avmodels import run
from avmodels.engine import checkpoints, train
from avmodels.engine import config as configs
from avmodels.engine.log import records
from avmodels.errors import ConfigError, DataError, DivergedError, SpaceError
from tests.models.conftest import small


class Killed(BaseException):
    """Stands for the process being killed: nothing may catch it."""


def steps(folder: Path) -> list[tuple[int, float, float]]:
    """Step, loss and gradient norm of every recorded step."""
    return [(r["step"], r["loss"], r["grad_norm"]) for r in records(folder) if "loss" in r]


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Makes the loop die when it has computed the loss of a step, before it is recorded."""
    agree, calls = train.agree, iter(range(1000))

    def dying(*arguments: Any) -> Any:
        if next(calls) == step:
            raise Killed
        return agree(*arguments)

    monkeypatch.setattr(train, "agree", dying)


@pytest.mark.parametrize(
    ("variant", "folder", "settings"),
    [
        ("tiny", ".", ("data.mix=true", "model.drop_path=0.2", "data.erase=0.5", "training.ema=0.9")),
        (
            "tiny",
            ".",
            ("training.accumulate=2", "training.batch=2", "optimiser.clip=0.5", "training.workers=1"),
        ),
        ("tiny-pretrain", "unlabelled", ("training.checkpointing=true",)),
    ],
)
@pytest.mark.parametrize("killed", [3, 7, 9])
def test_a_killed_run_goes_on_exactly(
    toys: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
    folder: str,
    settings: tuple[str, ...],
    killed: int,
) -> None:
    config = small(variant, "training.save_every=2", *settings)
    run.train("videomae-v2", config, toys / folder, tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_at(patch, killed)
        with pytest.raises(Killed):
            run.train("videomae-v2", config, toys / folder, tmp_path / "broken")
    run.train("videomae-v2", config, toys / folder, tmp_path / "broken", resume=True)
    assert steps(tmp_path / "broken") == steps(tmp_path / "whole")
    assert len(steps(tmp_path / "whole")) == 12
    for part in ("model", "ema"):
        if (tmp_path / "whole" / f"{part}.safetensors").exists():
            one, other = (load_file(tmp_path / name / f"{part}.safetensors") for name in ("whole", "broken"))
            assert one.keys() == other.keys()
            assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_do_what_one_does_and_resume_exactly(toys: Path, tmp_path: Path, parallel: str) -> None:
    one = small("tiny", "training.batch=8", "training.ema=0.9")
    two = small(
        "tiny",
        "training.ema=0.9",
        "training.save_every=2",
        "training.keep=9",
        f"training.parallel={parallel}",
    )
    run.train("videomae-v2", one, toys, tmp_path / "one")
    run.train("videomae-v2", two, toys, tmp_path / "two", processes=2)
    np.testing.assert_allclose(steps(tmp_path / "two"), steps(tmp_path / "one"), rtol=1e-4)
    assert records(tmp_path / "two")[-1] == records(tmp_path / "one")[-1]

    shutil.copytree(tmp_path / "two", tmp_path / "broken")
    for late in checkpoints.checkpoints(tmp_path / "broken" / "checkpoints")[1:]:
        shutil.rmtree(late)
    run.train("videomae-v2", two, toys, tmp_path / "broken", resume=True, processes=2)
    assert steps(tmp_path / "broken") == steps(tmp_path / "two")
    for part in ("model", "ema"):
        one, other = (load_file(tmp_path / name / f"{part}.safetensors") for name in ("two", "broken"))
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"), [((2, "fsdp"), (1, "ddp")), ((1, "ddp"), (2, "fsdp")), ((2, "fsdp"), (2, "ddp"))]
)
def test_a_run_goes_on_with_another_number_of_processes(
    toys: Path, tmp_path: Path, before: tuple[int, str], after: tuple[int, str]
) -> None:
    """Shards or not: what one spread of processes saved, any other goes on from."""

    def train(how: tuple[int, str], folder: str, resume: bool = False, times: int = 1) -> None:
        processes, parallel = how
        settings = (f"training.batch={8 * times // processes}", f"training.parallel={parallel}")
        config = small("tiny", "training.ema=0.9", "training.save_every=2", "training.keep=9", *settings)
        run.train("videomae-v2", config, toys, tmp_path / folder, resume=resume, processes=processes)

    train(before, "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "broken")
    early, *late = checkpoints.checkpoints(tmp_path / "broken" / "checkpoints")
    assert (early / checkpoints.SHARDS).is_dir() == (before == (2, "fsdp"))
    for folder in late:
        shutil.rmtree(folder)
    train(after, "broken", resume=True)
    np.testing.assert_allclose(steps(tmp_path / "broken"), steps(tmp_path / "whole"), rtol=1e-4)
    with pytest.raises(ConfigError, match="8 clips a step, and would now take 16"):
        train((1, "ddp"), "broken", resume=True, times=2)
    one, other = (load_file(tmp_path / name / "ema.safetensors") for name in ("whole", "broken"))
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)


@pytest.mark.slow
def test_torchrun_does_what_our_own_launch_does(toys: Path, tmp_path: Path) -> None:
    config = small("tiny", "training.epochs=1")
    run.train("videomae-v2", config, toys, tmp_path / "ours", processes=2)
    configs.save(config, tmp_path / "config.yaml")
    options = ["--data", toys, "--config", tmp_path / "config.yaml", "-o", tmp_path / "theirs"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "avtool", "train", "videomae-v2", *map(str, options)]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True)
    np.testing.assert_allclose(steps(tmp_path / "theirs"), steps(tmp_path / "ours"), rtol=1e-4)
    assert len(steps(tmp_path / "ours")) == 3


@pytest.mark.slow
def test_an_error_in_a_process_is_told_once(toys: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="24 clips make no batch: a step takes 40"):
        run.train("videomae-v2", small("tiny", "training.batch=20"), toys, tmp_path, processes=2)


def test_the_moving_average_follows_the_weights(toys: Path, tmp_path: Path) -> None:
    config = small(
        "tiny", "training.ema=0.5", "training.keep=99", "training.save_every=1", "training.epochs=1"
    )
    run.train("videomae-v2", config, toys, tmp_path)
    found = checkpoints.checkpoints(tmp_path / "checkpoints")
    name = "blocks.0.attn.qkv.weight"
    average = load_file(found[0] / "ema.safetensors")[name]
    for path in found[1:]:
        average = 0.5 * average + 0.5 * load_file(path / "model.safetensors")[name]
        torch.testing.assert_close(load_file(path / "ema.safetensors")[name], average)
    assert len(found) == 6


def test_only_the_newest_checkpoints_are_kept(toys: Path, tmp_path: Path) -> None:
    run.train("videomae-v2", small("tiny", "training.save_every=1", "training.keep=2"), toys, tmp_path)
    kept = checkpoints.checkpoints(tmp_path / "checkpoints")
    assert [path.name for path in kept] == ["step-00000011", "step-00000012"]


def test_a_run_records_everything(toys: Path, tmp_path: Path) -> None:
    run.train("videomae-v2", small("tiny"), toys, tmp_path)
    lines = records(tmp_path)
    assert {"step", "epoch", "loss", "lr", "grad_norm", "clips_per_second", "unreadable"} <= lines[0].keys()
    assert [line["epoch"] for line in lines if "top1" in line] == [1]
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert (tmp_path / "config.yaml").read_text().startswith("about:")


def test_checkpointing_changes_no_gradient(toys: Path, tmp_path: Path) -> None:
    for name, on in (("with", "true"), ("without", "false")):
        config = small("tiny", f"training.checkpointing={on}", "training.epochs=1", "model.drop_path=0.3")
        run.train("videomae-v2", config, toys, tmp_path / name)
    np.testing.assert_allclose(steps(tmp_path / "with"), steps(tmp_path / "without"), rtol=1e-5)


def test_a_run_that_never_began_leaves_its_folder_free(toys: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        run.train("videomae-v2", small("tiny", "training.epochs=1"), tmp_path / "nowhere", tmp_path / "run")
    run.train("videomae-v2", small("tiny", "training.epochs=1"), toys, tmp_path / "run")


def test_a_used_folder_is_not_overwritten(toys: Path, tmp_path: Path) -> None:
    run.train("videomae-v2", small("tiny", "training.epochs=1"), toys, tmp_path)
    with pytest.raises(ConfigError, match="--resume"):
        run.train("videomae-v2", small("tiny", "training.epochs=1"), toys, tmp_path)
    with pytest.raises(ConfigError, match="training.epochs"):
        run.train("videomae-v2", small("tiny", "training.epochs=3"), toys, tmp_path, resume=True)


def test_a_loss_that_is_no_number_stops_the_run(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = torch.nn.functional.cross_entropy, iter(range(100))

    def spoilt(*arguments: Any, **options: Any) -> torch.Tensor:
        return real(*arguments, **options) * (float("nan") if next(calls) == 4 else 1)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", spoilt)
    with pytest.raises(DivergedError, match="step 4"):
        run.train("videomae-v2", small("tiny", "training.save_every=2"), toys, tmp_path)
    told = json.loads((tmp_path / "diverged-0.json").read_text())
    assert told["step"] == 4
    assert len(told["clips"]) == 4
    weights = load_file(checkpoints.checkpoints(tmp_path / "checkpoints")[-1] / "model.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values())


@pytest.mark.parametrize("broken", ["save_file", "replace"])
def test_a_full_disk_leaves_the_checkpoints_before(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    target = (checkpoints, "save_file") if broken == "save_file" else (checkpoints.os, "replace")
    real = getattr(*target)

    def full(what: Any, path: Path) -> None:
        if "step-00000004" in str(path):
            raise OSError(28, "No space left on device")
        real(what, path)

    monkeypatch.setattr(*target, full)
    with pytest.raises(SpaceError, match="No space left"):
        run.train("videomae-v2", small("tiny", "training.save_every=2"), toys, tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000002"]
    left = checkpoints.newest(tmp_path / "checkpoints")
    assert json.loads((left / "progress.json").read_text())["step"] == 2
    assert load_file(left / "model.safetensors") and load_file(left / "optimiser.safetensors")


def damaged(toys: Path, folder: Path, count: int) -> Path:
    """A copy of the toy data with the first `count` training videos damaged."""
    shutil.copytree(toys, folder)
    for number in range(count):
        (folder / f"train/{number:05}.mp4").write_bytes(b"not a video")
    return folder


def test_unreadable_clips_are_counted_and_told(
    toys: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = damaged(toys, tmp_path / "data", 2)
    config = small("tiny", "training.max_unreadable=0.1", "training.epochs=1")
    run.train("videomae-v2", config, data, tmp_path / "run")
    assert [r for r in records(tmp_path / "run") if "loss" in r][-1]["unreadable"] == 2
    assert "skipped: " in capfd.readouterr().err


def test_too_many_unreadable_clips_stop_the_run(toys: Path, tmp_path: Path) -> None:
    data = damaged(toys, tmp_path / "data", 6)
    with pytest.raises(DataError, match="max_unreadable"):
        run.train("videomae-v2", small("tiny", "training.max_unreadable=0.1"), data, tmp_path / "run")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_wrong_folder_stops_the_run(toys: Path, tmp_path: Path, workers: int) -> None:
    data = damaged(toys, tmp_path / "data", 24)
    config = small("tiny", f"training.workers={workers}", "training.max_unreadable=1")
    with pytest.raises(DataError, match="cannot be"):
        run.train("videomae-v2", config, data, tmp_path / "run")


def test_too_few_clips_make_no_batch(toys: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="24 clips make no batch: a step takes 100"):
        run.train("videomae-v2", small("tiny", "training.batch=100"), toys, tmp_path)
