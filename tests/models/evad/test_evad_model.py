"""EVAD's network, loss and checkpoints: what the golden cases do not reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels.engine import weights as files
from avmodels.errors import WeightsError
from avmodels.evad import checkpoint, cost, detections, encoder, loss, recipe
from avmodels.evad.context import ContextSize
from avmodels.evad.encoder import EncoderSize, Positions, TokenDropout, WeighingAttention
from avmodels.evad.loss import Target, Weights
from avmodels.evad.model import SIZES, Detector, Located, Predictions, Size, detector, pad
from avmodels.evad.proposals import ProposalSize
from avmodels.evad.pyramid import Pyramid
from avmodels.nn.positions import sinusoid
from avmodels.videomae_v2 import model as videomae
from tests.golden.evad import configuration

TINY = Size(
    EncoderSize(width=32, depth=4, heads=2, maps=(0, 1, 2, 3), frames=8, trained_side=64),
    ContextSize(width=16, depth=2, heads=2, judge_width=24),
    dropping=(1, 3),
    proposals=ProposalSize(count=6, stages=2, width=32, heads=2, feedforward=48, dynamic_width=8),
)


def tiny(**options: Any) -> Detector:
    """A small detector of 5 actions, the same every time."""
    torch.manual_seed(0)
    model = detector(TINY, 5, TINY.keep_rates(0.7), **options)
    # As initialised, every proposal is the whole clip: spread them.
    nn.init.uniform_(model.proposals.boxes.weight, 0.3, 0.6)
    return model.eval()


def clips(count: int, high: int = 64, wide: int = 96) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(3, 8, high, wide, generator=generator) for _ in range(count)]


def outputs(predictions: Predictions) -> list[Tensor]:
    """Everything the last stage and the last block say."""
    return [predictions.located.people[-1], predictions.located.boxes[-1], predictions.actions[-1]]


# --- token dropout ------------------------------------------------------------------------------------------


def plainly(
    attention: WeighingAttention, x: Tensor, key_tokens: int, key_weight: float
) -> tuple[Tensor, Tensor]:
    """Mixed values and importance from the whole attention matrix."""
    assert attention.q_bias is not None and attention.v_bias is not None
    bias = torch.cat([attention.q_bias, torch.zeros_like(attention.q_bias), attention.v_bias])
    parts = F.linear(x, attention.qkv.weight, bias).view(*x.shape[:2], 3, attention.heads, -1)
    queries, keys, values = parts.permute(2, 0, 3, 1, 4)
    shares = (queries @ keys.transpose(-2, -1) * queries.shape[-1] ** -0.5).softmax(-1)
    votes = torch.ones(x.shape[1])
    votes[:key_tokens] = key_weight
    importance = (shares * votes[:, None]).sum(2).mean(1) / x.shape[1]
    return (shares @ values).transpose(1, 2).flatten(2), importance[:, key_tokens:]


def test_importance_needs_no_whole_attention_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "SCORES", 7 * 4 * 24)
    torch.manual_seed(0)
    attention = WeighingAttention(32, 4)
    for bias in (attention.q_bias, attention.v_bias):
        assert bias is not None
        nn.init.normal_(bias)
    x = torch.randn(2, 24, 32)
    for got, want in zip(attention.mix_and_weigh(x, 6, 3.0), plainly(attention, x, 6, 3.0), strict=True):
        torch.testing.assert_close(got, want)

    slopes = []
    for mixed, _ in (attention.mix_and_weigh(x, 6, 3.0), plainly(attention, x, 6, 3.0)):
        attention.zero_grad()
        mixed.square().sum().backward()
        slopes.append(attention.qkv.weight.grad)
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-4)


def test_no_tile_is_larger_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "SCORES", 5 * 4 * 24)
    seen = []
    whole = encoder._tile
    monkeypatch.setattr(encoder, "_tile", lambda *args: seen.append(args[0].shape[2]) or whole(*args))
    with torch.no_grad():
        WeighingAttention(32, 4).mix_and_weigh(torch.randn(1, 24, 32), 6, 1.0)
    assert seen == [5, 5, 5, 5, 4]


@pytest.mark.parametrize(("keep_rate", "remaining"), [(1.0, 2592), (0.7, 890), (0.6, 561)])
def test_as_many_tokens_remain_as_published(keep_rate: float, remaining: int) -> None:
    size = SIZES["vit-b"]
    assert cost.encoder_blocks(size, size.keep_rates(keep_rate), 2592)[1] == remaining
    importance = torch.rand(1, 2592 - 324)
    for _ in size.dropping:
        importance = importance[:, : TokenDropout(keep_rate)(importance, 324).shape[1]]
    assert 324 + importance.shape[1] == remaining


def test_a_share_that_rounds_up_to_all_keeps_the_order() -> None:
    kept = TokenDropout(0.99)(torch.tensor([[0.1, 0.3, 0.2]]), 2)
    assert kept.tolist() == [[0, 1, 2]]


def test_the_keyframe_is_never_dropped() -> None:
    model, (video, _) = tiny(key_weight=0.01), pad(clips(1))
    with torch.no_grad():
        seen = model.encoder(video)
    assert seen.key_tokens == 24
    assert seen.tokens.shape[1] == 24 + seen.kept.shape[1] == 48
    assert seen.kept.unique().numel() == seen.kept.shape[1]


def test_kept_tokens_are_placed_as_published_or_on_their_own() -> None:
    model, (video, _) = tiny(), pad(clips(1))
    decoder = model.context
    with torch.no_grad():
        seen = model.encoder(video)
        tokens = decoder.encoder_to_decoder(seen.tokens)[0, 24:]
        table = decoder.positions(4, 6).unflatten(0, (4, -1))[encoder.key_first(4)].flatten(0, 1)
        for own, places in ((False, seen.kept[0].sort().values), (True, seen.kept[0])):
            decoder.own_places = own
            visible, volume = decoder.place(seen)
            cells = volume[0].permute(0, 2, 3, 1).flatten(0, 2)
            torch.testing.assert_close(cells[24 + places] - table[24 + places], tokens)
            torch.testing.assert_close(visible[0, 24:], cells[24 + places])
            gone = torch.ones(len(cells), dtype=torch.bool)
            gone[:24] = gone[24 + places] = False
            want = (decoder.mask_token[0] + table)[gone]
            torch.testing.assert_close(cells[gone], want)
    assert not torch.equal(seen.kept[0], seen.kept[0].sort().values)


# --- the parts ----------------------------------------------------------------------------------------------


def test_positions_follow_the_clip() -> None:
    positions = Positions(2, 14, 8)
    table = sinusoid(2 * 196, 8)
    assert torch.equal(positions(14, 14), table)
    # As published: as many cells, so nothing is resized.
    assert torch.equal(positions(7, 28), table)
    one, other = positions(18, 24), positions(18, 32)
    assert one.shape == (2 * 18 * 24, 8) and other.shape == (2 * 18 * 32, 8)
    assert torch.equal(positions(18, 24), one)
    maps = table.view(2, 14, 14, 8).permute(0, 3, 1, 2)
    want = F.interpolate(maps, size=(18, 24), mode="bicubic").permute(0, 2, 3, 1).flatten(0, 2)
    torch.testing.assert_close(one, want)


def test_the_pyramid_is_that_of_resized_maps() -> None:
    torch.manual_seed(0)
    pyramid = Pyramid(6, 8)
    maps = [torch.randn(2, 6, 4, 6) for _ in range(4)]
    resized = [F.interpolate(x, scale_factor=f) for x, f in zip(maps, (4.0, 2.0, 1.0, 0.5), strict=True)]
    merged = pyramid.lateral["5"](resized[3])
    want = [pyramid.output["5"](merged)]
    for level in (4, 3, 2):
        merged = pyramid.lateral[str(level)](resized[level - 2]) + F.interpolate(merged, scale_factor=2.0)
        want.insert(0, pyramid.output[str(level)](merged))
    for got, one in zip(pyramid(maps), want, strict=True):
        torch.testing.assert_close(got, one)


def test_a_clip_is_padded_to_the_coarsest_stride() -> None:
    video, sizes = pad([torch.ones(3, 8, 60, 80), torch.ones(3, 8, 33, 96)])
    assert video.shape == (2, 3, 8, 64, 96)
    assert sizes.tolist() == [[60, 80], [33, 96]]
    assert video[0].sum() == 3 * 8 * 60 * 80 and video[0, :, :, :60, :80].all()


@torch.no_grad()
def test_clips_of_equal_size_do_not_disturb_one_another() -> None:
    model, two = tiny(), clips(2)
    together = outputs(model(*pad(two)))
    for number, clip in enumerate(two):
        for one, both in zip(outputs(model(*pad([clip]))), together, strict=True):
            torch.testing.assert_close(one[0], both[number], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_training_judges_after_every_block_and_ends_the_same() -> None:
    model, batch = tiny(), pad(clips(1))
    alone = model(*batch)
    every = model.train()(*batch)
    assert (len(alone.actions), len(every.actions)) == (1, 2)
    for one, other in zip(outputs(alone), outputs(every), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_size_first_seen_without_gradients_can_be_trained_on() -> None:
    model, batch = tiny(), pad(clips(1, 64, 64 + 32))
    with torch.inference_mode():
        model(*batch)
    model.train().set_checkpointing(True)
    (people, boxes), actions = model(*batch)
    torch.stack([one.square().mean() for one in (*people, *boxes, *actions)]).sum().backward()
    # Every parameter takes part, as training in several processes needs.
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@torch.no_grad()
def test_bf16_keeps_boxes_in_float32_and_near() -> None:
    model, batch = tiny(), pad(clips(1))
    exact = outputs(model(*batch))
    with torch.autocast("cpu", torch.bfloat16):
        rough = outputs(model(*batch))
    assert rough[1].dtype == torch.float32
    assert (rough[1] - exact[1]).abs().max() < 0.02 * exact[1].abs().max()
    assert (rough[0].float().softmax(-1) - exact[0].softmax(-1)).abs().max() < 0.05


def test_portrait_clips_are_taken() -> None:
    with torch.no_grad():
        assert tiny()(*pad(clips(1, 96, 64))).actions[-1].shape == (1, 6, 5)


@pytest.mark.parametrize(
    ("variant", "high", "wide", "published"),
    [
        ("vit-b", 288, 384, 631.5),
        ("vit-b-ktp", 288, 384, 351.4),
        ("vit-b-ktp", 288, 512, 521),
        ("vit-b-ktp-ew", 288, 704, 704),
        ("vit-l-ktp", 288, 512, 1542),
    ],
)
def test_the_cost_of_other_sizes(variant: str, high: int, wide: int, published: float) -> None:
    gmacs = recipe.published_gmacs(configuration(variant), high, wide)
    assert gmacs == pytest.approx(published, rel=0.005)


# --- the loss -----------------------------------------------------------------------------------------------


def test_clips_without_people_teach_that_there_are_none() -> None:
    model, (video, sizes) = tiny().train(), pad(clips(2))
    empty = [Target(torch.zeros(0, 4), torch.zeros(0, 5))] * 2
    terms = loss.losses(model(video, sizes), sizes, empty, Weights(), loss.people_per_process(empty))
    assert all(terms[name] == 0 for name in terms if "ce" not in name.split("_")[1] or "bce" in name)
    value = loss.total(loss.weighted(terms, Weights()))
    value.backward()
    slopes = [p.grad for p in model.parameters() if p.grad is not None]
    assert value > 0 and all(slope.isfinite().all() for slope in slopes)


def test_a_perfect_guess_costs_nothing_but_certainty() -> None:
    people = torch.tensor([[[9.0, -9.0], [-9.0, 9.0], [9.0, -9.0]]])
    boxes = torch.tensor([[[10.0, 10, 40, 60], [0, 0, 5, 5], [50, 20, 90, 63]]])
    target = Target(boxes[0, [2, 0]], torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    actions = torch.tensor([[[-9.0, 9.0], [0.0, 0.0], [9.0, -9.0]]])
    sizes = torch.tensor([[64.0, 96.0]])
    (match,) = loss.match(people, boxes, sizes, [target], Weights())
    assert match.proposals.tolist() == [0, 2] and match.people.tolist() == [1, 0]
    predictions = Predictions(Located([people], [boxes]), [actions])
    terms = loss.losses(predictions, sizes, [target], Weights(), 2.0)
    assert max(terms.values()) < 1e-3 and min(terms.values()) >= 0


def test_what_is_no_number_shows_in_the_loss_and_finds_nobody() -> None:
    nan = torch.full((1, 3, 4), torch.nan)
    sizes, actions = torch.tensor([[64.0, 96.0]]), torch.zeros(1, 3, 2)
    predictions = Predictions(Located([nan[..., :2]], [nan]), [actions])
    target = Target(torch.tensor([[10.0, 10, 40, 60]]), torch.tensor([[0.0, 1.0]]))
    assert loss.total(loss.losses(predictions, sizes, [target], Weights(), 1.0)).isnan()
    assert len(detections.select(predictions, sizes, sizes, 0.7).boxes) == 0


def test_focal_loss_weighs_down_what_is_clear() -> None:
    logits, truth = torch.tensor([[[4.0, -1.0]]]), torch.tensor([[1.0, 1.0]])
    match = [loss.Match(torch.tensor([0]), torch.tensor([0]))]
    target = [Target(torch.zeros(1, 4), truth)]
    chance = logits[0].sigmoid()
    want = (-0.25 * (1 - chance) ** 2 * chance.log()).mean()
    assert loss.action_loss(logits, target, match, focal=True) == pytest.approx(want.item())
    assert loss.action_loss(logits, target, match, focal=False) == pytest.approx(
        (-chance.log()).mean().item()
    )


# --- detections ---------------------------------------------------------------------------------------------


def test_a_clip_where_nobody_is_sure_gives_all_or_none() -> None:
    people = torch.tensor([[[3.0, 0.0], [0.0, 3.0]], [[0.0, 3.0], [0.0, 2.0]]])
    boxes = torch.tensor([[[-9.0, 8, 48, 99]] * 2] * 2)
    predictions = Predictions(Located([people], [boxes]), [torch.tensor([[[0.0, 2.0, 1.0]] * 2] * 2)])
    sizes, originals = torch.tensor([[64.0, 96.0]] * 2), torch.tensor([[128.0, 192.0], [32.0, 48.0]])
    strict = detections.select(predictions, sizes, originals, 0.7)
    assert strict.clips.tolist() == [0]
    torch.testing.assert_close(strict.boxes, torch.tensor([[0.0, 8 / 64, 48 / 96, 63 / 64]]))
    loose = detections.select(predictions, sizes, originals, 0.7, all_if_none=True, best_actions=1)
    assert loose.clips.tolist() == [0, 1, 1]
    assert (loose.actions > 0).tolist() == [[False, True, False]] * 3
    none = detections.select(predictions, sizes, originals, 0.99)
    assert none.boxes.shape == (0, 4) and none.actions.shape == (0, 3)


# --- checkpoints --------------------------------------------------------------------------------------------


def test_published_names_and_back(tmp_path: Path) -> None:
    state = tiny().state_dict()
    published = checkpoint.published(state)
    assert "det_head.decoder.blocks.1.act_module.0.weight" in published
    assert "det_head.mask_token" in published and "fpn_lateral2.weight" in published
    path = tmp_path / "checkpoint_epoch_00012.pyth"
    wrapped = {"epoch": 11, "model_state": published, "optimizer_state": {}, "cfg": "MODEL: {}", "amp": None}
    torch.save(wrapped, path)
    back = checkpoint.state_of(files.read(path, "evad"))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())
    # Files of our own pass unchanged.
    assert checkpoint.state_of(state).keys() == state.keys()


def test_a_checkpoint_that_lacks_something_is_refused() -> None:
    state = checkpoint.published(tiny().state_dict())
    del state["fpn_output3.bias"]
    with pytest.raises(WeightsError, match="the file has no pyramid.output.3.bias"):
        files.fit(tiny(), checkpoint.state_of({"model": state}), "x.pyth")
    with pytest.raises(WeightsError, match="holds no tensors"):
        checkpoint.state_of({"model_state": 3})


def test_starting_from_videomae() -> None:
    size = videomae.Size(patch=16, width=32, depth=4, heads=2, decoder_width=16, decoder_heads=2)
    model = tiny()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    source = videomae.MaskedAutoencoder(size, 8, 64, decoder_depth=1).state_dict()
    left = checkpoint.start(model, {"model": source}, "pretrained.pth")
    state = model.state_dict()
    assert torch.equal(state["encoder.blocks.3.attn.qkv.weight"], source["encoder.blocks.3.attn.qkv.weight"])
    assert torch.equal(state["context.blocks.0.mlp.fc1.weight"], source["decoder.blocks.0.mlp.fc1.weight"])
    assert torch.equal(state["context.encoder_to_decoder.weight"], source["encoder_to_decoder.weight"])
    assert "context.mask_token" in left and "context.blocks.1.attn.qkv.weight" in left
    assert all(torch.equal(state[name], before[name]) for name in left)

    classifier = videomae.Classifier(size, 7, 8, 64)
    left = checkpoint.start(tiny(), {"model": classifier.state_dict()}, "finetuned.pth")
    assert "encoder.norm.weight" in left and not any(name.startswith("encoder.blocks") for name in left)
    wide = videomae.Size(patch=16, width=48, depth=4, heads=2, decoder_width=16, decoder_heads=2)
    with pytest.raises(WeightsError, match="shapes differ"):
        checkpoint.start(tiny(), videomae.Classifier(wide, 7, 8, 64).state_dict(), "wide.pth")
