"""SparseFormer beyond the golden cases: designs, regions, checkpoints, inheritance, precision."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.model import CLIP, CLIPTextCfg
from torch import Tensor

from avmodels.errors import ConfigError, WeightsError
from avmodels.sparseformer import checkpoint, inherit, regions, zero_shot
from avmodels.sparseformer.inflate import inflate
from avmodels.sparseformer.loss import alignment
from avmodels.sparseformer.model import DESIGNS, Design, Layer, SparseFormer, Unit, bootstrapped

LOOK = ("ATTN", "ROI_ADJ", "SAMPLING_M", "MLP")
SMALL = Design((Unit(64, LOOK, 2), Unit(128, LOOK), Unit(128, ("ATTN", "MLP"))), 9, 16, 16)


def bootstrapped_small(**changes: Any) -> Design:
    """A bootstrapped design of 10 tokens with four inherited units."""
    changes = {"channels": 12, "points": 9, "generator": 24} | changes
    return dataclasses.replace(bootstrapped(tokens=10, width=128, depth=4), **changes)


def image(side: int = 48, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(0))


def seeded(design: Design, **options: Any) -> SparseFormer:
    torch.manual_seed(0)
    return SparseFormer(design, 8, **options).eval()


# --- designs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "fault"),
    [
        ((), "needs a unit"),
        ((Unit(64, ("ATTN", "DANCE")),), "no operation 'DANCE'"),  # pyright: ignore[reportArgumentType]
        ((Unit(100, ("ATTN",)),), "64 heads cannot share 100"),
        ((Unit(68, ("PE_INJECT",)),), "multiple of 8"),
        ((Unit(64, ("MLP",), 0),), "at least 1"),
    ],
)
def test_what_does_not_fit_is_named(units: tuple[Unit, ...], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Design(units, 9, 16, 16)


def test_regions_are_of_no_use_once_the_class_token_is_there() -> None:
    units = (*bootstrapped_small().units, Unit(128, ("SAMPLING_M", "ATTN", "MLP")))
    with pytest.raises(ValueError, match="unit 6: the class token has no region"):
        bootstrapped_small(units=units)
    alone = bootstrapped_small(units=units, class_token_before=None, head="mean")
    assert seeded(alone)(image()).shape == (2, 8)


def test_a_unit_is_read_from_words() -> None:
    assert Unit.parse("256x4 ATTN ROI_ADJ SAMPLING_M MLP") == DESIGNS["v1-tiny"].units[0]
    with pytest.raises(ValueError, match="is no unit"):
        Unit.parse("ATTN MLP")


# --- regions -------------------------------------------------------------------------------------------------


@given(st.integers(1, 100))
def test_spread_regions_all_differ_and_lie_inside(count: int) -> None:
    boxes = regions.spread_regions(count)
    assert boxes.shape == (count, 4)
    assert len(boxes.unique(dim=0)) == count
    assert boxes.min() >= 0 and boxes.max() <= 1
    if int(count**0.5) ** 2 == count:
        assert torch.equal(boxes, regions.published_regions(count))


@pytest.mark.parametrize("start", ["published", "spread"])
def test_tokens_that_start_alike_stay_alike(start: Any) -> None:
    """The published start of 12 tokens wastes the three beyond its square grid; ours none."""
    model = seeded(bootstrapped_small(tokens=12), start=start)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    wanted = torch.randn(2, 8)
    for _ in range(3):
        optimiser.zero_grad()
        alignment(model(image()), wanted).backward()
        optimiser.step()
    tokens = model.tokens(image()).tokens[0, 1:]
    assert len(tokens) == 12
    apart = torch.cdist(tokens, tokens) + torch.eye(12)
    assert (apart[9:, 9:] < 1e-5).sum() == (6 if start == "published" else 0)
    assert apart[:9].min() > 1e-3


@given(st.integers(0, 2**31), st.floats(0.1, 3))
def test_adjusting_by_nothing_keeps_a_region_and_mends_an_inverted_one(seed: int, scale: float) -> None:
    boxes = scale * torch.rand(5, 4, generator=torch.Generator().manual_seed(seed))
    kept = regions.adjust(boxes, torch.zeros(5, 4))
    low, high = boxes.chunk(2, -1)
    want = torch.cat([torch.minimum(low, high), torch.maximum(low, high)], -1)
    torch.testing.assert_close(kept, want, atol=1e-6, rtol=1e-5)


# --- the network ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", [SMALL, bootstrapped_small()])
def test_every_parameter_learns(design: Design) -> None:
    model = seeded(dataclasses.replace(design, clamp=True)).train()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model(image()).square().sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not idle


@pytest.mark.parametrize("side", [(48, 48), (37, 90)])
def test_images_of_any_shape(side: tuple[int, int]) -> None:
    assert seeded(SMALL)(torch.randn(2, 3, *side)).shape == (2, 8)


def test_bf16_stays_near_and_coordinates_precise() -> None:
    model = seeded(SMALL)
    want = model.tokens(image())
    with torch.autocast("cpu", torch.bfloat16):
        got = model.tokens(image())
    assert got.regions.dtype == torch.float32
    assert (got.tokens - want.tokens).norm() < 0.02 * want.tokens.norm()


def test_drop_path_draws_for_each_sample_in_training_only() -> None:
    model = seeded(SMALL, drop_path=0.9)
    assert torch.equal(model(image()), model(image()))
    rates = [layer.rates for layer in model.layers if isinstance(layer, Layer)]
    assert [round(rate, 2) for pair in rates for rate in pair] == [0, 0.3, 0.6, 0.9]
    model.train()
    assert not torch.equal(model(image()), model(image()))


@pytest.mark.parametrize("design", [SMALL, bootstrapped_small(video_encoding="space")])
def test_an_inflated_network_sees_one_still_frame_as_the_image_network_does(design: Design) -> None:
    still, moving = seeded(design), seeded(design, replicates=1)
    checkpoint.start(moving, still.state_dict(), "the image's")
    torch.testing.assert_close(moving(image()[:, :, None]), still(image()), atol=1e-4, rtol=1e-3)


# --- checkpoints ---------------------------------------------------------------------------------------------


def training_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state under the names of the training code."""
    pairs = [
        ("initial_roi.", "token_roi."),
        ("initial_embedding.", "token_embedding."),
        (".norm1.", ".ln_attn."),
        (".attn.qkv.", ".attn.in_proj_"),
        (".attn.proj.", ".attn.out_proj."),
        (".norm2.", ".ffn.0."),
        (".mlp.fc1.", ".ffn.1."),
        (".mlp.fc2.", ".ffn.3."),
        (".out_proj.", ".tuo_proj."),
    ]
    renamed = {}
    for name, tensor in state.items():
        for ours, theirs in pairs:
            if not (ours == ".out_proj." and ".attn." in name):
                name = name.replace(ours, theirs)
        name = {"norm": "head.norm", "proj": "head.classifier"}.get(name.split(".")[0], "") + (
            name[name.index(".") :] if name.startswith(("norm.", "proj.")) else name
        )
        renamed[name] = tensor
    return renamed


def test_weights_go_out_under_the_names_of_their_code() -> None:
    state = seeded(dataclasses.replace(SMALL, numerics="training")).state_dict()
    assert checkpoint.training_state(state).keys() == training_names(state).keys()
    again = checkpoint.library_state(checkpoint.training_state(state))
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.items())


@pytest.mark.parametrize("wrap", ["", "model", "model_ema"])
def test_the_training_code_s_checkpoints_load_whole(wrap: str) -> None:
    design = dataclasses.replace(SMALL, numerics="training", points=36)
    state = seeded(design).state_dict()
    theirs = training_names(state)
    document = {wrap: theirs, "epoch": 3} if wrap else theirs
    other = SparseFormer(design, 8)
    assert checkpoint.start(other, checkpoint.state_of(document), "it") == []
    assert all(torch.equal(tensor, state[name]) for name, tensor in other.state_dict().items())


def test_weights_need_the_numerics_they_were_trained_with() -> None:
    state = training_names(seeded(SMALL).state_dict())
    with pytest.raises(WeightsError, match="numerics=training"):
        checkpoint.start(SparseFormer(SMALL, 8), state, "it")


def test_a_converted_checkpoint_without_stage_embeddings_is_refused() -> None:
    model = seeded(bootstrapped_small())
    state = {name: tensor for name, tensor in model.state_dict().items() if "stage" not in name}
    with pytest.raises(WeightsError, match=r"layers\.0\.stage_embedding\.weight"):
        checkpoint.start(model, state, "it")


def test_another_variant_is_named() -> None:
    with pytest.raises(WeightsError, match="initial_roi.weight is"):
        checkpoint.start(seeded(SMALL), seeded(bootstrapped_small()).state_dict(), "it")
    with pytest.raises(WeightsError, match="no state dict"):
        checkpoint.state_of({"epoch": 3})


def test_a_head_of_other_classes_starts_anew() -> None:
    model = SparseFormer(SMALL, 5)
    assert checkpoint.start(model, seeded(SMALL).state_dict(), "it") == ["proj.weight", "proj.bias"]


def test_inflation_tells_the_tokens_of_a_set_by_time() -> None:
    state = inflate(seeded(SMALL).state_dict(), SMALL, 4)
    times = state["initial_roi.weight"].view(4, 9, 6)[:, 0, [2, 5]]
    assert times.tolist() == [[0, 0.25], [0.25, 0.5], [0.5, 0.75], [0.75, 1]]


# --- inheritance ---------------------------------------------------------------------------------------------

SMALL_VIT = {"patch_size": 8, "embed_dim": 128, "depth": 6, "num_heads": 2}


def clip_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A timm ViT's state as the vision tower of an open_clip model."""
    renamed = {"visual.proj": state["head.weight"].t(), "logit_scale": torch.ones(())}
    swaps = [
        ("blocks.", "transformer.resblocks."),
        (".norm1.", ".ln_1."),
        (".norm2.", ".ln_2."),
        (".qkv.", ".in_proj_"),
        (".proj.", ".out_proj."),
        (".fc1.", ".c_fc."),
        (".fc2.", ".c_proj."),
        ("norm_pre.", "ln_pre."),
        ("norm.", "ln_post."),
    ]
    for name, tensor in state.items():
        if name == "cls_token":
            renamed["visual.class_embedding"] = tensor[0, 0]
        elif name == "pos_embed":
            renamed["visual.positional_embedding"] = tensor[0]
        elif name == "patch_embed.proj.weight":
            renamed["visual.conv1.weight"] = tensor
        elif not name.startswith("head."):
            for ours, theirs in swaps:
                name = name.replace(ours, theirs)
            renamed[f"visual.{name}"] = tensor
    return renamed


def test_the_vision_tower_of_a_clip_is_inherited() -> None:
    name, how = "vit_base_patch16_clip_quickgelu_224", (32, 8, SMALL_VIT)
    torch.manual_seed(1)
    parent, again = (inherit.vit(name, *how).eval() for _ in range(2))
    inherit.fit_vit(parent, _state_of_vit(name, *how), "the first")
    inherit.fit_vit(again, clip_names(parent.state_dict()), "open_clip's")
    assert torch.equal(again(image(32)), parent(image(32)))
    design = bootstrapped_small(quick_gelu=True)
    model = SparseFormer(design, 8, bias=False)
    made = inherit.inherit(model, again.state_dict(), "the parent")
    kept = dict(model.named_parameters())
    for target, source in made.source.items():
        assert torch.equal(kept[target], parent.state_dict()[source])
        assert kept[target].requires_grad == (target in made.tuned)
    assert "head.bias" in made.unused
    assert "inherited and frozen: 27 tensors (layers.5, layers.6, norm, proj)" in made.report()


def _state_of_vit(name: str, side: int, classes: int, arguments: dict[str, int]) -> dict[str, Tensor]:
    from timm.models import create_model

    made = create_model(name, pretrained=False, img_size=side, num_classes=classes, **arguments)  # pyright: ignore
    made.head.bias.data.zero_()  # pyright: ignore
    return {key: tensor.clone() for key, tensor in made.state_dict().items()}


def test_a_network_of_one_unit_a_block_inherits_all_of_them() -> None:
    units = (Unit(128, ("SAMPLING_M", "ATTN", "MLP")), *[Unit(128, ("ATTN", "MLP"))] * 5)
    design = bootstrapped_small(units=units, class_token_before=None, head="mean", stage_embedding=False)
    model = SparseFormer(design, 8)
    parent = _state_of_vit("vit_tiny_patch16_224", 32, 8, SMALL_VIT)
    made = inherit.inherit(model, parent, "the parent", "all")
    assert made.source["layers.0.attn.qkv.weight"] == "blocks.0.attn.qkv.weight"
    assert "norm.weight" in made.tuned and "proj.weight" in made.new and not made.frozen


@pytest.mark.parametrize("name", ["no_such_vit", "resnet18"])
def test_another_parent_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        inherit.vit(name, 32, 8, {})


def test_a_parent_of_another_depth_is_refused() -> None:
    parent = _state_of_vit("vit_tiny_patch16_224", 32, 8, SMALL_VIT | {"depth": 9})
    with pytest.raises(WeightsError, match="room for 4 blocks of a parent, this one has 6"):
        inherit.inherit(seeded(bootstrapped_small()), parent, "it")


# --- words ---------------------------------------------------------------------------------------------------


def small_clip(embedding: int = 8) -> CLIP:
    """A CLIP of open_clip with a text tower of one block."""
    torch.manual_seed(0)
    text = CLIPTextCfg(width=64, heads=1, layers=1)
    return CLIP(embedding, zero_shot.NO_VISION, text, quick_gelu=True).eval()


def test_the_network_speaks_with_its_parents_text_tower() -> None:
    model, parent = seeded(bootstrapped_small()), small_clip()
    whole = zero_shot.clip(model, parent.state_dict(), "it")
    words = ["a cat", "a dog on a mat"]
    tokens = open_clip.get_tokenizer("ViT-B-16")(words)
    with torch.no_grad():
        torch.testing.assert_close(
            zero_shot.text_vectors(whole, words), parent.encode_text(tokens, normalize=True)
        )
        torch.testing.assert_close(whole.encode_image(image()), model(image()))
    plain = zero_shot.class_vectors(whole, ["cat", "dog"], "plain")
    torch.testing.assert_close(
        plain, zero_shot.text_vectors(whole, ["a photo of a cat.", "a photo of a dog."])
    )
    assert zero_shot.class_vectors(whole, ["cat"]).norm(dim=-1).item() == pytest.approx(1)


def test_another_text_tower_is_refused() -> None:
    with pytest.raises(WeightsError, match="no text tower"):
        zero_shot.clip(seeded(SMALL), {"proj": torch.ones(2)}, "it")
    with pytest.raises(WeightsError, match="a space of 12 dimensions, the network of 8"):
        zero_shot.clip(seeded(SMALL), small_clip(12).state_dict(), "it")


def test_texts_find_images_and_images_one_of_their_texts() -> None:
    owners = np.array([0, 0, 1, 2])
    scores = np.array([[0.9, 0.1, 0.2], [0.1, 0.8, 0.2], [0.3, 0.7, 0.2], [0.1, 0.2, 0.6]])
    told = zero_shot.recalls(scores, owners)
    assert told["text_to_image_R@1"] == 75 and told["text_to_image_R@5"] == 100
    # The second text is nearer to image 1 than its own is, but image 0 has another.
    assert told["image_to_text_R@1"] == pytest.approx(100 * 2 / 3)


def test_folders_of_imagenet_are_called_by_its_words() -> None:
    assert zero_shot.words_of(["fire_engine", "dog"]) == ["fire engine", "dog"]
    assert zero_shot.words_of([f"n{number:08}" for number in range(1000)])[0] == "tench"
