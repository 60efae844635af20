"""How TVTSv2 is built, trained, tested and used, top to bottom."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from avmodels.data.clips import Video
from avmodels.data.lists import Clip, labelled_list
from avmodels.data.samples import Samples, seed_generators
from avmodels.engine import processes, weights
from avmodels.engine.descent import adamw
from avmodels.engine.train import Batch, Task, fit
from avmodels.errors import ConfigError, DataError, WeightsError
from avmodels.nn.clip_text import trim
from avmodels.tvts_v2 import (
    checkpoint,
    cost,
    data,
    embedding,
    evaluation,
    groups,
    lists,
    loss,
    probe,
    sampling,
)
from avmodels.tvts_v2.config import RECIPES, HeldOut, Pretraining, Probing, ZeroShot
from avmodels.tvts_v2.model import SIZES, TVTS, Block, Matched
from avmodels.tvts_v2.probe import Probe

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
Settings = Pretraining | ZeroShot | Probing


def build(config: Settings) -> TVTS | Probe:
    """The networks of a configuration, with random weights; the sorter only where it is trained."""
    size = SIZES[config.model.size]
    if isinstance(config, Probing):
        return Probe(size, config.model.classes)
    return TVTS(size, sorts=isinstance(config, Pretraining))


def load(model: TVTS | Probe, config: Settings, path: Path) -> None:
    """Puts a published or our own checkpoint into the networks.

    Released files have no sorter, which is needed to train on only. Raises WeightsError that names what differs
    where it does not fit.
    """
    left = [name for name in start(model, path) if not name.startswith("sorter.")]
    if left and isinstance(config, Probing):
        raise WeightsError(f"{path} has no classifier of the same classes: train one, starting from it")
    if left:
        raise WeightsError(f"{path} is CLIP's: it knows nothing of time; start a training run from it")


def start(model: TVTS | Probe, path: Path) -> list[str]:
    """Starts the networks from a published checkpoint, from our own or, but for a probe, from CLIP's.

    Returns the names of the parameters that keep their initial values.
    """
    document = weights.read(path, SYSTEM)
    if isinstance(model, Probe):
        return checkpoint.start_probe(model, checkpoint.state_of(document), str(path))
    if checkpoint.is_clip(document):
        return checkpoint.start_from_clip(model, document, str(path))
    return checkpoint.start_from(model, checkpoint.state_of(document), str(path))


def train(config: Settings, folder: Path, run: Path, init: Path | None, resume: bool) -> dict[str, float]:
    """Trains, and judges on what is held out; see engine.train.fit.

    Pre-training takes a batch of the narrated and one of the captioned videos of `folder` in turn (see lists); a
    probe `folder`/train.csv and val.csv, `path label` a line. Raises ConfigError for a configuration that does not
    train, and for a probe of no encoder.
    """
    if isinstance(config, ZeroShot):
        raise ConfigError("zero-shot learns nothing: choose a configuration to train")
    if isinstance(config, Probing) and init is None and not resume:
        raise ConfigError("a probe needs the weights of an encoder: name them with --init")
    here = processes.accelerator(config.training.precision, unused=True)  # captions do not need the sorter
    seed_generators(config.training.seed)
    model = build(config)
    if init is not None:
        start(model, init)
    if isinstance(config, Probing):
        assert isinstance(model, Probe)
        task, descent = probing(config, model, folder), probe.descending(config.schedule)
    else:
        assert isinstance(model, TVTS)
        task, descent = pretraining(config, model, folder, run), adamw(config.schedule)
    return fit(task, descent, config.training, run, here, resume)


def pretraining(config: Pretraining, model: TVTS, folder: Path, run: Path) -> Task:
    """Clips find their texts, and transcripts their places; every held-out clip's ranks are left in `run`."""
    schedule, seed = config.schedule, config.training.seed
    groups.freeze(model, schedule.frozen)
    model.video.checkpointing = config.training.checkpointing
    narrated, captioned = lists.yt_temporal(folder, "train"), lists.webvid(folder, "train")
    cut = embedding.too_long([clip.caption for clip in captioned], model.size.text.context)
    if cut and int(os.environ.get("RANK", "0")) == 0:
        print(
            f"{cut} of {len(captioned)} captions are cut after {model.size.text.context} tokens",
            file=sys.stderr,
        )
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


def probing(config: Probing, model: Probe, folder: Path) -> Task:
    """Name the action by one linear map of the frozen encoder's vectors."""
    clips, judged = (labelled(folder, part, config) for part in ("train", "val"))
    decay = config.schedule.weight_decay
    return Task(
        model=model,
        sources=(Samples(clips, probe.training_reader(config), config.training.seed),),
        groups=lambda _: [{"params": list(model.head.parameters()), "weight_decay": decay, "lr_scale": 1.0}],
        loss=probe.loss(config),
        units=(Block,),
        about=about(config),
        evaluate=lambda model, here: probe.test(model, judged, config, here),
        best="top1",
    )


def labelled(folder: Path, part: str, config: Probing) -> list[Clip]:
    """The labelled clips of `train` or `val`. Raises DataError (see data.lists)."""
    return labelled_list(folder / f"{part}.csv", config.model.classes, frames=False)


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
    pre-training and of a probe how they do on the clips held out from them.

    Raises WeightsError where pre-training is to be judged by weights without its sorter.
    """
    how = config.data if isinstance(config, ZeroShot) else config.training
    here = processes.accelerator(how.precision)
    model = build(config)
    if isinstance(config, Pretraining):
        if start(model, path):
            raise WeightsError(f"{path} cannot sort: it has no sorter; judge it by a zero-shot configuration")
    else:
        load(model, config, path)
    model.to(here.device).eval()
    if isinstance(model, Probe):
        assert isinstance(config, Probing)
        return probe.test(model, labelled(folder, "val", config), config, here)
    if isinstance(config, ZeroShot):
        return evaluation.test(model, folder, results, config, here)
    assert isinstance(config, Pretraining)
    return held_out(model, folder, results, config, here)


@torch.inference_mode()
def features(config: Settings, path: Path, film: Path, out: Path, precision: str) -> int:
    """Writes a vector for every window of a film to `out` (.npz: `features` (windows, E), `seconds` (windows, 2));
    returns how many there are. Raises ConfigError for another ending or a probe, DataError for a film that cannot
    be read.
    """
    if isinstance(config, Probing):
        raise ConfigError("a probe gives names, no features: choose another configuration")
    config = zero_shot(config) if isinstance(config, Pretraining) else config
    if out.suffix != ".npz":
        raise ConfigError(f"features are written to .npz, not to {out.name}")
    here = processes.accelerator(precision)
    model = build(config)
    assert isinstance(model, TVTS)
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
    """Arguments of the network's forward for one clip, masked as in pre-training, and but for a probe one sentence,
    without data, for counting its cost."""
    size = SIZES[config.model.size]
    video = torch.empty(1, config.model.frames, 3, size.side, size.side, device="meta")
    if isinstance(config, Probing):
        return (video,)
    tokens, keep = (
        torch.empty(1, n, dtype=torch.long, device="meta") for n in (size.text.context, kept(config))
    )
    return video, tokens, keep


def kept(config: Settings) -> int:
    """How many patches of a frame the video encoder sees."""
    mask = config.data.mask if isinstance(config, Pretraining) else 0.0
    return sampling.kept_count(SIZES[config.model.size].patches, mask)


def published(state: weights.State, config: Settings) -> weights.State:
    """The weights under their published names."""
    return checkpoint.published(state)


def published_gmacs(config: Settings) -> float:
    """Multiply-accumulates / 1e9 of the published encoders for one clip, masked as in pre-training, and one
    sentence; of a probe, for one clip."""
    size = SIZES[config.model.size]
    clip = cost.video(size, config.model.frames, kept(config))
    if isinstance(config, Probing):
        return (clip + size.text.embedding * config.model.classes) / 1e9
    return (clip + cost.sentence(size.text)) / 1e9
