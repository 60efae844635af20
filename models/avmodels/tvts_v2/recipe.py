"""How TVTSv2 is built, trained, tested and used, top to bottom."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from avmodels.data.clips import Video
from avmodels.data.samples import Samples, seed_generators
from avmodels.engine import processes, weights
from avmodels.engine.descent import adamw
from avmodels.engine.train import Batch, Task, fit
from avmodels.errors import ConfigError, DataError, WeightsError
from avmodels.nn.clip_text import trim
from avmodels.tvts_v2 import checkpoint, cost, data, embedding, evaluation, groups, lists, loss, sampling
from avmodels.tvts_v2.checkpoint import published
from avmodels.tvts_v2.config import RECIPES, HeldOut, Pretraining, ZeroShot
from avmodels.tvts_v2.model import SIZES, TVTS, Block, Matched

__all__ = [
    "RECIPES",
    "about",
    "build",
    "evaluate",
    "example_input",
    "features",
    "load",
    "published",
    "published_gmacs",
    "start",
    "train",
]

SYSTEM = "tvts-v2"
Settings = Pretraining | ZeroShot


def build(config: Settings) -> TVTS:
    """The networks of a configuration, with random weights; the sorter only where it is trained."""
    return TVTS(SIZES[config.model.size], sorts=isinstance(config, Pretraining))


def load(model: TVTS, config: Settings, path: Path) -> None:
    """Puts a published or our own checkpoint into the networks.

    Released files have no sorter, which is needed to train on only. Raises WeightsError that names what differs
    where it does not fit.
    """
    left = start(model, path)
    if any(not name.startswith("sorter.") for name in left):
        raise WeightsError(f"{path} is CLIP's: it knows nothing of time; start a training run from it")


def start(model: TVTS, path: Path) -> list[str]:
    """Starts the networks from a published checkpoint, from our own or from CLIP's.

    Returns the names of the parameters that keep their initial values.
    """
    document = weights.read(path, SYSTEM)
    if checkpoint.is_clip(document):
        return checkpoint.start_from_clip(model, document, str(path))
    return checkpoint.start_from(model, checkpoint.state_of(document), str(path))


def train(config: Settings, folder: Path, run: Path, init: Path | None, resume: bool) -> dict[str, float]:
    """Trains on the narrated and captioned videos of `folder` (see lists), a batch of each in turn, and judges on
    those held out; see engine.train.fit. Raises ConfigError for a configuration that does not train.
    """
    if not isinstance(config, Pretraining):
        raise ConfigError("zero-shot learns nothing: choose a configuration to train")
    here = processes.accelerator(config.training.precision, unused=True)  # captions do not need the sorter
    seed_generators(config.training.seed)
    model = build(config)
    if init is not None:
        start(model, init)
    task = pretraining(config, model, folder, run)
    return fit(task, adamw(config.schedule), config.training, run, here, resume)


def pretraining(config: Pretraining, model: TVTS, folder: Path, run: Path) -> Task:
    """Clips find their texts, and transcripts their places; every held-out clip's ranks are left in `run`."""
    schedule, seed = config.schedule, config.training.seed
    groups.freeze(model, schedule.frozen)
    model.video.checkpointing = config.training.checkpointing
    narrated, captioned = lists.yt_temporal(folder, "train"), lists.webvid(folder, "train")
    return Task(
        model=model,
        sources=(
            Samples(narrated, data.narrated_reader(config), seed),
            Samples(captioned, data.captioned_reader(config), seed),
        ),
        groups=lambda model: groups.groups(model, schedule.weight_decay, schedule.new_scale),
        loss=pretraining_loss(config),
        units=(Block,),
        about=about(config),
        evaluate=lambda _, here: held_out(model, folder, run, config, here),
        best="t2v R@1",
    )


def about(config: Settings) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {"system": SYSTEM, "config": config.model_dump(mode="json")}


def pretraining_loss(config: Pretraining) -> Callable[[torch.nn.Module, Batch], Tensor]:
    """The loss of a batch of clips with their texts: `video` (B, T, 3, H, W), `keep` (B, n), `tokens`
    (B, K, 77), K of narrated clips being the number of transcripts and 1 of captioned ones."""
    how = config.objective

    def objective(model: torch.nn.Module, batch: Batch) -> Tensor:
        texts = batch["tokens"].shape[1]
        tokens = trim(batch["tokens"].transpose(0, 1).flatten(0, 1))
        matched: Matched = model(batch["video"], tokens, batch["keep"], texts)
        similarities = loss.similarity(loss.gathered(matched.video), loss.gathered(matched.text))
        value = loss.contrastive(similarities, how.temperature)
        return value if matched.places is None else value + loss.sorting(matched.places, weight=how.sorting)

    return objective


def held_out(
    model: TVTS, folder: Path, results: Path, config: Pretraining, here: Accelerator
) -> dict[str, float]:
    """How transcripts are sorted and captions found in the held-out clips of both kinds."""
    found = evaluation.test(model, folder, results, zero_shot(config), here)
    return evaluation.sort(model, lists.yt_temporal(folder, "val"), config, here) | found


def zero_shot(config: Pretraining) -> ZeroShot:
    """What looks with the encoders of a training run as they are, by default at WebVid's held-out clips."""
    how = config.training
    clips = HeldOut(
        set="webvid",
        batch=how.batch,
        precision=how.precision,
        workers=how.workers,
        max_unreadable=how.max_unreadable,
    )
    return ZeroShot(recipe="zero-shot", about=config.about, model=config.model, data=clips)


def evaluate(config: Settings, path: Path, folder: Path, results: Path) -> dict[str, float]:
    """The published test of the configuration's set, in its published layout below `folder` (see evaluation); of
    a training run how it does on the clips held out from it.

    Raises WeightsError where a training run is to be judged by weights without its sorter.
    """
    if isinstance(config, ZeroShot):
        here = processes.accelerator(config.data.precision)
        model = build(config)
        load(model, config, path)
        return evaluation.test(model.to(here.device).eval(), folder, results, config, here)
    here = processes.accelerator(config.training.precision)
    model = build(config)
    if start(model, path):
        raise WeightsError(f"{path} cannot sort: it has no sorter; judge it by a zero-shot configuration")
    return held_out(model.to(here.device).eval(), folder, results, config, here)


@torch.inference_mode()
def features(config: Settings, path: Path, film: Path, out: Path, precision: str) -> int:
    """Writes a vector for every window of a film to `out` (.npz: `features` (windows, E), `seconds` (windows, 2));
    returns how many there are. Raises ConfigError for another ending, DataError for a film that cannot be read.
    """
    config = zero_shot(config) if isinstance(config, Pretraining) else config
    if out.suffix != ".npz":
        raise ConfigError(f"features are written to .npz, not to {out.name}")
    here = processes.accelerator(precision)
    model = build(config)
    load(model, config, path)
    model.to(here.device).eval()
    video = Video(film)
    places = embedding.windows(video, config.data.window)
    keep = data.kept(config.model, config.data.keep)
    vectors = []
    for clip in embedding.window_clips(video, places, config):
        kept = None if keep is None else keep[None].to(here.device)
        with here.autocast():
            vectors.append(model.video(clip[None].to(here.device), kept)[0].float().cpu().numpy())
    if len(vectors) != len(places):
        raise DataError(f"{film} breaks off after {len(vectors)} of {len(places)} windows")
    shown = video.times()
    seconds = np.stack([shown[places[:, 0], 0], shown[places[:, 1] - 1, 1]], axis=1)
    beside = out.with_name(f"{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    with beside.open("wb") as file:
        np.savez(file, features=np.stack(vectors), seconds=seconds)
    os.replace(beside, out)
    return len(vectors)


def example_input(config: Settings) -> tuple[Tensor, ...]:
    """Arguments of the network's forward for one clip, masked as in training, and one sentence, without data, for
    counting its cost."""
    size = SIZES[config.model.size]
    mask = config.data.mask if isinstance(config, Pretraining) else 0.0
    kept = sampling.kept_count(size.patches, mask)
    video = torch.empty(1, config.model.frames, 3, size.side, size.side, device="meta")
    tokens, keep = (torch.empty(1, n, dtype=torch.long, device="meta") for n in (size.text.context, kept))
    return video, tokens, keep


def published_gmacs(config: Settings) -> float:
    """Multiply-accumulates / 1e9 of the published encoders for one clip, masked as in training, and one sentence."""
    size = SIZES[config.model.size]
    mask = config.data.mask if isinstance(config, Pretraining) else 0.0
    clip = cost.video(size, config.model.frames, sampling.kept_count(size.patches, mask))
    return (clip + cost.sentence(size.text)) / 1e9
