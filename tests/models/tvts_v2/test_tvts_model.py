"""The networks: what is used equals what is trained, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from torch import Tensor

from avmodels.nn.clip_text import TextSize
from avmodels.tvts_v2 import groups, loss
from avmodels.tvts_v2.model import SIZES, TVTS, Size, VideoEncoder

SMALL = Size(8, 32, 2, 2, TextSize(16, 16, 4, 2, 50, 9), sort_heads=2, side=16, frames=4)
FAMILIES = (SMALL, replace(SMALL, quick_gelu=False, sorts_normed=False))


def trained(size: Size) -> VideoEncoder:
    """An encoder whose attention along time does something."""
    torch.manual_seed(0)
    encoder = VideoEncoder(size).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    return encoder


@pytest.fixture
def video() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 4, 3, 16, 16)


@pytest.mark.parametrize("size", FAMILIES)
def test_the_short_way_to_the_embedding_gives_the_same(size: Size, video: Tensor) -> None:
    encoder = trained(size)
    whole, tokens = encoder.with_tokens(video)
    torch.testing.assert_close(encoder(video), whole)
    assert tokens.shape == (2, 4 * 4 + size.sorts_normed, 16)


def test_patches_kept_anyhow_ordered_are_the_whole(video: Tensor) -> None:
    encoder = trained(SMALL)
    keep = torch.stack([torch.randperm(4) for _ in video])
    torch.testing.assert_close(encoder(video, keep), encoder(video))
    assert encoder.features(video, keep[:, :1]).shape == (2, 1 + 4, 32)


def test_pixels_that_are_not_kept_do_not_matter(video: Tensor) -> None:
    encoder = trained(SMALL)
    keep = torch.tensor([[0, 3], [0, 3]])
    other = video.clone()
    other[..., :8, 8:] = 7.0  # patch 1
    torch.testing.assert_close(encoder(other, keep), encoder(video, keep))
    assert not torch.allclose(encoder(other), encoder(video))


def test_a_new_model_sees_no_order_but_in_its_positions(video: Tensor) -> None:
    encoder = VideoEncoder(SMALL).eval()
    single = encoder(video[:, 0])
    with torch.no_grad():
        encoder.temporal_embedding.zero_()
    assert single.shape == (2, 16)
    torch.testing.assert_close(encoder(video), encoder(video.flip(1)))


def test_computing_again_gives_the_same_gradients(video: Tensor) -> None:
    encoder = trained(SMALL)
    found = []
    for again in (False, True):
        encoder.checkpointing = again
        encoder.zero_grad()
        encoder(video).square().sum().backward()
        found.append(encoder.conv1.weight.grad)
    torch.testing.assert_close(*found)


def test_bf16_without_gradients_stays_near(video: Tensor) -> None:
    encoder = trained(SMALL)
    with torch.no_grad():
        exact = encoder(video)
        with torch.autocast("cpu", torch.bfloat16):
            near = encoder(video).float()
    assert torch.cosine_similarity(exact, near).min() > 0.999


def test_more_frames_than_positions_are_refused() -> None:
    with pytest.raises(ValueError, match="5 frames, the model has positions for 4"):
        trained(SMALL)(torch.zeros(1, 5, 3, 16, 16))
    with pytest.raises(ValueError, match="cannot be cut"):
        VideoEncoder(replace(SMALL, side=20))


def test_narrated_clips_are_sorted_and_captioned_are_not(video: Tensor) -> None:
    model = TVTS(SMALL).eval()
    tokens = torch.randint(1, 49, (8, 9))
    tokens[:, -1] = 49
    narrated = model(video, tokens, texts=4)
    assert narrated.places is not None and narrated.places.shape == (2, 4, 4)
    one = model.text(tokens).unflatten(0, (4, 2)).mean(0)
    torch.testing.assert_close(narrated.text, one)
    assert model(video, tokens[:2]).places is None


def test_sorting_teaches_the_video_encoder_alone(video: Tensor) -> None:
    model = TVTS(SMALL)
    tokens = torch.randint(1, 50, (8, 9))
    loss.sorting(model(video, tokens, texts=4).places).backward()
    assert model.text.text_projection.grad is None
    assert model.video.conv1.weight.grad is not None


def test_three_quarters_of_the_text_blocks_are_frozen() -> None:
    model = TVTS(SMALL)
    groups.freeze(model)
    free = [all(p.requires_grad for p in block.parameters()) for block in model.text.transformer.resblocks]
    assert free == [False, False, False, True]
    assert model.text.token_embedding.weight.requires_grad
    listed = [id(p) for group in groups.groups(model) for p in group["params"]]
    assert len(listed) == len(set(listed)) == sum(p.requires_grad for p in model.parameters())


def test_the_losses_of_a_perfect_match_vanish() -> None:
    assert loss.contrastive(torch.eye(4) * 2 - 1, temperature=0.05) < 1e-6
    assert loss.sorting(torch.eye(4)[None] * 100) < 1e-6
    assert loss.in_order(torch.eye(4)[None], torch.arange(4)[None]).all()
    assert not loss.similarity(torch.zeros(1, 3), torch.ones(1, 3)).any()


def test_every_published_size_has_whole_patches() -> None:
    assert [SIZES[name].patches for name in ("vit-b-32", "vit-b-16", "vit-h-14")] == [49, 196, 256]


def gather_in_a_process(folder: Path, rank: int) -> None:
    """Leaves what a process sees of all embeddings, and the gradient of its own."""
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    own = torch.full((1, 2), float(rank), requires_grad=True)
    every = loss.gathered(own)
    (every * torch.arange(1.0, 3.0)[:, None]).sum().backward()
    torch.save((every.detach(), own.grad), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_embeddings_are_gathered_in_the_order_of_the_processes(tmp_path: Path) -> None:
    # Forked: importing everything again takes far longer than what is tested.
    forks = [get_context("fork").Process(target=gather_in_a_process, args=(tmp_path, k)) for k in range(2)]
    for fork in forks:
        fork.start()
    for fork in forks:
        fork.join(timeout=30)
        fork.kill()
    for rank in range(2):
        every, gradient = torch.load(tmp_path / f"{rank}.pt")
        assert every.tolist() == [[0, 0], [1, 1]]
        assert gradient.tolist() == [[rank + 1.0] * 2]
