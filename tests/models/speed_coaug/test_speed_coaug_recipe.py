"""Speed Co-Augmentation from toy data to retrieval and recognition, on one process and on two."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models.video import r2plus1d_18

from avmodels import run, zoo
from avmodels.data import toy
from avmodels.engine import weights
from avmodels.engine.log import records
from avmodels.errors import ConfigError, DataError, WeightsError
from avmodels.speed_coaug import recipe
from avmodels.speed_coaug.config import Contrast
from avmodels.speed_coaug.model import SIZES, SightAndSound

SYSTEM = "speed-coaug"
SMALL = (
    "data.frames=4",
    "data.short=24",
    "data.side=16",
    "data.repeats=1",
    "data.test_clips=2",
    "sound.seconds=1/4",
    "training.batch=4",
    "training.epochs=2",
    "training.workers=0",
)


def small(*settings: str) -> Any:
    return zoo.load(SYSTEM, "tiny", (*SMALL, *settings))


def recogniser(classes: int, *settings: str) -> Any:
    ours = (*(each for each in SMALL if not each.startswith("sound.")), "data.jitter=[0, 0, 0, 0]")
    ours += ("model.size=tiny", f"model.classes={classes}", "training.precision=fp32", "warmup_epochs=1")
    return zoo.load(SYSTEM, "ucf101-finetune", (*ours, *settings))


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight training and six held-out events."""
    folder = tmp_path_factory.mktemp("events")
    toy.make(SYSTEM, folder, 8, 6)
    return folder


@pytest.fixture(scope="module")
def pretrained(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run."""
    folder = tmp_path_factory.mktemp("pretrained")
    run.train(SYSTEM, small(), events, folder)
    return folder


@pytest.fixture(scope="module")
def actions(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The events as folders of two classes."""
    folder = tmp_path_factory.mktemp("actions")
    for part in ("train", "val"):
        for number, path in enumerate(sorted((events / part).iterdir())):
            place = folder / part / ("odd" if number % 2 else "even")
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    return folder


# --- configurations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", zoo.variants(SYSTEM))
def test_every_configuration_builds_at_its_cost(variant: str) -> None:
    summary = zoo.summary(f"{SYSTEM}/{variant}")
    assert summary.gmacs_here == pytest.approx(summary.gmacs, rel=1e-6)


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("data.speeds=[1]", "1 speeds are too few for 2 distinct views"),
        ("data.speeds=[0, 1]", "greater than 0"),
        ("data.views=1", "one view has no partners"),
        ("data.side=40", "cannot be cut from short"),
        ("sound.high=9000", "do not fit a rate of 16000"),
        ("training.parallel=fsdp", "ddp"),
        ("loss.affinty=ratio", "did you mean affinity"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        zoo.load(SYSTEM, "tiny", (setting,))


# --- training ------------------------------------------------------------------------------------------------


def test_a_run_is_judged_as_its_weights_are(events: Path, pretrained: Path, tmp_path: Path) -> None:
    told = run.evaluate(SYSTEM, small(), pretrained / "model.safetensors", events, tmp_path)
    last = records(pretrained)[-1]
    assert {name: last[name] for name in told} == told
    assert told["videos"] == 6 and {"R@1", "v2a_R@5", "a2v_MdR"} <= told.keys()


def test_videos_without_sound_are_counted(events: Path, tmp_path: Path, capfd: Any) -> None:
    folder = shutil.copytree(events, tmp_path / "events")
    mute = next(iter(sorted((folder / "val").iterdir())))
    from avmodels.data.toy_actions import write_video

    write_video(mute, np.zeros((32, 64, 64, 3), np.uint8))
    shutil.copy(mute, folder / "train/00003.mp4")
    with pytest.raises(DataError, match="max_unreadable"):
        run.train(SYSTEM, small(), folder, tmp_path / "strict")
    run.train(SYSTEM, small("training.max_unreadable=0.3"), folder, tmp_path / "run")
    assert records(tmp_path / "run")[-1]["unreadable"] == 1
    assert max(record.get("unreadable", 0) for record in records(tmp_path / "run") if "loss" in record) == 1
    assert "00003.mp4 has no sound" in capfd.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [
        ("loss.affinity=attention", "loss.ratio_epochs=0"),
        ("loss.affinity=constant", "data.views=1", "data.speeds=[1]"),
    ],
)
def test_other_contrasts_train(events: Path, tmp_path: Path, settings: tuple[str, ...]) -> None:
    run.train(SYSTEM, small("training.epochs=1", *settings), events, tmp_path)
    assert all(np.isfinite(record["loss"]) for record in records(tmp_path) if "loss" in record)


def test_ratio_comes_before_attention() -> None:
    speed = torch.tensor([1.0, 2.0, 4.0, 2.0])
    model = SightAndSound(SIZES["tiny"]).eval()
    seen, heard = model(torch.randn(4, 3, 4, 16, 16), torch.randn(4, 40, 20))
    early = recipe.partner_weights(Contrast(), speed, seen, heard, epoch=4.9)
    assert early[0].tolist() == [0.25, 1.0, 0.25, 1.0]
    late = recipe.partner_weights(Contrast(), speed, seen, heard, epoch=5.0)
    assert not torch.equal(late[0], early[0]) and not late[0].requires_grad
    assert all(((weight > 0) & (weight <= 1)).all() for weight in late)


@pytest.mark.slow
def test_two_processes_do_what_one_does(events: Path, tmp_path: Path) -> None:
    # Adam's first steps follow the signs of gradients, rounded or not: a small rate keeps that from growing.
    slow = "optimiser.lr=1e-6"
    run.train(SYSTEM, small(slow), events, tmp_path / "one")
    run.train(SYSTEM, small(slow, "training.batch=2"), events, tmp_path / "two", processes=2)
    one, two = (
        [(r["loss"], r["grad_norm"]) for r in records(tmp_path / name) if "loss" in r]
        for name in ("one", "two")
    )
    np.testing.assert_allclose(two, one, rtol=1e-3)
    assert records(tmp_path / "two")[-1]["R@1"] == records(tmp_path / "one")[-1]["R@1"]


# --- what pre-training is for --------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", ["false", "true"])
def test_actions_are_recognised_from_a_pretrained_start(
    actions: Path, pretrained: Path, tmp_path: Path, frozen: str
) -> None:
    config = recogniser(2, f"model.frozen={frozen}")
    run.train(SYSTEM, config, actions, tmp_path / "run", init=pretrained / "model.safetensors")
    before = weights.read(pretrained / "model.safetensors", SYSTEM)
    after = weights.read(tmp_path / "run/model.safetensors", SYSTEM)
    kept = all(torch.equal(after[name], before[name]) for name in after if name.startswith("video_encoder."))
    assert kept == (frozen == "true")
    told = run.evaluate(SYSTEM, config, tmp_path / "run/model.safetensors", actions, tmp_path)
    assert told["videos"] == 6 and told["top1"] == records(tmp_path / "run")[-1]["top1"]
    with pytest.raises(DataError, match="2 classes, model.classes is 3"):
        run.train(SYSTEM, recogniser(3), actions, tmp_path / "three")


def test_videos_are_retrieved_from_an_action_set(actions: Path, pretrained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(actions / "val", tmp_path / "set")
    for label in ("even", "odd"):
        names = sorted(path.name for path in (folder / label).iterdir())
        uses = "".join(f"{name} {2 if number == 0 else 1}\n" for number, name in enumerate(names))
        (folder / f"{label}_test_split1.txt").write_text(uses)
    told = run.evaluate(SYSTEM, small(), pretrained / "model.safetensors", folder, tmp_path)
    assert told["videos"] == 2 and told["R@20"] == 100


def test_torchvisions_weights_start_the_encoder_of_sight(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = r2plus1d_18()
    torch.save(theirs.state_dict(), tmp_path / "r2plus1d_18.pth")
    config = zoo.load(SYSTEM, "k400-pretrain")
    model = recipe.build(config)
    left = recipe.start(model, tmp_path / "r2plus1d_18.pth")
    assert torch.equal(
        model.state_dict()["video_encoder.layer4.1.conv2.0.3.weight"],
        theirs.state_dict()["layer4.1.conv2.0.3.weight"],
    )
    assert left and all(name.startswith(("audio_", "video_head.")) for name in left)
    with pytest.raises(WeightsError, match="does not fit"):
        recipe.load(model, config, tmp_path / "r2plus1d_18.pth")
    with pytest.raises(WeightsError, match="shapes differ"):
        recipe.start(recipe.build(small()), tmp_path / "r2plus1d_18.pth")


@pytest.mark.slow
def test_tiny_matches_sounds_and_motions(tmp_path: Path) -> None:
    toy.make(SYSTEM, tmp_path / "events", 256, 64)
    config = zoo.load(SYSTEM, "tiny", ("training.epochs=15",))
    run.train(SYSTEM, config, tmp_path / "events", tmp_path / "run")
    told = run.evaluate(SYSTEM, config, tmp_path / "run/model.safetensors", tmp_path / "events", tmp_path)
    assert told["v2a_MdR"] < 20 and told["a2v_MdR"] < 20  # chance is 32
