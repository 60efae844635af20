"""How fast the model library is, and that being fast changes nothing: `python bench/models.py [--json FILE]`.

Every speed is a ratio of two ways measured in turn in the same run, the best of some rounds of each.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from evad import detector
from published import PublishedAttention, best_of
from torch import Tensor, nn

from avmodels import zoo
from avmodels.data import sampling, toy_actions
from avmodels.data.clips import Video
from avmodels.nn.attention import Attention
from avmodels.videomae_v2 import data, masks
from avmodels.videomae_v2.model import MaskedAutoencoder
from avmodels.videomae_v2.recipe import build, pretraining_loss


def published(model: nn.Module) -> nn.Module:
    """The same network and weights with the authors' attention."""
    for module in model.modules():
        if type(module) is Attention:
            module.__class__ = PublishedAttention
    return model


@torch.inference_mode()
def classifier(rounds: int) -> dict[str, float]:
    """Clips a second of ViT-B, ours and the published, fp32 and bf16; how far logits and features are apart."""
    torch.manual_seed(0)
    ours = zoo.create("videomae-v2/vit-b-k400", settings=("model.head_scale=1.0",))
    theirs = zoo.create("videomae-v2/vit-b-k400")
    theirs.load_state_dict(ours.state_dict())
    published(theirs)
    video = torch.randn(1, 3, 16, 224, 224)

    def bf16(model: nn.Module) -> Callable[[], Tensor]:
        def run() -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return model(video).float()

        return run

    seconds = best_of(
        {
            "published_fp32": lambda: theirs(video),
            "ours_fp32": lambda: ours(video),
            "published_bf16": bf16(theirs),
            "ours_bf16": bf16(ours),
        },
        rounds,
    )
    exact = ours.features(video)
    with torch.autocast("cpu", torch.bfloat16):
        rough = ours.features(video).float()
    return {
        **{f"clips_per_second_{name}": 1 / value for name, value in seconds.items()},
        "speedup_fp32": seconds["published_fp32"] / seconds["ours_fp32"],
        "speedup_bf16": seconds["published_fp32"] / seconds["ours_bf16"],
        "largest_feature_difference_fp32": (exact - theirs.features(video)).abs().max().item(),
        "feature_cosine_bf16": torch.cosine_similarity(exact, rough).item(),
    }


def pretraining(rounds: int) -> dict[str, float]:
    """One pre-training forward of ViT-B as published (embed all, then pick; every row of the decoder) and ours."""
    torch.manual_seed(0)
    config = zoo.load("videomae-v2", "vit-b-pretrain")
    model = build(config).eval()
    assert isinstance(model, MaskedAutoencoder)
    hidden, dropped = (torch.from_numpy(mask)[None] for mask in masks.draw(config.model.grid, 0.9, 0.5))
    visible, kept = masks.kept(hidden), masks.kept(dropped)
    video = torch.randn(1, 3, 16, 224, 224)

    @torch.inference_mode()
    def theirs() -> Tensor:
        encoder, decoder = model.encoder, model.decoder
        x = (encoder.patch_embed(video) + encoder.positions)[:, visible[0]]
        x = nn.Sequential(*encoder.blocks)(x)
        seen = model.encoder_to_decoder(encoder.norm(x))
        x = torch.cat([seen + model.positions[visible], model.mask_token + model.positions[kept]], dim=1)
        x = nn.Sequential(*decoder.blocks)(x)
        return decoder.head(decoder.norm(x[:, -kept.shape[1] :]))

    @torch.inference_mode()
    def ours() -> Tensor:
        return model(video, visible, kept)

    seconds = best_of({"theirs": theirs, "ours": ours}, rounds)
    summary = zoo.summary("videomae-v2/vit-b-pretrain")
    return {
        "speedup": seconds["theirs"] / seconds["ours"],
        "gmacs_published": summary.gmacs,
        "gmacs_ours": summary.gmacs_here,
        "largest_difference": (theirs() - ours()).abs().max().item(),
    }


class CountingVideo(Video):
    """A video that counts the frames it decodes."""

    decoded = 0

    def frames(self, numbers: np.ndarray) -> np.ndarray:
        self.decoded += len(np.unique(numbers))
        return super().frames(numbers)


def decoding(rounds: int) -> dict[str, float]:
    """A 15-view test of one video of 300 frames: ours, and each view by itself as published."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        draw = np.random.default_rng(0)
        frames = np.concatenate([toy_actions.action(int(draw.integers(8)), draw) for _ in range(13)])[:300]
        toy_actions.write_video(path, np.repeat(np.repeat(frames, 4, axis=1), 5, axis=2))
        numbers = sampling.dense_views(300, 16, 4, 5)
        decoded = {"theirs": 0, "ours": 0}

        def theirs() -> None:
            decoded["theirs"] = 0
            for _ in range(15):  # every view reads the video at the stride, and keeps 16 frames of it
                video = CountingVideo(path)
                video.frames(np.arange(0, 300, 4))
                decoded["theirs"] += video.decoded

        def ours() -> None:
            video = CountingVideo(path)
            list(data.test_views(video, numbers, 224, 3))
            decoded["ours"] = video.decoded

        seconds = best_of({"theirs": theirs, "ours": ours}, rounds)
    return {
        "frames_published": decoded["theirs"],
        "frames_ours": decoded["ours"],
        "fewer_frames": decoded["theirs"] / decoded["ours"],
        "speedup_with_our_resizing_and_without_theirs": seconds["theirs"] / seconds["ours"],
    }


def step_memory(checkpointing: bool) -> None:
    """Prints this process's peak memory, in MB above what it had, over one pre-training step of ViT-B."""
    config = zoo.load("videomae-v2", "vit-b-pretrain")
    model = build(config).train()
    model.set_checkpointing(checkpointing)
    drawn = [masks.draw(config.model.grid, 0.9, 0.5) for _ in range(8)]
    hidden, dropped = (torch.from_numpy(np.stack(mask)) for mask in zip(*drawn, strict=True))
    batch = {"video": torch.randn(8, 3, 16, 224, 224), "hidden": hidden, "dropped": dropped}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pretraining_loss(config)(model, batch).backward()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def memory(_: int) -> dict[str, float]:
    """Peak memory of a pre-training step of ViT-B on 8 clips, each way in a process of its own."""
    peaks = {
        name: float(subprocess.check_output([sys.executable, __file__, "--step-memory", name], text=True))
        for name in ("kept", "computed_again")
    }
    return {f"megabytes_activations_{name}": peak for name, peak in peaks.items()}


PARTS: dict[str, Callable[[int], dict[str, float]]] = {
    "classifier": classifier,
    "pretraining": pretraining,
    "decoding": decoding,
    "memory": memory,
    "detector": detector,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this part (may be repeated)")
    parser.add_argument("--rounds", type=int, default=4, help="of each way, of which the best counts")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--step-memory", choices=("kept", "computed_again"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step_memory:
        step_memory(options.step_memory == "computed_again")
        return
    torch.set_num_threads(1)
    results = {}
    for part in options.only or PARTS:
        results[part] = PARTS[part](options.rounds)
        for name, number in results[part].items():
            print(f"{part + ' ' + name:60} {number:.4g}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
