"""Saying what was read, together and apart; frames as features; characters without faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    Blip2Config,
    Blip2Model,
    CLIPConfig,
    CLIPModel,
    GPT2LMHeadModel,
    LlamaForCausalLM,
)

from avmodels import zoo
from avmodels.errors import ConfigError, WeightsError
from avmodels.uni_ad import batches, describer, frames, language, prompt, recipe
from avmodels.uni_ad.generate import (
    Rules,
    beam_search,
    greedy,
    hypotheses,
    likeliest,
    read_prompt,
    sample,
)
from avmodels.uni_ad.model import UniAD


def items(model: UniAD, longer: tuple[int, ...] = (1, 4, 2)) -> list[batches.Item]:
    """Prompts of different lengths that begin with the same two characters."""
    draw = np.random.default_rng(0)
    people = [draw.normal(size=432).astype(np.float32) for _ in range(2)]
    image, video = model.extra.image, model.extra.video
    begin = [5, 6, image, image, 7, image, image, 8]
    return [
        batches.Item(
            [*begin, *[9] * more, *[video] * 6, 10], draw.normal(size=(16, 432)).astype(np.float32), people
        )
        for more in longer
    ]


@pytest.mark.parametrize("size", ["tiny-llama", "tiny-gpt2"])
def test_a_shared_beginning_is_read_once_and_changes_nothing(size: str) -> None:
    torch.manual_seed(0)
    model = recipe.build(zoo.load("uni-ad", "tiny", (f"model.language.size={size}",))).eval()
    some = items(model)
    shared = batches.shared_places(some, model.extra.video, model.extra.image)
    assert shared == 9
    batch = batches.evaluation_batch(some, model.extra.pad)
    with torch.no_grad():
        embeds = model.embed(
            batch["ids"], model.map_video(batch["frames"]), model.map_characters(batch["exemplars"])
        )
    apart, together = (read_prompt(model, embeds, batch["mask"], many) for many in (0, shared))
    torch.testing.assert_close(together.logits, apart.logits, rtol=1e-4, atol=1e-5)
    rules = Rules(longest=10, start=1)
    for search in (beam_search, greedy):
        alone = [said.ids for said in search(model, embeds, batch["mask"], rules)]
        assert [said.ids for said in search(model, embeds, batch["mask"], rules, shared)] == alone
    for count, each in zip(
        (3, 5, 10), hypotheses(model, embeds, batch["mask"], rules, [3, 5, 12]), strict=True
    ):
        assert 0 < max(len(said.ids) for said in each) <= count
        assert [said.score for said in each] == sorted((said.score for said in each), reverse=True)


def test_a_character_who_looks_different_ends_what_is_shared() -> None:
    model = recipe.build(zoo.load("uni-ad", "tiny"))
    one, other, _ = items(model)
    changed = batches.Item(other.prompt, other.frames, [other.exemplars[0], other.exemplars[1] + 1])
    assert batches.shared_places([one, changed], model.extra.video, model.extra.image) == 5


def test_sampling_draws_from_the_likeliest_words() -> None:
    kept = likeliest(torch.tensor([[2.0, 1.0, 0.0, -1.0]]), 0.7).isfinite()
    assert kept.tolist() == [[True, True, False, False]]
    assert likeliest(torch.tensor([[9.0, 0.0]]), 0.1).isfinite().tolist() == [[True, False]]
    torch.manual_seed(0)
    model = recipe.build(zoo.load("uni-ad", "tiny")).eval()
    some = items(model)
    batch = batches.evaluation_batch(some, model.extra.pad)
    with torch.no_grad():
        embeds = model.embed(
            batch["ids"], model.map_video(batch["frames"]), model.map_characters(batch["exemplars"])
        )
    certain = Rules(longest=6, top_p=1e-6)
    assert [one.ids for one in sample(model, embeds, batch["mask"], certain)] == [
        one.ids for one in greedy(model, embeds, batch["mask"], certain)
    ]
    torch.manual_seed(1)
    first = [one.ids for one in sample(model, embeds, batch["mask"], Rules(longest=6))]
    assert first != [one.ids for one in sample(model, embeds, batch["mask"], Rules(longest=6))]


def test_clip_features_are_those_of_the_library(tmp_path: Path) -> None:
    """A random CLIP of a real architecture: real ones are in no package."""
    torch.manual_seed(0)
    tower = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 1}
    config = CLIPConfig(
        text_config={**tower, "vocab_size": 99},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        projection_dim=48,
    )
    model: Any = CLIPModel(config).eval()
    model.save_pretrained(tmp_path)
    pictures = np.random.default_rng(0).integers(0, 255, (3, 60, 80, 3), dtype=np.uint8)
    extractor = frames.clip(tmp_path)
    with torch.no_grad():
        theirs = model.get_image_features(frames.pictures(pictures, 32, "shortest"))
    np.testing.assert_allclose(extractor.read(pictures), theirs, atol=0.05)
    assert (extractor.shape, extractor.fps) == ((48,), 5)
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="no image transformer of CLIP"):
        frames.clip(tmp_path / "other.safetensors")


def test_q_former_tokens_are_those_of_the_library(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = Blip2Config(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
        },
        qformer_config={
            "hidden_size": 24,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "encoder_hidden_size": 32,
        },
        text_config={
            "model_type": "opt",
            "hidden_size": 16,
            "ffn_dim": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "vocab_size": 64,
            "word_embed_proj_dim": 16,
        },
        num_query_tokens=6,
    )
    model: Any = Blip2Model(config).eval()
    torch.nn.init.normal_(model.query_tokens)
    model.save_pretrained(tmp_path)
    pictures = np.random.default_rng(0).integers(0, 255, (2, 30, 50, 3), dtype=np.uint8)
    extractor = frames.q_former(tmp_path)
    with torch.no_grad():
        theirs = model.get_qformer_features(frames.pictures(pictures, 28, "squash")).last_hidden_state
    np.testing.assert_allclose(extractor.read(pictures), theirs, atol=0.06)
    assert (extractor.shape, extractor.fps) == ((6, 24), 3)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_llama_shaped_model_describes_in_every_precision(
    tmp_path: Path, precision: describer.Precision
) -> None:
    """A published checkpoint (low-rank maps, mapping) over a random LLaMA: merged, reduced, asked."""
    from tokenizers import Tokenizer, models

    from avmodels.engine import weights
    from avmodels.uni_ad import checkpoint

    torch.manual_seed(0)
    LlamaForCausalLM(language.SIZES["tiny-llama"]).save_pretrained(tmp_path / "base")
    Tokenizer(models.BPE(vocab={chr(97 + n): n for n in range(26)}, merges=[])).save(
        str(tmp_path / "tokenizer.json")
    )
    settings = ("model.language.rank=4", f"model.language.weights={tmp_path / 'base'}")
    config = zoo.load("uni-ad", "tiny", settings)
    model = recipe.build(config)
    for name, value in model.named_parameters():
        if name.endswith("lora_B"):
            torch.nn.init.normal_(value, std=0.1)
    weights.write(checkpoint.trained(model.state_dict()), tmp_path / "m.safetensors", {"system": "uni-ad"})
    ready = describer.load(config, tmp_path / "m.safetensors", precision)
    assert not any("LoRA" in type(module).__name__ for module in ready.model.modules())
    some = items(ready.model)
    for said, limit in zip(ready(some, [4, 6, 8]), (4, 6, 8), strict=True):
        assert said and all(0 < one.probability <= 1 for one in said)
        assert all(len(one.text) <= limit for one in said)  # its tokens are letters


def test_a_language_model_without_a_token_it_needs_is_told(tmp_path: Path) -> None:
    config = language.SIZES["tiny-gpt2"].__class__(**language.SIZES["tiny-gpt2"].to_dict())
    config.eos_token_id = None
    model = UniAD(zoo.load("uni-ad", "tiny", ("model.heads=4",)).model.size(), GPT2LMHeadModel(config))
    with pytest.raises(WeightsError, match="no token that ends a text"):
        _ = model.eos
    form = prompt.Form("mad", 1, 1, marks=True)
    with pytest.raises(WeightsError, match="no token that begins a text"):
        prompt.prompt(lambda text: [1], form, prompt.extra_ids(9, "mad", marks=True), [], [], bos=None)
    with pytest.raises(ConfigError, match="no 4bit on"):
        describer.reduced(model.gpt, "4bit", torch.device("cpu"))


def test_names_with_signs_of_special_tokens_are_read_letter_by_letter(tmp_path: Path) -> None:
    from avmodels.uni_ad import toy

    toy.tokenizer(["Marta walks."]).save(str(tmp_path / "tokenizer.json"))
    words = language.words(tmp_path / "tokenizer.json")
    assert len(words.encode("</s>")) > 1 and 2 not in words.encode("Marta </s> walks")
