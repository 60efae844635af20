"""Uni-AD's network beyond the golden cases: language models, checkpoints, prompts, generation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from avmodels import zoo
from avmodels.engine import weights
from avmodels.errors import ConfigError, WeightsError
from avmodels.uni_ad import checkpoint, films, language, recipe
from avmodels.uni_ad.generate import Rules, beam_search, disciplined, greedy
from avmodels.uni_ad.lora import LoRALinear, LoRASize, adapt, merge
from avmodels.uni_ad.model import UniAD, freeze
from avmodels.uni_ad.prompt import Character, Form, extra_ids, prompt, short

TINY = ("training.workers=0",)


def tiny(*settings: str) -> UniAD:
    torch.manual_seed(0)
    config = zoo.load("uni-ad", "tiny", (*TINY, *settings))
    return recipe.build(config).eval()


def inputs(model: UniAD, clips: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """ids with two characters in the first clip, none in the others; frames; exemplars."""
    extra, size = model.extra, model.size
    torch.manual_seed(1)
    with_people = [5, *[extra.image] * size.image, 6, *[extra.image] * size.image, 7]
    rows = [
        [*(with_people if not clip else [8] * len(with_people)), *[extra.video] * size.video, 9]
        for clip in range(clips)
    ]
    return torch.tensor(rows), torch.randn(clips, 16, size.features), torch.randn(2, size.features)


@pytest.mark.parametrize("size", ["tiny-llama", "tiny-gpt2"])
def test_merged_low_rank_maps_change_nothing(size: str) -> None:
    model = tiny("model.language.rank=4", f"model.language.size={size}")
    for name, parameter in model.named_parameters():
        if name.endswith("lora_B"):
            torch.nn.init.normal_(parameter, std=0.1)
    given = inputs(model)
    with torch.no_grad():
        before = model(*given)
        merge(model.gpt)
        assert not any(isinstance(module, LoRALinear) for module in model.modules())
        torch.testing.assert_close(model(*given), before, rtol=1e-4, atol=1e-4)


def test_gpt2_is_adapted_in_its_transposed_projections() -> None:
    torch.manual_seed(0)
    model = language.network(language.SIZES["tiny-gpt2"])
    assert isinstance(model, GPT2LMHeadModel)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        before = model.eval()(ids).logits
        adapt(model, LoRASize(4))
        torch.testing.assert_close(model.eval()(ids).logits, before, rtol=1e-4, atol=1e-4)
    assert sum(isinstance(module, LoRALinear) for module in model.modules()) == 4


def test_published_names_go_out_and_come_back() -> None:
    for form in ("mad", "cmd-tv"):
        heads = ("model.features=48", "model.video=6", "model.image=4") if form == "cmd-tv" else ()
        model = tiny(f"model.form={form}", "model.language.rank=4", *heads)
        state = checkpoint.published_state(model.state_dict())
        assert "video_output_token_embedding.weight" in state
        again = tiny(f"model.form={form}", "model.language.rank=4", *heads)
        for parameter in again.parameters():
            torch.nn.init.zeros_(parameter)
        assert not checkpoint.load(
            again, checkpoint.state_of({"state_dict": {f"module.{k}": v for k, v in state.items()}}), "x"
        )
        for name, value in model.state_dict().items():
            assert torch.equal(again.state_dict()[name], value)


def test_a_published_checkpoint_needs_its_language_model(tmp_path: Path) -> None:
    settings = (*TINY, "model.language.rank=4")
    config = zoo.load("uni-ad", "tiny", settings)
    model = tiny("model.language.rank=4")
    kept = checkpoint.trained(checkpoint.published_state(model.state_dict()))
    assert all(".lora_" in name or "norm" in name for name in kept if name.startswith("gpt."))
    torch.save({"state_dict": {f"module.{name}": value for name, value in kept.items()}}, tmp_path / "MAD.pt")
    fresh = recipe.build(config)
    with pytest.raises(WeightsError, match="no weights of the language model tiny-llama"):
        recipe.load(fresh, config, tmp_path / "MAD.pt")
    base = LlamaForCausalLM(language.SIZES["tiny-llama"])
    own = {
        name.removeprefix("gpt."): value
        for name, value in model.state_dict().items()
        if name.startswith("gpt.")
    }
    base.load_state_dict({name: value for name, value in own.items() if ".lora_" not in name})
    base.save_pretrained(tmp_path / "base")
    config = zoo.load("uni-ad", "tiny", (*settings, f"model.language.weights={tmp_path / 'base'}"))
    fresh = recipe.build(config)
    recipe.load(fresh, config, tmp_path / "MAD.pt")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(fresh.state_dict()[name], value)


def test_a_checkpoint_of_another_language_model_is_named(tmp_path: Path) -> None:
    config = zoo.load("uni-ad", "tiny", (*TINY, "model.language.rank=4"))
    other = tiny("model.language.size=tiny-gpt2", "model.language.rank=4")
    torch.save(checkpoint.published_state(other.state_dict()), tmp_path / "other.pt")
    with pytest.raises(WeightsError, match=r"the model has no gpt\.transformer"):
        recipe.load(recipe.build(config), config, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="holds no language model"):
        language.words(tmp_path)
    with pytest.raises(ConfigError, match="there are llama-2-7b"):
        zoo.load("uni-ad", "tiny", ("model.language.size=llama",))


def test_what_stands_behind_changes_nothing_before() -> None:
    model = tiny()
    ids, frames, people = inputs(model)
    longer = torch.nn.functional.pad(ids, (0, 3), value=model.extra.pad)
    with torch.no_grad():
        short_one, long_one = model(ids, frames, people), model(longer, frames, people)
    torch.testing.assert_close(long_one[:, : ids.shape[1]], short_one, rtol=1e-4, atol=1e-5)


def test_padding_in_front_changes_no_description() -> None:
    model = tiny()
    ids, frames, people = inputs(model)
    with torch.no_grad():
        embeds = model.embed(ids, model.map_video(frames), model.map_characters(people))
    mask = torch.ones(ids.shape)
    for search in (beam_search, greedy):
        rules = Rules(longest=8, start=1)
        alone = search(model, embeds, mask, rules)
        pad = torch.zeros(len(embeds), 4, embeds.shape[-1])
        padded = search(model, torch.cat([pad, embeds], 1), torch.cat([torch.zeros(2, 4), mask], 1), rules)
        assert [one.ids for one in padded] == [one.ids for one in alone]


@given(st.lists(st.integers(0, 5), min_size=3, max_size=12))
def test_three_words_are_never_said_twice(said: list[int]) -> None:
    scores = disciplined(torch.zeros(1, 6), torch.tensor([said]), Rules())
    for word in range(6):
        again = (*said[-2:], word) in set(zip(said, said[1:], said[2:], strict=False))
        assert (scores[0, word] == float("-inf")) == again


def test_the_context_token_reads_the_word_0() -> None:
    model = tiny("model.form=cmd-tv", "model.features=48", "model.video=6", "model.image=4")
    assert model.extra.context is not None
    row = model.embed_ids(torch.tensor([model.extra.context]))
    assert torch.equal(row[0], model.gpt.get_input_embeddings().weight[0])


def test_only_the_mapping_learns_as_published() -> None:
    model = tiny("model.language.rank=4")
    freeze(model, language=False)
    assert not any(value.requires_grad for value in model.gpt.parameters())
    assert model.project.weight.requires_grad
    freeze(model, language=True)
    learning = [name for name, value in model.gpt.named_parameters() if value.requires_grad]
    assert learning and all(".lora_" in name or "norm" in name for name in learning)


def encode(text: str) -> list[int]:
    return list(text.encode())


def said(ids: list[int]) -> str:
    return "".join(chr(token) if token < 256 else "#" for token in ids)


MARTA = Character("nm1", "Marta Hale", "Ines Corvo", "Marta")
GULL = Character("nm2", "The Gull", "No Face", "Gull")


@pytest.mark.parametrize(
    ("form", "people", "text"),
    [
        (Form("mad", 2, 1), [MARTA], "Possible characters:Marta Hale played by Ines Corvo#.Describe ##:"),
        (Form("mad", 2, 1), [], "Describe ##:"),
        (
            Form("mad", 2, 1, actor=False),
            [MARTA, GULL],
            "Possible characters:Marta Hale#;The Gull#.Describe ##:",
        ),
        (
            Form("mad", 1, 1, exemplar=False),
            [MARTA],
            "Possible characters:Marta Hale played by Ines Corvo.Describe #:",
        ),
        (Form("mad", 1, 1, actor=False, short_roles=True), [MARTA], "Possible characters:Marta#.Describe #:"),
        # Who has no exemplar is left out, and if that is the last one no full stop closes the list.
        (
            Form("cmd-tv", 1, 1),
            [MARTA, GULL],
            "Possible characters :Marta played by Ines Corvo#; Describe #:#",
        ),
        (Form("cmd-tv", 1, 1), [GULL], "Describe #:#"),
    ],
)
def test_prompts(form: Form, people: list[Character], text: str) -> None:
    ids, _ = prompt(encode, form, extra_ids(256, form.name), people, ["nm1"], 1)
    assert said(ids) == text


@pytest.mark.parametrize(
    ("role", "word"), [("Dr. Hale-Ames", "Hale-Ames"), ("Old Joren", "Old"), ("Mrs.", "Mrs."), ("", "")]
)
def test_short_roles(role: str, word: str) -> None:
    assert short(role) == word


def test_marks_start_and_end_what_is_shown() -> None:
    extra = extra_ids(256, "mad", marks=True)
    ids, _ = prompt(encode, Form("mad", 1, 1, marks=True), extra, [MARTA], [], bos=1)
    assert ids[0] == 256 + 4 and ids[-1] == 1
    assert [token - 256 for token in ids if token >= 256] == [4, 3, 5, 1, 0, 2]


@pytest.mark.parametrize(
    ("start", "end", "frames"),
    [("3.2", "5.6", (15, 30)), ("10.5", "10.5", (50, 55)), ("2.5", "2.6", (10, 15))],
)
def test_windows_of_seconds(start: str, end: str, frames: tuple[int, int]) -> None:
    assert films.window(start, end) == frames


def test_a_film_without_a_time_is_left_out() -> None:
    entry = {
        "start": "-1",
        "end": "2",
        "ad": "x",
        "context": [{"start": "0", "end": "1", "ad": "y"}],
        "prob": [],
    }
    assert films.mad_sample(entry, "film", "prob") is None


def test_weights_are_written_and_read(tmp_path: Path) -> None:
    config = zoo.load("uni-ad", "tiny")
    model = tiny()
    weights.write(model.state_dict(), tmp_path / "model.safetensors", recipe.about(config))
    again = recipe.build(config)
    recipe.load(again, config, tmp_path / "model.safetensors")
    assert torch.equal(again.project.weight, model.project.weight)


def test_the_cost_is_told_without_weights() -> None:
    summary = zoo.summary("uni-ad/mad")
    assert summary.parameters == 7_567_757_312
    # Low-rank maps are counted besides, and rows of the last mapping's block that nobody reads left out.
    low_rank, rows = 32 * 4 * 2 * 200 * 4096 * 16 / 1e9, 17 * 10 * 4096**2 / 1e9
    assert summary.gmacs_here == pytest.approx(summary.gmacs + low_rank - rows, rel=1e-3)
