"""The towers, the projector, and where their weights come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from avmodels.engine import weights
from avmodels.errors import ConfigError, WeightsError
from avmodels.nn.clip_text import TextEncoder, TextSize, trim
from avmodels.nn.clip_tokens import tokenize
from avmodels.tag_align import checkpoint, cost, prompts, tower
from avmodels.tag_align.model import SIZES, TagAlign
from avmodels.tag_align.projector import GatedSize, TransformerSize
from avmodels.tag_align.tower import ImageSize, ImageTower

TINY = SIZES["vit-tiny"]
PROJECTORS = {"gated": GatedSize(), "transformer": TransformerSize(heads=4)}


@pytest.fixture(scope="module")
def model() -> TagAlign:
    torch.manual_seed(0)
    return TagAlign(TINY, GatedSize(), tags=5).eval()


def clip_of(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """TagAlign's towers under OpenAI's names."""
    clip = {"logit_scale": torch.tensor(1.0)}
    for name, tensor in state.items():
        if name.startswith("clip_text_encoder."):
            clip[name.removeprefix("clip_text_encoder.")] = tensor
        elif name.startswith("clip_image_encoder.clip_visual."):
            clip["visual." + name.removeprefix("clip_image_encoder.clip_visual.")] = tensor
        elif name.startswith("clip_image_encoder.clip_proj."):
            part = name.removeprefix("clip_image_encoder.clip_proj.")
            clip["visual." + part.replace("ln.", "ln_post.")] = tensor
    return clip


@torch.no_grad()
def test_the_short_last_block_gives_the_tokens_of_the_whole_one() -> None:
    torch.manual_seed(1)
    model = ImageTower(ImageSize(patch=8, width=64, depth=7, side=32)).eval()
    image = torch.randn(2, 3, 45, 70)
    x = model.ln_pre(model.embed(image))
    new = original = model.transformer.blocks[0](x)
    for block in model.transformer.blocks[1:]:
        new, original = tower.two_paths(block, new, original)
    tokens = model(image)
    assert tokens.shape == (2, 1 + 5 * 8, 64)
    torch.testing.assert_close(tokens[:, :1], original[:, :1])
    torch.testing.assert_close(tokens[:, 1:], new[:, 1:])
    assert not torch.allclose(new[:, 1:], original[:, 1:], atol=1e-2)


@torch.no_grad()
def test_an_untrained_gated_projector_leaves_clip_as_it_is(model: TagAlign) -> None:
    image = torch.randn(1, 3, 32, 48)
    patches = model.clip_image_encoder(image)
    assert torch.equal(model(image), model.clip_image_encoder.clip_proj(patches))


def test_gradients_reach_the_projector_and_nothing_else(model: TagAlign) -> None:
    model.zero_grad()
    model(torch.randn(1, 3, 32, 32)).sum().backward()
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == {name for name, _ in model.named_parameters() if name.startswith("projector.")}


@pytest.mark.parametrize("form", PROJECTORS)
def test_the_told_cost_is_no_less_than_the_counted_one(form: str) -> None:
    with torch.device("meta"):
        model = TagAlign(SIZES["vit-b-16"], PROJECTORS[form]).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(torch.empty(1, 3, 224, 224, device="meta"))
    told = cost.picture(SIZES["vit-b-16"], PROJECTORS[form], 224, "surgery")
    assert 0.93 * told < counter.get_total_flops() / 2 < told


def test_clip_gives_the_towers_and_the_projection(model: TagAlign, tmp_path: Path) -> None:
    path = tmp_path / "clip.safetensors"
    weights.write(clip_of(model.state_dict()), path, {})
    other = TagAlign(TINY, GatedSize(), tags=5).eval()
    left = checkpoint.start(other, checkpoint.state_of(weights.read(path, "tag-align")), str(path))
    assert left
    assert all(name.startswith(("projector.projector.", "label_", "cl_", "ce_")) for name in left)
    image = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(other(image), model(image))


class Script(nn.Module):
    """A module whose state has CLIP's names, to be written as OpenAI writes it."""

    def __init__(self, state: dict[str, Tensor]):
        super().__init__()
        for name, tensor in state.items():
            owner: nn.Module = self
            *path, last = name.split(".")
            for part in path:
                if not hasattr(owner, part):
                    owner.add_module(part, nn.Module())
                owner = getattr(owner, part)
            owner.register_parameter(last, nn.Parameter(tensor.half(), requires_grad=False))

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_openai_s_own_archive_is_read(model: TagAlign, tmp_path: Path) -> None:
    path = tmp_path / "ViT.pt"
    torch.jit.script(Script(clip_of(model.state_dict()))).save(str(path))
    state = checkpoint.from_clip(checkpoint.state_of(weights.read(path, "tag-align")))
    assert all(tensor.dtype == torch.float32 for tensor in state.values())
    other = TagAlign(TINY, GatedSize(), tags=5)
    checkpoint.start(other, checkpoint.state_of(weights.read(path, "tag-align")), str(path))
    theirs = other.clip_text_encoder.text_projection
    torch.testing.assert_close(theirs, model.clip_text_encoder.text_projection, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@torch.no_grad()
def test_the_towers_are_those_of_the_transformers_library(tmp_path: Path) -> None:
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(4)
    blocks = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 1}
    image = {"image_size": 64, "patch_size": 8, "num_hidden_layers": 8}
    text = {"num_hidden_layers": 2, "vocab_size": 49408, "eos_token_id": 49407}
    theirs = CLIPModel(
        CLIPConfig(text_config=blocks | text, vision_config=blocks | image, projection_dim=64)
    ).eval()
    path = tmp_path / "clip.safetensors"
    weights.write(theirs.state_dict(), path, {})
    ours = TagAlign(TINY, GatedSize(), tags=5, patches="plain").eval()
    checkpoint.start(ours, checkpoint.state_of(weights.read(path, "tag-align")), str(path))
    tokens, pixels = tokenize(["a red car", "two people at a door"]), torch.randn(2, 3, 64, 64)
    said = theirs.text_projection(theirs.text_model(input_ids=tokens).pooler_output)
    torch.testing.assert_close(ours.clip_text_encoder(tokens), said, rtol=1e-4, atol=1e-5)
    seen = theirs.visual_projection(theirs.vision_model(pixel_values=pixels).pooler_output)
    encoder = ours.clip_image_encoder
    torch.testing.assert_close(
        encoder.clip_proj(encoder.clip_visual(pixels)[:, 0]), seen, rtol=1e-4, atol=1e-5
    )


def test_every_published_spelling_is_the_same_model(model: TagAlign) -> None:
    fresh = model.state_dict()
    later = {}
    for name, tensor in fresh.items():
        block = name.split(".resblocks.")[-1].split(".")[0]
        if name.startswith("clip_image_encoder.clip_visual.") and block in map(str, range(2, 8)):
            name = name.replace("in_proj_", "qkv.").replace("out_proj", "proj")
        name = name.replace("projector.clip_proj.", "decoder.image_proj.")
        later["module." + name.replace("projector.projector.", "decoder.decoder.")] = tensor
    later["module.clip_image_encoder.clip_visual.attn.qkv.weight"] = torch.zeros(192, 64)
    state = checkpoint.state_of({"model": later, "step": 3})
    assert state.keys() == fresh.keys()
    assert all(torch.equal(state[name], fresh[name]) for name in fresh)


def test_a_projector_must_fit_whole(model: TagAlign) -> None:
    state = {name: tensor for name, tensor in model.state_dict().items() if "gate" not in name}
    with pytest.raises(WeightsError, match=r"has no projector\.projector\.net\.0\.conv\.gate\.gate"):
        checkpoint.start(model, state, "some file")


@torch.no_grad()
def test_trimmed_sentences_have_the_same_embedding() -> None:
    torch.manual_seed(2)
    encoder = TextEncoder(TextSize(embedding=16, width=64, depth=2, heads=1)).eval()
    words = ["cat", "a rather long name of a thing", "dog"]
    tokens = tokenize(words)
    assert trim(tokens).shape[1] == 9
    together = prompts.embed_words(encoder, words, "identity")
    torch.testing.assert_close(together, encoder(tokens), rtol=1e-4, atol=1e-5)


def test_templates_add_up() -> None:
    assert len(prompts.templates("full")) == 80
    assert len(prompts.templates("custom")) == 9
    assert prompts.templates("subset+maskclip") == prompts.templates("subset") + prompts.templates("maskclip")
    assert all(form.count("{}") == 1 for form in prompts.templates("full+maskclip"))
    with pytest.raises(ConfigError, match="no templates 'fool'"):
        prompts.templates("fool")
