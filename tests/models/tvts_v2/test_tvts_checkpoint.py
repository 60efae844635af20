"""Published files in, published names out, and the start from CLIP."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from avmodels.engine import weights
from avmodels.errors import WeightsError
from avmodels.nn.clip_text import TextSize
from avmodels.tvts_v2 import checkpoint
from avmodels.tvts_v2.model import TVTS, Size

SMALL = Size(8, 32, 2, 2, TextSize(16, 16, 2, 2, 50, 9), sort_heads=2, side=16, frames=4)


class ConfigParser:
    """What the published training script leaves beside the weights."""

    ran = False

    def __init__(self) -> None:
        self.options = {"arch": ["a", "list"]}

    def __setstate__(self, state: object) -> None:
        ConfigParser.ran = True


def clip_of(model: TVTS) -> dict[str, Tensor]:
    """A CLIP with the sizes of a model, under CLIP's names."""
    state = {"logit_scale": torch.ones(())}
    for name, tensor in model.state_dict().items():
        if name.startswith("sorter.") or any(part in name for part in checkpoint.NEW):
            continue
        name = name.removeprefix("text.").replace("video.blocks.", "video.transformer.resblocks.")
        if name.startswith("video."):
            name = name.replace("video.", "visual.", 1).replace(".qkv.", ".in_proj_")
            name = name.replace(".attn.proj.", ".attn.out_proj.")
        state[name] = torch.randn_like(tensor)
    return state


def test_published_names_come_back() -> None:
    model = TVTS(SMALL)
    published = checkpoint.published(model.state_dict())
    assert "video_model.transformer.resblocks.1.timeattn.qkv.bias" in published
    assert "text_model.resblocks.0.attn.in_proj_weight" in published
    back = checkpoint.state_of({"state_dict": {f"module.{name}": t for name, t in published.items()}})
    assert back.keys() == model.state_dict().keys()
    assert checkpoint.state_of(model.state_dict()).keys() == back.keys()


def test_released_files_have_no_sorter_and_others_may(tmp_path: Path) -> None:
    trained, used = TVTS(SMALL), TVTS(SMALL, sorts=False)
    both = checkpoint.state_of(trained.state_dict())
    assert checkpoint.start_from(used, both, "x") == []
    alone = {name: tensor for name, tensor in both.items() if not name.startswith("sorter.")}
    left = checkpoint.start_from(trained, alone, "x")
    assert left and all(name.startswith("sorter.") for name in left)
    with pytest.raises(WeightsError, match="shapes differ"):
        checkpoint.start_from(TVTS(replace(SMALL, frames=5)), both, "x")
    with pytest.raises(WeightsError, match="no state dict"):
        checkpoint.state_of({"state_dict": {"epoch": 3}})


def test_a_training_checkpoint_is_read_without_its_code(tmp_path: Path) -> None:
    published = checkpoint.published(TVTS(SMALL).state_dict())
    document = {"state_dict": published, "epoch": 3, "config": ConfigParser()}
    torch.save(document, tmp_path / "new.pth")
    torch.save(document, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("new.pth", "old.pth"):
        ConfigParser.ran = False
        state = checkpoint.state_of(weights.read(tmp_path / name, "tvts-v2"))
        assert not ConfigParser.ran
        torch.testing.assert_close(state["video.proj"], published["video_model.proj"])


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    torch.save({"state_dict": {}, "config": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="run code.*getattr.*refused"):
        weights.read(tmp_path / "evil.pth", "tvts-v2")
    assert not (tmp_path / "ran").exists()
    (tmp_path / "broken.pth").write_bytes(pickle.dumps([Evil()])[:20])
    with pytest.raises(WeightsError):
        weights.read(tmp_path / "broken.pth", "tvts-v2")


def test_clip_gives_all_but_time_and_the_sorter() -> None:
    model = TVTS(SMALL)
    clip = clip_of(model)
    assert checkpoint.is_clip(clip) and not checkpoint.is_clip(model.state_dict())
    left = checkpoint.start_from_clip(model, clip, "CLIP")
    assert "video.temporal_embedding" in left and "sorter.type_embed" in left
    assert all(name.startswith("sorter.") or any(n in name for n in checkpoint.NEW) for name in left)
    torch.testing.assert_close(model.text.token_embedding.weight.data, clip["token_embedding.weight"])
    weight = model.state_dict()["video.blocks.1.attn.qkv.weight"]
    torch.testing.assert_close(weight, clip["visual.transformer.resblocks.1.attn.in_proj_weight"])
    del clip["visual.proj"]
    with pytest.raises(WeightsError, match=r"no video\.proj"):
        checkpoint.start_from_clip(model, clip, "CLIP")
