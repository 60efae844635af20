"""Training, probing and what they leave, on toy films whose order matters."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from avmodels import run, zoo
from avmodels.data import toy as toys
from avmodels.data.clips import Video
from avmodels.data.toy_actions import write_video
from avmodels.engine.log import records
from avmodels.errors import ConfigError, DataError, WeightsError
from avmodels.tvts_v2 import lists, toy, transcripts

SMALL = ("model.frames=4", "training.batch=4", "training.epochs=2", "training.workers=0")


def small(*settings: str) -> Any:
    return zoo.load("tvts-v2", "tiny", (*SMALL, *settings))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 toy films of each kind to learn from, and 6 to judge by."""
    folder = tmp_path_factory.mktemp("films")
    toys.make("tvts-v2", folder, 8, 6)
    return folder


@pytest.fixture(scope="module")
def trained(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    run.train("tvts-v2", small(), films, folder)
    return folder


def test_toy_narration_tells_what_is_seen(films: Path) -> None:
    for clip in lists.yt_temporal(films, "val"):
        words = transcripts.words_of(json.loads(clip.annotation.read_text()))
        assert words.repaired[0] == "See" and len(words.raw) == 10 * toy.NARRATED
        video = Video(clip.path)
        assert len(video) == toy.NARRATED * toy.SECONDS * toy.RATE
        seen = []
        for number in range(toy.NARRATED):
            time = (number + 0.5) * toy.SECONDS
            said = [
                word
                for word, spoken in zip(words.raw, words.times, strict=True)
                if number * toy.SECONDS <= spoken < (number + 1) * toy.SECONDS
            ]
            colour, place = said[2], said[-1]
            frame = video.frames(np.array([int(time * toy.RATE)]))[0].astype(int)
            across, down = (int(part * toy.SIDE) for part in toy.PLACES[place])
            assert np.abs(frame[down, across] - toy.COLOURS[colour]).max() < 40
            seen.append(colour)
        assert len(set(seen)) == toy.NARRATED  # a transcript has one place only


def test_toy_captions_come_in_both_orders_and_none_is_in_both_parts(films: Path) -> None:
    captions = {part: [clip.caption for clip in lists.webvid(films, part)] for part in ("train", "val")}
    for one, other in zip(captions["val"][::2], captions["val"][1::2], strict=True):
        assert one.split(", then ") == other.split(", then ")[::-1]
    assert not set(captions["train"]) & set(captions["val"])
    assert len(set(captions["val"])) == 6


def test_a_run_is_judged_and_its_weights_are_judged_alike(films: Path, trained: Path, tmp_path: Path) -> None:
    logged = records(trained)
    assert len([record for record in logged if "loss" in record]) == 8  # a batch of each kind in turn
    last = logged[-1]
    assert 0 <= last["in order"] <= last["sorted"] <= 100 and last["held_out"] == 6
    told = run.evaluate("tvts-v2", small(), trained / "model.safetensors", films, tmp_path)
    assert told["t2v R@5"] == last["t2v R@5"] and told["sorted"] == last["sorted"]
    with (tmp_path / "ranks.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6


def test_captions_do_not_move_the_sorter_and_frozen_text_stays(films: Path, tmp_path: Path) -> None:
    config = small("schedule.frozen=0.5", "training.epochs=1", "training.batch=8")
    run.train("tvts-v2", config, films, tmp_path / "run")
    still = load_file(tmp_path / "run" / "frozen.safetensors")
    after = load_file(tmp_path / "run" / "model.safetensors")
    assert {name.split(".")[3] for name in still} == {"0", "1"}
    assert all(torch.equal(tensor, after[name]) for name, tensor in still.items())
    losses = [record["loss"] for record in records(tmp_path / "run") if "loss" in record]
    assert losses[0] > losses[1]  # sorting is in the first only


def test_two_processes_train(films: Path, tmp_path: Path) -> None:
    run.train("tvts-v2", small("training.epochs=1", "training.batch=2"), films, tmp_path / "run", processes=2)
    assert "t2v R@1" in records(tmp_path / "run")[-1]


def test_weights_go_out_under_published_names_and_come_back(trained: Path, tmp_path: Path) -> None:
    run.export_weights("tvts-v2/tiny", tmp_path / "out.safetensors", trained / "model.safetensors")
    out = load_file(tmp_path / "out.safetensors")
    assert "video_model.transformer.resblocks.0.timeattn.qkv.weight" in out and "pred_model.norm.bias" in out
    back = run.import_weights(
        "tvts-v2/tiny", tmp_path / "out.safetensors", tmp_path / "in.safetensors", SMALL
    )
    ours = load_file(trained / "model.safetensors")
    assert all(torch.equal(tensor, ours[name]) for name, tensor in load_file(back).items())


def test_an_empty_caption_is_passed_over_and_a_long_one_cut_and_both_are_told(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = films / "meta_data" / "webvid_train.tsv"
    before = listed.read_text()
    try:
        empty, long = (line.split("\t")[0] for line in before.splitlines()[1:3])
        listed.write_text(before.replace(empty, " ").replace(long, "a red 🔴 dot, " * 30))
        config = small("training.epochs=1", "training.batch=8", "training.max_unreadable=0.5")
        run.train("tvts-v2", config, films, tmp_path / "run")
    finally:
        listed.write_text(before)
    told = capsys.readouterr().err
    assert "00000.mp4 has an empty caption" in told.replace("\n", "")
    assert "1 of 8 captions are cut after 77 tokens" in told


def actions(folder: Path) -> None:
    """Labelled films, red or blue: whatever a crop leaves of them tells which."""
    for part, count in (("train", 8), ("val", 4)):
        lines = []
        for number in range(count):
            colour = (30, 40, 200 + number) if number % 2 else (200 + number, 40, 30)
            frames = np.full((16, 64, 64, 3), colour, np.uint8)
            write_video(folder / f"{part}{number}.mp4", frames)
            lines.append(f"{part}{number}.mp4 {number % 2}\n")
        (folder / f"{part}.csv").write_text("".join(lines))


def test_a_probe_learns_on_a_frozen_encoder(trained: Path, tmp_path: Path) -> None:
    actions(tmp_path)
    plain = ("data.mix=false", "data.flip=false", "data.policy=''", "data.erase=0", "data.smoothing=0")
    settings = ("model.size=vit-tiny", "model.frames=4", "model.classes=2", "training.workers=0")
    settings += ("training.batch=8", "training.epochs=30", *plain)
    settings += ("schedule.lr=1", "schedule.warmup_epochs=0")
    config = zoo.load("tvts-v2", "vit-b-16-probe", settings)
    weights = trained / "model.safetensors"
    with pytest.raises(ConfigError, match="--init"):
        run.train("tvts-v2", config, tmp_path, tmp_path / "none")
    run.train("tvts-v2", config, tmp_path, tmp_path / "run", weights)
    before, after = load_file(weights), load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(after[name], before[name]) for name in after if name.startswith("video."))
    found = [record["loss"] for record in records(tmp_path / "run") if "loss" in record]
    assert found[-1] < found[0]
    told = run.evaluate("tvts-v2", config, tmp_path / "run/model.safetensors", tmp_path, tmp_path / "scores")
    assert told["held_out"] == 4 and told["top1"] == 100
    with pytest.raises(WeightsError, match="no classifier"):
        run.evaluate("tvts-v2", config, weights, tmp_path, tmp_path / "scores")


def test_mixing_and_augmenting_train_too(trained: Path, tmp_path: Path) -> None:
    actions(tmp_path)
    settings = ("model.size=vit-tiny", "model.frames=4", "model.classes=2", "training.workers=0")
    config = zoo.load("tvts-v2", "vit-b-16-probe", (*settings, "training.batch=4", "training.epochs=1"))
    run.train("tvts-v2", config, tmp_path, tmp_path / "run", trained / "model.safetensors")
    assert "top1" in records(tmp_path / "run")[-1]
    with pytest.raises(ConfigError, match="must be even"):
        zoo.load("tvts-v2", "vit-b-16-probe", ("training.batch=3",))


def test_what_does_not_train_says_so(films: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="zero-shot learns nothing"):
        run.train("tvts-v2", zoo.load("tvts-v2", "vit-b-32"), films, tmp_path / "run")
    alone = load_file(trained / "model.safetensors")
    from avmodels.engine import weights

    without = {name: tensor for name, tensor in alone.items() if not name.startswith("sorter.")}
    weights.write(without, tmp_path / "released.safetensors", {"system": "tvts-v2"})
    with pytest.raises(WeightsError, match="no sorter"):
        run.evaluate("tvts-v2", small(), tmp_path / "released.safetensors", films, tmp_path)
    with pytest.raises(DataError, match="cannot read the list"):
        run.train("tvts-v2", small(), tmp_path, tmp_path / "empty")


@pytest.mark.slow
def test_tiny_learns_to_find_and_to_sort(tmp_path: Path) -> None:
    toys.make("tvts-v2", tmp_path / "toy", 640, 160)
    config = zoo.load("tvts-v2", "tiny")
    run.train("tvts-v2", config, tmp_path / "toy", tmp_path / "run")
    weights = tmp_path / "run/model.safetensors"
    told = run.evaluate("tvts-v2", config, weights, tmp_path / "toy", tmp_path / "scores")
    assert told["sorted"] > 70  # chance is 25
    assert told["in order"] > 30  # chance is 0.4
    assert told["t2v R@1"] > 10 and told["v2t R@1"] > 10  # chance is 0.6
    assert told["t2v R@5"] > 40  # chance is 3.1
