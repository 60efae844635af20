"""VideoMAE V2 beyond the golden cases: checkpoints, lists, the test protocol, features, masks."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

import avmodels
from avmodels import run, zoo
from avmodels.data import lists, sampling
from avmodels.data.clips import Video
from avmodels.errors import ConfigError, DataError, WeightsError
from avmodels.metrics import views
from avmodels.nn import attention
from avmodels.videomae_v2 import checkpoint, data, masks, recipe
from avmodels.videomae_v2.model import Classifier, positions_for
from tests.models.conftest import SMALL, small

TINY = "videomae-v2/tiny"


def fresh(variant: str = "tiny", *settings: str) -> Any:
    """A small network with random weights that differ from the next one's."""
    return recipe.build(small(variant, *settings)).eval()


def pickled(path: Path, document: Any) -> Path:
    torch.save(document, path)
    return path


# --- checkpoints ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["model", "module", "bare", "compiled", "hub", "deepspeed", "half", "options"]
)
def test_every_published_form_loads(tmp_path: Path, form: str) -> None:
    state, config = fresh().state_dict(), small("tiny")
    path = tmp_path / "published.pth"
    match form:
        case "model" | "module":
            pickled(path, {form: state})
        case "bare":
            pickled(path, OrderedDict(state))
        case "compiled":
            pickled(path, {"model": {f"_orig_mod.{name}": tensor for name, tensor in state.items()}})
        case "hub":
            path = tmp_path / "model.safetensors"
            save_file({f"model.{name}": tensor for name, tensor in state.items()}, path)
        case "deepspeed":
            path = tmp_path / "checkpoint-12"
            path.mkdir()
            pickled(path / "mp_rank_00_model_states.pt", {"module": state, "epoch": 12})
        case "half":
            pickled(path, {"model": {name: tensor.half() for name, tensor in state.items()}})
        case "options":
            pickled(path, {"model": state, "epoch": 3, "args": argparse.Namespace(lr=1e-3, model="vit")})
    model = fresh()
    recipe.load(model, config, path)
    tolerance = 1e-3 if form == "half" else 0
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, state[name], atol=tolerance, rtol=tolerance)


def test_import_and_export_go_round(tmp_path: Path) -> None:
    published = pickled(tmp_path / "published.pth", {"model": avmodels.create(TINY).state_dict()})
    ours = run.import_weights(TINY, published, tmp_path / "ours.safetensors")
    run.export_weights(TINY, tmp_path / "back.pth", ours)
    one, other = (torch.load(path, weights_only=True)["model"] for path in (published, tmp_path / "back.pth"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert avmodels.create(TINY, weights=ours)
    assert zoo.load_of("videomae-v2", ours, None) == zoo.load("videomae-v2", "tiny")


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    path = pickled(tmp_path / "evil.pth", {"model": Evil()})
    with pytest.raises(WeightsError, match="run code.*refused"):
        recipe.load(fresh(), small("tiny"), path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable checkpoint|run code"),
        (b"<html>not found</html>", "run code|not a readable"),
        (None, "there is no checkpoint"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_told(tmp_path: Path, content: bytes | None, message: str) -> None:
    for name in ("weights.pth", "weights.safetensors"):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=f"{message}"):
            recipe.load(fresh(), small("tiny"), tmp_path / name)


def test_another_size_is_named(tmp_path: Path) -> None:
    path = pickled(tmp_path / "b.pth", {"model": avmodels.create("videomae-v2/vit-s-k710").state_dict()})
    with pytest.raises(
        WeightsError, match=r"patch_embed.proj.weight is \(384, 3, 2, 16, 16\), the model's \(96"
    ):
        recipe.load(fresh(), small("tiny"), path)


def test_another_system_is_named(tmp_path: Path) -> None:
    foreign = tmp_path / "other.safetensors"
    save_file({"stem.weight": torch.zeros(3)}, foreign)
    with pytest.raises(WeightsError, match="the model has no stem.weight.*the file has no"):
        recipe.load(fresh(), small("tiny"), foreign)
    save_file({"stem.weight": torch.zeros(3)}, foreign, {"system": "evad"})
    with pytest.raises(WeightsError, match="weights of evad, not of videomae-v2"):
        recipe.load(fresh(), small("tiny"), foreign)


def test_a_classifier_needs_its_head_to_be_used_but_not_to_start(tmp_path: Path) -> None:
    path = pickled(tmp_path / "pretrained.pth", {"model": fresh("tiny-pretrain").state_dict()})
    model, config = fresh(), small("tiny")
    with pytest.raises(WeightsError, match=r"fc_norm.weight.*head.weight"):
        recipe.load(model, config, path)
    left = recipe.start(model, config, path)
    assert set(left) == {"fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias"}
    source = torch.load(path)["model"]
    assert torch.equal(
        model.state_dict()["blocks.2.mlp.fc1.weight"], source["encoder.blocks.2.mlp.fc1.weight"]
    )


def test_a_710_way_head_serves_the_smaller_kinetics(tmp_path: Path) -> None:
    state = fresh("tiny", "model.classes=710").state_dict()
    path = pickled(tmp_path / "k710.pth", {"model": state})
    config = small("tiny", "model.classes=400", "data.label_set=kinetics-400")
    model = recipe.build(config)
    recipe.load(model, config, path)
    names, all_names = checkpoint.class_names("kinetics-400"), checkpoint.class_names("kinetics-710")
    assert names and all_names
    for number in (0, 57, 399):
        row = all_names.index(names[number])
        assert torch.equal(model.state_dict()["head.weight"][number], state["head.weight"][row])


# --- lists ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a.mp4 0\n\nb.mp4\n", r"line 3: expected `path label`, got 'b.mp4'"),
        ("a.mp4 0\nb c.mp4 1\n", "line 2: expected `path label`"),
        ("a.mp4 zero\n", "line 1: expected"),
        ("a.mp4 0\nb.mp4 8\n", r"line 2: label 8 is not among 8 classes \(0..7\)"),
        ("a.mp4 -1\n", "line 1: label -1"),
        (None, "cannot read the list"),
    ],
)
def test_a_wrong_list_is_told_by_line(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "train.csv").write_text(text)
    (tmp_path / "val.csv").write_text("a.mp4 0\n")
    with pytest.raises(DataError, match=message):
        run.train("videomae-v2", small("tiny"), tmp_path, tmp_path / "run")


def test_lists_of_pictures_and_of_clips_without_labels(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("film/7 120 3\n")
    assert lists.labelled_list(tmp_path / "l.csv", 8, frames=True) == [
        lists.Clip(tmp_path / "film/7", label=3, frames=120)
    ]
    (tmp_path / "p.csv").write_text("a.mp4 0 -1\nfolder 9601 300\n")
    assert lists.pretraining_list(tmp_path / "p.csv") == [
        lists.Clip(tmp_path / "a.mp4"),
        lists.Clip(tmp_path / "folder", first=9601, frames=300),
    ]


def test_folders_of_pictures_are_read(toys: Path, tmp_path: Path) -> None:
    import cv2

    frames = Video(toys / "train/00000.mp4").frames(np.arange(24))
    (tmp_path / "clip").mkdir()
    for number, frame in enumerate(frames, start=1):
        cv2.imwrite(str(tmp_path / f"clip/img_{number:05}.jpg"), frame[..., ::-1])
    config = small("tiny", "data.reader=frames", "data.sampling=sparse")
    (sample,) = data.validation_reader(config)(lists.Clip(tmp_path / "clip", label=3, frames=24))
    middle = frames[sampling.sparse(24, 4, random=False)]
    assert (sample["video"] - data.centre_view(middle, 16)).abs().mean() < 0.1
    with pytest.raises(DataError, match="no readable picture at .*img_00051.jpg"):
        data.validation_reader(config)(lists.Clip(tmp_path / "clip", label=3, frames=400))


# --- the test protocol ---------------------------------------------------------------------------------------


def test_the_evaluation_agrees_with_view_by_view(toys: Path, tmp_path: Path) -> None:
    config = zoo.load("videomae-v2", "tiny", (*SMALL, "data.segments=3", "data.crops=3"))
    run.train("videomae-v2", config, toys, tmp_path / "run")
    weights = tmp_path / "run" / "model.safetensors"
    metrics = run.evaluate("videomae-v2", config, weights, toys, tmp_path / "scores")

    model = recipe.build(config).eval()
    recipe.load(model, config, weights)
    right, among = [], []
    for text in (toys / "val.csv").read_text().splitlines():
        path, label = text.split()
        video = Video(toys / path)
        everything = video.frames(np.arange(len(video)))
        chances = []
        for segment in range(3):
            for crop in range(3):
                numbers = sampling.dense_views(len(video), 4, 3, 3)[segment]
                view = one_view(everything[numbers], crop)
                with torch.no_grad():
                    chances.append(model(view[None]).double().softmax(1)[0])
        mean = torch.stack(chances).mean(0)
        right.append(int(mean.argmax()) == int(label))
        among.append(int(label) in mean.topk(5).indices.tolist())
    assert metrics == {
        "top1": pytest.approx(100 * np.mean(right)),
        "top5": pytest.approx(100 * np.mean(among)),
        "videos": 16,
        "unreadable": 0,
    }


def one_view(frames: np.ndarray, crop: int) -> torch.Tensor:
    """One crop of a clip, resized and normalised frame by frame without the library's help."""
    import cv2

    small_frames = np.stack([cv2.resize(frame, (16, 16), interpolation=cv2.INTER_LINEAR) for frame in frames])
    scaled = (small_frames / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    return torch.from_numpy(scaled).permute(3, 0, 1, 2).float()


class Counting:
    """Frames in memory that count how many were asked for."""

    def __init__(self, length: int, height: int, width: int):
        self._frames = np.random.default_rng(0).integers(0, 256, (length, height, width, 3), dtype=np.uint8)
        self.read = 0

    def __len__(self) -> int:
        return len(self._frames)

    def frames(self, numbers: np.ndarray) -> np.ndarray:
        self.read += len(numbers)
        return self._frames[numbers]


@pytest.mark.parametrize(
    ("length", "height", "width", "distinct"),
    [(300, 24, 40, 15), (300, 24, 24, 5), (20, 24, 40, 3), (20, 24, 24, 1)],
)
def test_each_distinct_view_is_made_once_from_one_reading(
    length: int, height: int, width: int, distinct: int
) -> None:
    video = Counting(length, height, width)
    numbers = sampling.dense_views(length, 16, 4, 5)
    made = list(data.test_views(video, numbers, 16, 3))
    assert len(made) == distinct
    assert sorted(place for _, places in made for place in places) == [
        (s, c) for s in range(5) for c in range(3)
    ]
    assert video.read == len(np.unique(numbers)) <= -(-length // 4)


def test_the_merge_tells_a_broken_line() -> None:
    with pytest.raises(DataError, match="result file 0, line 3"):
        views.merge([["head", "a [1.0, 2.0] 1 0 0", "a [1.0, 2.0] 1 0"]])


@given(st.text(st.characters(exclude_characters=" \n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), min_size=1))
def test_the_merge_keeps_any_name(name: str) -> None:
    line = views.line(name, [0.25, -1.5], 1, 0, 0)
    assert views.merge([["head", line]]).ids == [name]


# --- features ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a tiny classifier."""
    folder = tmp_path_factory.mktemp("weights")
    published = pickled(folder / "published.pth", {"model": avmodels.create(TINY).state_dict()})
    return run.import_weights(TINY, published, folder / "tiny.safetensors")


@pytest.mark.parametrize("stride", [3, 4, 16])
def test_features_are_those_of_each_window(toys: Path, tmp_path: Path, weights: Path, stride: int) -> None:
    film = toys / "val/00001.mp4"
    config = recipe.Features(recipe="features", about="", model=zoo.load("videomae-v2", "tiny").model)
    config = config.model_copy(update={"data": config.data.model_copy(update={"stride": stride})})
    count = run.features("videomae-v2", config, weights, [film], tmp_path / "f.npy", "fp32")
    got = np.load(tmp_path / "f.npy")
    model = avmodels.create(TINY, weights=weights)
    frames = Video(film).frames(np.arange(24))
    for row, start in enumerate(range(0, 24 - 8 + 1, stride)):
        clip = data.window_pixels(frames[start : start + 8], 32, normalise=False)
        with torch.no_grad():
            want = model.features(clip[None])[0].numpy()
        np.testing.assert_allclose(got[row], want, rtol=1e-4, atol=1e-5)
    assert count == len(got) == len(range(0, 24 - 8 + 1, stride))
    assert not list(tmp_path.glob("*.part"))


def test_features_with_times(toys: Path, tmp_path: Path, weights: Path) -> None:
    film = toys / "val/00001.mp4"
    config = zoo.load_of("videomae-v2", weights, None)
    run.features("videomae-v2", config, weights, [film], tmp_path / "f.h5", "bf16")
    with h5py.File(tmp_path / "f.h5") as file:
        held = {name: np.asarray(file[name]) for name in ("features", "seconds", "first_frame")}
    starts = np.arange(5) * 4
    assert held["features"].shape == (5, 96)
    np.testing.assert_array_equal(held["first_frame"], starts)
    np.testing.assert_allclose(held["seconds"], np.stack([starts, starts + 8], axis=1) / 12, atol=1e-3)


def test_features_say_what_is_wrong(toys: Path, tmp_path: Path, weights: Path) -> None:
    config = zoo.load_of("videomae-v2", weights, None)
    film = toys / "val/00001.mp4"
    with pytest.raises(ConfigError, match=".npy or .h5"):
        run.features("videomae-v2", config, weights, [film], tmp_path / "f.txt", "fp32")
    with pytest.raises(DataError, match="no video"):
        run.features("videomae-v2", config, weights, [tmp_path / "none.mp4"], tmp_path / "f.npy", "fp32")
    long = zoo.load_of("videomae-v2", weights, None, ("model.frames=64",))
    with pytest.raises(DataError, match="24 frames, fewer than a window of 64"):
        run.features("videomae-v2", long, weights, [film], tmp_path / "f.npy", "fp32")
    assert not list(tmp_path.iterdir())


# --- masks, positions, the network ---------------------------------------------------------------------------


@given(
    time=st.integers(1, 9),
    half=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    encoder=st.floats(0.3, 0.95),
    quarters=st.integers(1, 3),
)
def test_masks_keep_their_promises(time: int, half: tuple[int, int], encoder: float, quarters: int) -> None:
    grid = (time, 2 * half[0], 2 * half[1])
    hidden, dropped = masks.draw(grid, encoder, quarters / 4)
    frames = hidden.reshape(time, -1)
    assert (frames == frames[0]).all()
    assert frames[0].sum() == int(encoder * grid[1] * grid[2])
    assert dropped.sum() * 4 == quarters * dropped.size
    maps = masks.running_cell_maps(grid, quarters / 4).reshape(4, -1)
    assert (maps == dropped).all(1).any()


def test_running_cell_wants_quarters_and_an_even_grid() -> None:
    with pytest.raises(ValueError, match="1, 2 or 3"):
        masks.running_cell_maps((2, 4, 4), 0.1)
    with pytest.raises(ValueError, match="even grid"):
        masks.running_cell_maps((2, 3, 4), 0.5)


def test_positions_for_other_inputs() -> None:
    size = dataclasses.replace(recipe.SIZES["vit-g"], width=6)
    tables = {mode: positions_for(mode, size, 64, 266) for mode in ("fresh", "interpolate", "official")}
    assert {len(table) for table in tables.values()} == {32 * 19 * 19}
    assert not torch.allclose(tables["fresh"], tables["interpolate"])
    assert not torch.allclose(tables["official"], tables["interpolate"])
    trained = positions_for("fresh", size, 16, 224)
    assert torch.equal(positions_for("interpolate", size, 16, 224), trained)
    with pytest.raises(ConfigError, match="published loader cannot"):
        recipe.build(
            zoo.load("videomae-v2", "tiny", ("model.frames=32", "model.side=224", "model.positions=official"))
        )


def test_bf16_keeps_the_direction_of_features() -> None:
    torch.manual_seed(0)
    model = Classifier(recipe.SIZES["vit-tiny"], 8, frames=8, side=32).eval()
    video = torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        exact = model.features(video)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model.features(video).float()
    assert torch.cosine_similarity(exact, rough).min() > 0.999


def test_every_configuration_is_valid() -> None:
    for variant in zoo.variants("videomae-v2"):
        config = zoo.load("videomae-v2", variant)
        assert config.about
        assert zoo.validate("videomae-v2", json.loads(config.model_dump_json()), variant) == config


def test_pretraining_leaves_out_needless_work() -> None:
    summary = zoo.summary("videomae-v2/vit-b-pretrain")
    assert summary.gmacs == pytest.approx(25.84, rel=1e-3)
    # 90 % of the tubelet embedding, and the rows of the last decoder block that nobody reads.
    assert summary.gmacs_here == pytest.approx(25.84 - 1.66 - 0.17 * 2.35, rel=5e-3)


@pytest.mark.parametrize("rows", [1, 5, 100])
def test_attention_by_heads_is_attention(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(attention, "SCORES", rows * 7)
    queries, keys, values = torch.randn(3, 2, 3, 7, 8).bfloat16()
    with torch.no_grad():
        got = attention.attend(queries[:, :, -4:], keys, values)
    want = torch.nn.functional.scaled_dot_product_attention(
        queries[:, :, -4:].float(), keys.float(), values.float()
    )
    torch.testing.assert_close(got.float(), want, atol=0.03, rtol=0.03)
