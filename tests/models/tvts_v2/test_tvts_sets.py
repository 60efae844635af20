"""The published lists, read and tested on made videos."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from avmodels.data.samples import Samples, collate
from avmodels.engine import weights
from avmodels.engine.config import Training
from avmodels.errors import ConfigError, DataError, WeightsError
from avmodels.tvts_v2 import checkpoint, data, lists, recipe
from avmodels.tvts_v2.config import Encoders, HeldOut, NarratedClips, Pretraining, ZeroShot

TINY = Encoders(size="vit-tiny", frames=4)


def film(path: Path, length: int = 24, colour: int = 0) -> Path:
    """A video of 12 frames a second in which a bright bar moves over one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 12, (64, 48))
    for number in range(length):
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[..., colour] = 120
        frame[:, number % 60 : number % 60 + 4] = 255
        writer.write(frame)
    writer.release()
    return path


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model under published names."""
    torch.manual_seed(0)
    model = recipe.build(zero_shot())
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save({"state_dict": checkpoint.published(model.state_dict())}, path)
    return path


def zero_shot(**settings: Any) -> ZeroShot:
    held_out = HeldOut(workers=0, batch=2, **settings)
    return ZeroShot(recipe="zero-shot", about="a test", model=TINY, data=held_out)


def msr_vtt(folder: Path) -> None:
    names = ["video1", "video2", "video3"]
    annotations = [{"image_id": name, "caption": f"{name} {k}"} for k in range(2) for name in names]
    put(folder / "meta_data" / "msrvtt" / "MSR_VTT.json", json.dumps({"annotations": annotations}))
    splits = folder / "high-quality" / "structured-symlinks"
    put(splits / "val_list_jsfusion.txt", "\n".join(names))
    (splits / "jsfusion_val_caption_idx.pkl").write_bytes(
        pickle.dumps({"video1": 0, "video2": 1, "video3": 1})
    )


def test_lists_of_captions(tmp_path: Path) -> None:
    msr_vtt(tmp_path)
    assert [clip.caption for clip in lists.msr_vtt(tmp_path)] == ["video1 0", "video2 1", "video3 1"]
    assert lists.msr_vtt(tmp_path)[0].path == tmp_path / "videos" / "all" / "video1.mp4"
    meta = tmp_path / "meta_data"
    put(meta / "didemo" / "DiDeMo_test.tsv", 'caption\tpath\na dog, "barking"\tx/y.mp4\n')
    assert lists.didemo(tmp_path) == [lists.Captioned(tmp_path / "x" / "y.mp4", 'a dog, "barking"')]
    put(meta / "webvid_train.tsv", "caption\tpath\nrain\t001/2\n")
    assert lists.webvid(tmp_path, "train") == [lists.Captioned(tmp_path / "train" / "001" / "2.mp4", "rain")]
    put(meta / "webvid_val.tsv", "caption\tpath\n" + "".join(f"c{k}\t{k}\n" for k in range(1200)))
    held_out = lists.webvid(tmp_path, "val")
    assert len(set(held_out)) == 1000 and held_out == lists.webvid(tmp_path, "val")
    put(meta / "yttemporal_val.csv", "x\tName\n0\tsubset_87/data/ab.mp4\n")
    (narrated,) = lists.yt_temporal(tmp_path, "val")
    assert narrated.path == tmp_path / "videos" / "subset_87" / "data" / "ab.mp4"
    assert narrated.annotation == tmp_path / "videos" / "subset_87" / "annotations" / "ab.json"


@pytest.mark.parametrize("header", ["", "name\tcaption\n"])
def test_lsmdc_loses_no_clip_with_or_without_a_header(tmp_path: Path, header: str) -> None:
    name = "0001_American_Beauty_00.00.51.926-00.00.54.129"
    path = tmp_path / "meta_data" / "lsmdc" / "LSMDC16_challenge_1000_publictect.csv"
    put(path, f"{header}{name}\t0\t1\tSOMEONE walks.\n")
    assert lists.lsmdc(tmp_path) == [
        lists.Captioned(tmp_path / "0001_American_Beauty" / f"{name}.avi", "SOMEONE walks.")
    ]


def test_labels_count_from_one_in_some_sets_and_from_zero_in_others(tmp_path: Path) -> None:
    found, paths = {}, {}
    for name, (listed, first) in lists.ACTIONS.items():
        paths[name] = put(tmp_path / "meta_data" / listed, f"walk/a.mkv\t{first}\nrun/b.mp4\t{first + 1}\n")
        put(paths[name].parent / "label2id.json", '{"walk": 7, "run": 3}')
        found[name], names = lists.actions(tmp_path, name)
        assert [names[clip.label] for clip in found[name]] == ["walk", "run"]
    assert found["kinetics-400"][0].path == tmp_path / "videos_val" / "a.mp4"
    put(paths["kinetics-400"], "a.mp4\t2\n")
    with pytest.raises(DataError, match="line 1: label 2 is not among 2 classes"):
        lists.actions(tmp_path, "kinetics-400")
    put(paths["kinetics-400"], "a.mp4\t1\nb.mp4\tx\n")
    with pytest.raises(DataError, match="line 2: 'x' is no label"):
        lists.actions(tmp_path, "kinetics-400")


def test_wrong_lists_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the list"):
        lists.didemo(tmp_path)
    put(tmp_path / "meta_data" / "didemo" / "DiDeMo_test.tsv", "")
    with pytest.raises(DataError, match="is empty"):
        lists.didemo(tmp_path)
    put(tmp_path / "meta_data" / "didemo" / "DiDeMo_test.tsv", "a\tb\nonly\n")
    with pytest.raises(DataError, match="expected 2 columns"):
        lists.didemo(tmp_path)
    msr_vtt(tmp_path)
    chosen = tmp_path / "high-quality" / "structured-symlinks" / "jsfusion_val_caption_idx.pkl"
    chosen.write_bytes(pickle.dumps(Path("evil")))
    with pytest.raises(DataError, match="not a plain pickle"):
        lists.msr_vtt(tmp_path)
    put(
        tmp_path / "meta_data" / "ssv2" / "mc" / "val.jsonl",
        '{"clip_name": "a", "options": ["b"], "answer": 1}',
    )
    with pytest.raises(DataError, match="line 1: not a question"):
        lists.multiple_choice(tmp_path)
    put(tmp_path / "meta_data" / "msrvtt" / "MSR_VTT.json", "[]")
    with pytest.raises(DataError, match="no annotations"):
        lists.msr_vtt(tmp_path)


def test_retrieval_ranks_every_query(tmp_path: Path, tiny: Path) -> None:
    msr_vtt(tmp_path)
    for number in range(3):
        film(tmp_path / "videos" / "all" / f"video{number + 1}.mp4", colour=number)
    metrics = recipe.evaluate(zero_shot(dual_softmax=True), tiny, tmp_path, tmp_path / "out")
    assert metrics["t2v R@5"] == metrics["v2t R@5"] == metrics["t2v DSL R@5"] == 100
    assert metrics["unreadable"] == metrics["captions cut"] == 0
    rows = (tmp_path / "out" / "ranks.csv").read_text().splitlines()
    assert len(rows) == 4 and rows[1].startswith("video1.mp4,video1 0,")
    (tmp_path / "videos" / "all" / "video2.mp4").write_bytes(b"broken")
    with pytest.raises(DataError, match="1 of 3 videos of msr-vtt could not be read"):
        recipe.evaluate(zero_shot(), tiny, tmp_path, tmp_path / "out")


def test_actions_are_named_and_choices_made(tmp_path: Path, tiny: Path) -> None:
    listed = put(tmp_path / "meta_data" / lists.ACTIONS["hmdb-51"][0], "a.mp4\t1\nb.mp4\t2\n")
    put(listed.parent / "label2id.json", '{"walk": 0, "run": 1}')
    for name in ("a", "b"):
        film(tmp_path / f"{name}.mp4")
        film(tmp_path / "videos" / f"{name}.mp4", length=3)
    metrics = recipe.evaluate(zero_shot(set="hmdb-51", keep=0.5), tiny, tmp_path, tmp_path / "out")
    assert metrics["top1"] == 50 and metrics["top5"] == 100  # equal videos, one of two names
    options = ["pushing", "pulling"]
    questions = [{"clip_name": f"{name}.mp4", "options": options, "answer": "pulling"} for name in "ab"]
    put(tmp_path / "meta_data" / "ssv2" / "mc" / "val.jsonl", "\n".join(map(json.dumps, questions)))
    metrics = recipe.evaluate(zero_shot(set="ssv2-mc", pixels="feature"), tiny, tmp_path, tmp_path / "out")
    assert metrics["top1"] in (0, 100)


def test_a_film_gives_a_vector_a_window(tmp_path: Path, tiny: Path) -> None:
    path = film(tmp_path / "film.mp4", length=100)
    count = recipe.features(zero_shot(window=2.0), tiny, path, tmp_path / "film.npz", "fp32")
    stored = np.load(tmp_path / "film.npz")
    assert count == 5 and stored["features"].shape == (5, 64)  # 100 frames, 24 a window
    assert stored["seconds"][0].tolist() == pytest.approx([0, 2], abs=0.01)
    with torch.no_grad():
        model = recipe.build(zero_shot()).eval()
        recipe.load(model, zero_shot(), tiny)
        first = film(tmp_path / "first.mp4", length=24)
        alone = model.video(data.whole_clip(first, TINY, HeldOut())[None])[0]
    assert torch.cosine_similarity(alone, torch.from_numpy(stored["features"][0]), dim=0) > 0.99
    with pytest.raises(ConfigError, match=r"\.npz"):
        recipe.features(zero_shot(), tiny, path, tmp_path / "film.txt", "fp32")


def pretraining(**settings: Any) -> Pretraining:
    training = Training(epochs=1, batch=2)
    clips = NarratedClips(**settings)
    return Pretraining(recipe="pretrain", about="a test", model=TINY, data=clips, training=training)


def test_narrated_and_captioned_clips_have_a_loss(tmp_path: Path) -> None:
    config = pretraining(mask=0.5)
    path = film(tmp_path / "a.mp4", length=300)
    spoken = [{"word": f"word{k}", "time": k / 4} for k in range(100)]
    clean = {"cleanasr": " ".join(entry["word"] for entry in spoken)}
    annotation = {"info": {"duration": 25}, "subtitles": spoken, "denoised": [clean]}
    narration = put(tmp_path / "a.json", json.dumps(annotation))
    readers = (
        (data.narrated_reader(config), lists.Narrated(path, narration), 4),
        (data.captioned_reader(config), lists.Captioned(path, "a bar moves"), 1),
    )
    model, losses = recipe.build(config), []
    for reader, clip, texts in readers:
        batch = collate([Samples([clip] * 2, reader)[0, k] for k in range(2)])["tensors"]
        assert batch["video"].shape == (2, 4, 3, 32, 32) and batch["keep"].shape == (2, 8)
        assert batch["tokens"].shape == (2, texts, 77)
        losses.append(recipe.pretraining_loss(config)(model, batch))
    assert losses[0] > losses[1] > 0  # sorting counts too
    sum(losses).backward()  # type: ignore[union-attr]
    broken = lists.Narrated(path, put(tmp_path / "b.json", "{}"))
    assert "no readable annotation" in Samples([broken], readers[0][0])[0, 0]["unreadable"][0]


def test_clip_is_a_start_and_not_a_model(tmp_path: Path) -> None:
    weights.write(
        {"visual.conv1.weight": torch.zeros(1)}, tmp_path / "clip.safetensors", {"system": "tvts-v2"}
    )
    with pytest.raises(WeightsError, match="does not fit"):
        recipe.load(recipe.build(zero_shot()), zero_shot(), tmp_path / "clip.safetensors")


def test_every_configuration_is_whole() -> None:
    from avmodels.engine import config as configs

    folder = Path(str(recipe.__file__)).parent / "configs"
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        document = configs.read_yaml(path)
        found[path.stem] = configs.validate(document, recipe.RECIPES[document["recipe"]], path.name)
    assert len(found) == 9
    assert found["vit-h-14-pretrain"].data.mask == 0.7
    for name, gmacs in (("vit-h-14-pretrain", 776.26 + 23.54), ("vit-b-16", 277.97 + 2.98)):
        assert recipe.published_gmacs(found[name]) == pytest.approx(gmacs, rel=1e-4)


@pytest.mark.parametrize("config", [zero_shot(), pretraining(mask=0.5)], ids=("zero-shot", "pretrain"))
def test_ours_costs_no_more_than_the_published_network(config: ZeroShot | Pretraining) -> None:
    with torch.device("meta"):
        model = recipe.build(config).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(*recipe.example_input(config))
    share = counter.get_total_flops() / 2e9 / recipe.published_gmacs(config)
    assert 0.7 < share < 1
