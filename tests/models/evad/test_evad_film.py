"""EVAD over windows that share frames: the same as window by window."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avmodels.evad import film, recipe, views
from avmodels.evad.detections import select
from avmodels.evad.model import pad
from tests.models.evad.test_evad_evaluation import CONFIG


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = recipe.build(CONFIG).eval()
    torch.nn.init.uniform_(model.proposals.boxes.weight, 0.3, 0.6)
    return model


def test_windows_that_share_frames_say_what_each_says_alone(model) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (12, 64, 85, 3), dtype=np.uint8)
    windows = np.array([np.arange(8), np.arange(4, 12), [0, 0, 0, 0, 0, 1, 2, 3]])
    threshold = 0.3
    together = film.detect(model, frames, windows, threshold)
    for number, window in enumerate(windows):
        video, sizes = pad([views.normalised(frames[window])])
        with torch.inference_mode():
            alone = select(model(video, sizes), sizes, sizes, threshold)
        ours = together.clips == number
        assert ours.sum() == len(alone.boxes) > 0
        torch.testing.assert_close(together.boxes[ours], alone.boxes, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(together.actions[ours], alone.actions, atol=1e-4, rtol=1e-4)


def test_a_pair_of_frames_is_embedded_once(model, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    embed = model.encoder.patch_embed.forward
    monkeypatch.setattr(
        model.encoder.patch_embed, "forward", lambda video: seen.append(video.shape[2]) or embed(video)
    )
    frames = np.zeros((12, 64, 64, 3), np.uint8)
    film.detect(model, frames, np.array([np.arange(8), np.arange(4, 12), [0] * 8]), 0.5)
    assert seen == [14]  # 6 pairs of the first two, which share two, and one still


def test_nobody_is_found_where_no_score_suffices(model) -> None:
    found = film.detect(model, np.zeros((8, 64, 64, 3), np.uint8), np.arange(8)[None], 1.0)
    assert len(found.boxes) == 0 and found.actions.shape == (0, 3)


def test_windows_last_what_they_were_trained_to() -> None:
    seconds = film.offsets(16, 4)
    assert seconds[8] == 0 and seconds[0] == pytest.approx(-32 / 30) and seconds[-1] == pytest.approx(28 / 30)
