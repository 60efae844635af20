"""Training SNCLR: two processes as one, exact resumption, probing, features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from avmodels import run, zoo
from avmodels.data.samples import seed_generators
from avmodels.engine import checkpoints, weights
from avmodels.engine.log import records
from avmodels.errors import ConfigError, DataError
from avmodels.snclr import checkpoint, recipe, toy
from tests.models.snclr.conftest import small

PROBE = ("model.size=vit-tiny", "model.side=16", "model.classes=8", "training.workers=0")


def steps(folder: Path) -> list[tuple[float, float]]:
    """Loss and gradient norm of every step."""
    return [(record["loss"], record["grad_norm"]) for record in records(folder) if "loss" in record]


@pytest.mark.slow
def test_two_processes_do_what_one_does(shapes: Path, tmp_path: Path) -> None:
    run.train("snclr", small(), shapes, tmp_path / "one")
    run.train("snclr", small("training.batch=8"), shapes, tmp_path / "two", processes=2)
    np.testing.assert_allclose(steps(tmp_path / "two"), steps(tmp_path / "one"), rtol=2e-3)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    torch.testing.assert_close(two["bank.rows"], one["bank.rows"], rtol=1e-2, atol=1e-3)
    assert records(tmp_path / "two")[-1]["knn10"] == pytest.approx(records(tmp_path / "one")[-1]["knn10"])


def test_a_run_goes_on_with_its_bank_and_copy(shapes: Path, tmp_path: Path) -> None:
    config = small("training.save_every=1", "training.keep=99")
    run.train("snclr", config, shapes, tmp_path)
    whole = steps(tmp_path), load_file(tmp_path / "model.safetensors")
    for late in checkpoints.checkpoints(tmp_path / "checkpoints")[3:]:
        (late / "progress.json").unlink()
        late.rename(tmp_path / late.name)
    run.train("snclr", config, shapes, tmp_path, resume=True)
    assert steps(tmp_path) == whole[0]
    again = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(again[name], value) for name, value in whole[1].items())
    assert not torch.equal(again["bank.rows"][:8], torch.nn.functional.normalize(again["bank.rows"][:8]))


def test_without_held_out_images_there_is_nothing_to_judge(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train").symlink_to(shapes / "train")
    run.train("snclr", small("training.epochs=1"), tmp_path / "data", tmp_path / "run")
    assert not any("knn10" in record for record in records(tmp_path / "run"))


def test_a_probe_leaves_the_encoder_as_it_was(shapes: Path, tmp_path: Path) -> None:
    run.train("snclr", small("training.epochs=1"), shapes, tmp_path / "pre")
    before = checkpoint.backbone(load_file(tmp_path / "pre/model.safetensors"))
    config = zoo.load(
        "snclr",
        "vit-s-probe",
        (*PROBE, "schedule.rates=[0.1,3.0,30.0]", "training.batch=32", "training.epochs=2"),
    )
    run.train("snclr", config, shapes, tmp_path / "probe", init=tmp_path / "pre/model.safetensors")
    after = load_file(tmp_path / "probe/model.safetensors")
    assert all(torch.equal(after[f"encoder.{name}"], value) for name, value in before.items())
    assert not torch.equal(after["heads.0.weight"], after["heads.1.weight"])
    metrics = run.evaluate("snclr", config, tmp_path / "probe/model.safetensors", shapes, tmp_path)
    assert metrics["top1"] == max(metrics[f"top1 {rate:g}"] for rate in (0.1, 3.0, 30.0))
    with pytest.raises(ConfigError, match="--init"):
        run.train("snclr", config, shapes, tmp_path / "blind")
    with pytest.raises(DataError, match="8 folders of classes"):
        wrong = zoo.load("snclr", "vit-s-probe", (*PROBE, "model.classes=7"))
        run.train("snclr", wrong, shapes, tmp_path / "wrong", init=tmp_path / "pre/model.safetensors")


def test_rates_of_a_sweep_do_not_disturb_one_another(shapes: Path, tmp_path: Path) -> None:
    run.train("snclr", small("training.epochs=1"), shapes, tmp_path / "pre")
    heads = []
    for name, rates in (("alone", "[3.0]"), ("among others", "[3.0,0.1]")):
        config = zoo.load(
            "snclr",
            "vit-s-probe",
            (
                *PROBE,
                f"schedule.rates={rates}",
                "training.batch=32",
                "training.epochs=2",
                "training.precision=fp32",
            ),
        )
        torch.manual_seed(0)
        run.train("snclr", config, shapes, tmp_path / name, init=tmp_path / "pre/model.safetensors")
        metrics = [record for record in records(tmp_path / name) if "top1" in record][-1]
        heads.append(metrics.get("top1 3"))
    assert heads[0] == heads[1]


def test_a_film_gives_a_vector_a_second(tmp_path: Path) -> None:
    from avmodels.data.toy_actions import action, write_video

    frames = action(0, np.random.default_rng(0))
    write_video(tmp_path / "film.mp4", np.concatenate([frames, frames]))  # 48 frames at 12 a second
    config = zoo.load("snclr", "vit-s-features", ("model.size=vit-tiny", "model.side=32"))
    torch.manual_seed(0)
    weights.write(recipe.build(config).state_dict(), tmp_path / "w.safetensors", recipe.about(config))
    out = tmp_path / "film.npz"
    assert (
        run.features("snclr", config, tmp_path / "w.safetensors", [tmp_path / "film.mp4"], out, "fp32") == 4
    )
    with np.load(out) as file:
        assert file["features"].shape == (4, 96)
        np.testing.assert_allclose(file["seconds"], [0, 1, 2, 3], atol=0.05)


@pytest.mark.slow
def test_tiny_tells_things_apart_far_better_than_before_it_learned(tmp_path: Path) -> None:
    toy.make(tmp_path / "toy", 1024, 512)
    config = zoo.load("snclr", "tiny")
    run.train("snclr", config, tmp_path / "toy", tmp_path / "run")
    seed_generators(config.training.seed)
    untrained = tmp_path / "untrained.safetensors"
    weights.write(recipe.build(config).state_dict(), untrained, recipe.about(config))
    before, after = (
        run.evaluate("snclr", config, path, tmp_path / "toy", tmp_path)["knn10"]
        for path in (untrained, tmp_path / "run/model.safetensors")
    )
    assert 100 - after < 0.6 * (100 - before)  # of what went wrong, two fifths at least are mended
