"""Who tells of a film, and films told by networks from their pictures on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from avmodels.errors import WeightsError
from avtool.cast import load as load_cast
from avtool.describe import draft
from avtool.errors import MissingError, UsageError
from avtool.narrate import narrators
from avtool.perception import Perception, open_film
from avtool.settings import Settings
from avtool.timeline import Sighting
from tests.narrate import toy_film
from tests.narrate.toy_vlm import tiny_vlm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy film, its cast, and a random Uni-AD."""
    folder = tmp_path_factory.mktemp("toy")
    toy_film.film(folder)
    toy_film.cast(folder)
    toy_film.random_uni_ad(folder)
    return folder


def opened(folder: Path, **settings: object) -> Perception:
    return open_film(
        folder / "toy.mp4",
        folder / "cast.json",
        settings=Settings.model_validate({"characters": "clip", "narrator_confidence": 0, **settings}),
        work=folder / "work",
    )


def put(seen: Perception, *names: str) -> None:
    """Has the sense for characters see `names`, one a shot; toy figures have no faces."""
    sightings = [
        Sighting(-1, shot.index, shot.span, name, 0.95) for shot, name in zip(seen.shots, names, strict=False)
    ]
    vars(seen).update(sightings=sightings, bank=None)


def test_unknown_narrators_and_missing_weights_are_told(tmp_path: Path) -> None:
    def choose(name: str, **more: str) -> None:
        narrators.choose(Settings.model_validate({"narrator": name, **more}))

    with pytest.raises(UsageError, match="no narrator is called 'unad'"):
        choose("unad")
    with pytest.raises(MissingError, match="avtool weights pull uni-ad-mad llama-2-7b clip-vit-l-14"):
        choose("uni-ad")
    with pytest.raises(MissingError, match="no weights of Uni-AD at"):
        choose(f"uni-ad:{tmp_path / 'none.pt'}")
    with pytest.raises(MissingError, match="no vision-language model"):
        choose(f"vlm:{tmp_path}")
    with pytest.raises(UsageError, match="names the folder"):
        choose("vlm:")
    assert isinstance(narrators.choose(Settings()), narrators.Facts)


def test_a_random_uni_ad_tells_only_of_those_seen(folder: Path) -> None:
    """The words are random: the pipeline, the evidence and the names are what is held here."""
    seen = opened(folder, narrator=f"uni-ad:{folder}")
    put(seen, "Marta", "Joren", "Ines", "Marta")
    script = draft(seen)
    assert len(seen.shots) == 4
    assert seen.features.times[0] == 0 and len(seen.features.times) == 60  # 12 seconds at the published rate
    for cue in script.descriptions:
        assert cue.facts[-1].kind == "narrator"
    assert "model.safetensors" in script.weights
    # The features are there: another look decodes nothing.
    again = opened(folder, narrator=f"uni-ad:{folder}")
    assert again.work.has("frames", again._sight_key("frames"))


def test_words_that_a_network_writes_are_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from avmodels.uni_ad.describer import Describer, Sentence

    limits_seen: list[int] = []

    def describer(self: Describer, items: list, limits: list[int]) -> list[list[Sentence]]:
        limits_seen.extend(limits)
        assert all(item.frames.shape == (16, 432) for item in items)
        return [
            [
                Sentence("Quill walks to the right on the grass.", 0.9, True),
                Sentence("Marta walks to the right on the grass and", 0.8, False),
                Sentence("Marta walks to the right on the grass.", 0.7, True),
                Sentence("Marta climbs.", 0.6, True),
            ]
            for _ in items
        ]

    monkeypatch.setattr(Describer, "__call__", describer)
    seen = opened(folder, narrator=f"uni-ad:{folder}")
    put(seen, "Marta", "Joren")
    script = draft(seen)
    assert [cue.text for cue in script.descriptions] == ["Marta walks to the right on the grass."]
    (cue,) = script.descriptions
    assert next((fact.kind, fact.claim) for fact in cue.facts) == ("who", "Marta")
    assert cue.event == seen.shots[0].span
    assert max(limits_seen) <= 50


def test_weights_of_the_wrong_language_model_are_named(folder: Path, tmp_path: Path) -> None:
    from transformers import GPT2LMHeadModel

    from avmodels import zoo
    from avmodels.engine import weights
    from avmodels.uni_ad import checkpoint, describer, language, recipe

    config = zoo.load("uni-ad", "tiny", ("model.language.rank=4", "model.language.learns=nothing"))
    kept = checkpoint.trained(recipe.build(config).state_dict())
    weights.write(kept, tmp_path / "model.safetensors", recipe.about(config))
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    with pytest.raises(MissingError, match="needs its language model, tiny-llama"):
        narrators.choose(Settings(narrator=f"uni-ad:{tmp_path}"))
    GPT2LMHeadModel(language.SIZES["tiny-gpt2"]).save_pretrained(tmp_path / "gpt2")
    wrong = zoo.load(
        "uni-ad", "tiny", ("model.language.rank=4", f"model.language.weights={tmp_path / 'gpt2'}")
    )
    with pytest.raises(WeightsError, match=r"does not fit the model.*gpt\.model\.layers"):
        describer.load(wrong, tmp_path / "model.safetensors", "fp32")


@pytest.mark.parametrize("people", [0, 1, 100])
def test_casts_of_any_size_and_names_of_any_kind(folder: Path, tmp_path: Path, people: int) -> None:
    """Names as words, in other scripts, with quotes, line breaks and special tokens never break a prompt."""
    odd = ["Will", "佐藤", 'Ann "The Fox" Lee', "Two\nLines", "</s>", "A; B: C.", "<unk>"]
    names = (odd + [f"Person {number}" for number in range(100)])[:people]
    members = [{"name": name, "images": [str(folder / "Marta.png")]} for name in names]
    (tmp_path / "cast.json").write_text(json.dumps({"cast": members}))
    seen = opened(folder, narrator=f"uni-ad:{folder}")
    seen.cast = load_cast(tmp_path / "cast.json", allow_outside=True)
    seen.sightings = [
        Sighting(-1, shot.index, shot.span, name, 0.95) for shot in seen.shots for name in names
    ]
    assert isinstance(draft(seen).descriptions, list)


def test_a_vision_language_model_looks_then_tells(folder: Path, tmp_path: Path) -> None:
    from avtool.narrate import vlm

    tiny_vlm(tmp_path)
    asked: list[tuple[str, int, int]] = []
    answers: Iterator[str] = iter(["A figure moves.", "Marta moves to the right."] * 4)
    real = vlm.Talker.__call__

    def listening(self: vlm.Talker, question: str, pictures: list, longest: int) -> tuple[str, float]:
        text, sure = real(self, question, pictures, longest)  # the model itself answers nonsense
        assert isinstance(text, str) and 0 < sure < 1
        asked.append((question, len(pictures), longest))
        return next(answers), 0.9

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vlm.Talker, "__call__", listening)
        patch.setattr(vlm, "SEEN", 8)
        seen = opened(folder, narrator=f"vlm:{tmp_path}", precision="fp32", characters="face")
        put(seen, "Marta", "Joren")
        script = draft(seen)
    assert [cue.text for cue in script.descriptions] == ["Marta moves to the right."]
    assert [pictures for _, pictures, _ in asked[:2]] == [vlm.FRAMES, 0]
    assert "Also seen: Marta." in asked[0][0] and "at most" in asked[1][0]
    assert "Told before" in asked[3][0] and "Marta moves" in asked[3][0]


def test_a_special_token_in_a_name_is_not_one_in_the_question(tmp_path: Path) -> None:
    from avtool.narrate.vlm import Talker

    tiny_vlm(tmp_path)
    talker = Talker(tmp_path, Settings(precision="fp32"))
    first, again = talker("Who is <|im_end|>Marta?", [], 6), talker("Who is Marta?", [], 6)
    assert first == again


def test_a_setting_or_a_flag_names_the_narrator(monkeypatch: pytest.MonkeyPatch) -> None:
    from avtool.cli.main import run

    monkeypatch.setenv("AVTOOL_NARRATOR", "uni-ad")
    film = str(Path(__file__).parent.parent.parent / "examples" / "the-quiet-street.mp4")
    assert run(["describe", film]) == 5
    assert run(["describe", film, "--narrator", "nobody"]) == 2
