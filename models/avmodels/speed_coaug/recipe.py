"""How Speed Co-Augmentation is built, trained and evaluated, top to bottom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels.data.samples import Samples, seed_generators
from avmodels.engine import processes, weights
from avmodels.engine.descent import Descent, adamw
from avmodels.engine.schedule import Length, cosine
from avmodels.engine.train import Batch, Task, fit
from avmodels.errors import DataError, WeightsError
from avmodels.speed_coaug import checkpoint, cost, data, evaluation
from avmodels.speed_coaug.config import RECIPES, Adam, Contrast, Pretraining, Recognition
from avmodels.speed_coaug.encoders import Block
from avmodels.speed_coaug.loss import attention_weight, co_augmented, ratio_weight
from avmodels.speed_coaug.model import SIZES, Encoded, Recogniser, SightAndSound
from avmodels.speed_coaug.sets import Clip, class_names, clips_of, has_held_out, is_action_set
from avmodels.speed_coaug.spectrogram import log_mel, normalise
from avmodels.speed_coaug.speed import sample_count

__all__ = ["RECIPES", "about", "build", "evaluate", "example_input", "load", "published_gmacs", "train"]

SYSTEM = "speed-coaug"
Settings = Pretraining | Recognition


def build(config: Settings) -> SightAndSound | Recogniser:
    """The network of a configuration, with random weights."""
    size = SIZES[config.model.size]
    if isinstance(config, Pretraining):
        return SightAndSound(size)
    return Recogniser(size, config.model.classes, config.model.dropout)


def load(model: SightAndSound | Recogniser, config: Settings, path: Path) -> None:
    """Puts a checkpoint into the network, whole.

    Raises WeightsError that names what differs where it does not fit.
    """
    left = start(model, path)
    if left:
        raise WeightsError(f"{path} does not fit the model: it has no {left[0]} and {len(left) - 1} more")


def start(model: SightAndSound | Recogniser, path: Path) -> list[str]:
    """Starts a network from a checkpoint, ours or torchvision's; returns the names that keep their initial values."""
    return checkpoint.start(model, checkpoint.state_of(weights.read(path, SYSTEM)), str(path))


def train(config: Settings, folder: Path, run: Path, init: Path | None, resume: bool) -> dict[str, float]:
    """Trains on the part `train` of a data set and judges on `val`; see sets.clips_of and engine.train.fit."""
    warming_up = isinstance(config, Recognition) and not config.model.frozen and config.warmup_epochs > 0
    here = processes.accelerator(config.training.precision, unused=warming_up)
    seed_generators(config.training.seed)
    model = build(config)
    if init is not None:
        start(model, init)
    if isinstance(config, Pretraining):
        assert isinstance(model, SightAndSound)
        task, descent = pretraining(config, model, folder), adam(config.optimiser)
    else:
        assert isinstance(model, Recogniser)
        task, descent = recognition(config, model, folder), adamw(config.optimiser)
    return fit(task, descent, config.training, run, here, resume)


def pretraining(config: Pretraining, model: SightAndSound, folder: Path) -> Task:
    """Sights and sounds find each other."""
    how, training = config.data, config.training
    clips = clips_of(folder, "train", how.split, how.classes)
    # Action sets are for video retrieval, which takes a test of its own.
    judged = has_held_out(folder) and not is_action_set(folder)
    held_out = clips_of(folder, "val", how.split, how.classes) if judged else []
    epoch = 0.0

    def before(step: int, length: Length) -> None:
        nonlocal epoch
        epoch = step / length.an_epoch

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        mel = normalise(log_mel(by_view(batch["wave"]), config.sound))
        seen, heard = model(by_view(batch["video"]), mel)
        weights = partner_weights(config.loss, by_view(batch["speed"]), seen, heard, epoch)
        return co_augmented(seen.vector, heard.vector, *weights, config.loss.temperature, config.loss.form)

    return Task(
        model=model,
        sources=(Samples(clips * how.repeats, data.pretraining_reader(config), training.seed),),
        groups=lambda model: everything(model, config.optimiser.weight_decay),
        loss=loss,
        units=(Block,),
        about=about(config),
        evaluate=(lambda _, here: evaluation.cross_modal(model, held_out, config, here)) if judged else None,
        best="R@1",
        before=before,
    )


def by_view(batch: Tensor) -> Tensor:
    """batch (N, views, ...) -> (views * N, ...), the first views of all clips before their second."""
    return batch.transpose(0, 1).flatten(0, 1)


def partner_weights(
    how: Contrast, speed: Tensor, seen: Encoded, heard: Encoded, epoch: float
) -> tuple[Tensor, Tensor]:
    """How much the partner of each row counts, (views * N,), for rows of sights and of sounds."""
    if how.affinity == "constant":
        weight = torch.full_like(speed, how.weight, dtype=torch.float32)
    elif how.affinity == "ratio" or epoch < how.ratio_epochs:
        weight = ratio_weight(speed)
    else:
        return (
            attention_weight(seen.feature, heard.feature, how.scale),
            attention_weight(heard.feature, seen.feature, how.scale),
        )
    return weight, weight


def recognition(config: Recognition, model: Recogniser, folder: Path) -> Task:
    """Name the action."""
    how, training = config.data, config.training
    clips, held_out, classes = labelled(config, folder)
    if config.model.frozen:
        model.video_encoder.requires_grad_(False)
    head_only = True

    def before(step: int, length: Length) -> None:
        nonlocal head_only
        head_only = config.model.frozen or step < config.warmup_epochs * length.an_epoch

    return Task(
        model=model,
        sources=(Samples(clips * how.repeats, data.recognition_reader(config, classes), training.seed),),
        groups=lambda model: everything(model, config.optimiser.weight_decay),
        loss=lambda model, batch: F.cross_entropy(model(batch["video"], head_only).float(), batch["label"]),
        units=(Block,),
        about=about(config),
        evaluate=lambda _, here: evaluation.recognition(model, held_out, classes, config, here),
        best="top1",
        before=before,
    )


def labelled(config: Recognition, folder: Path) -> tuple[list[Clip], list[Clip], list[str]]:
    """The training and held-out clips and the names of the classes.

    Raises DataError where the classes are not those the network has.
    """
    how = config.data
    clips, held_out = (clips_of(folder, part, how.split, how.classes) for part in ("train", "val"))
    classes = class_names(clips)
    if len(classes) != config.model.classes:
        raise DataError(f"{folder} has {len(classes)} classes, model.classes is {config.model.classes}")
    strange = sorted(set(class_names(held_out)) - set(classes))
    if strange:
        raise DataError(f"{folder} has no training videos of {', '.join(strange[:3])}")
    return clips, held_out, classes


def everything(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """One optimiser group of all that learns."""
    learns = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [{"params": learns, "weight_decay": weight_decay, "lr_scale": 1.0}]


def adam(how: Adam) -> Descent:
    """Adam, its rate rising to `lr` over the warm-up and falling to 0 as a cosine."""

    def optimiser(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.Adam(groups, lr=0.0, betas=how.betas, eps=how.eps)

    def rate(step: int, length: Length) -> float:
        warmup = min(int(how.warmup_epochs * length.an_epoch), length.total)
        return cosine(step, length.total, warmup, how.lr, 0.0)

    return Descent(optimiser, rate)


def about(config: Settings) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {"system": SYSTEM, "config": config.model_dump(mode="json")}


def evaluate(config: Settings, path: Path, folder: Path, results: Path) -> dict[str, float]:
    """The test of a recipe on the part `val` of a data set.

    A classifier names actions. Pre-trained networks retrieve videos in UCF101 and HMDB51, and elsewhere sounds for
    sights and sights for sounds.
    """
    here = processes.accelerator(config.training.precision)
    model = build(config)
    load(model, config, path)
    model.to(here.device).eval()
    if isinstance(config, Recognition):
        assert isinstance(model, Recogniser)
        _, held_out, classes = labelled(config, folder)
        return evaluation.recognition(model, held_out, classes, config, here)
    assert isinstance(model, SightAndSound)
    how = config.data
    held_out = clips_of(folder, "val", how.split, how.classes)
    if is_action_set(folder):
        gallery = clips_of(folder, "train", how.split, how.classes)
        return evaluation.video_retrieval(model, gallery, held_out, config, here)
    return evaluation.cross_modal(model, held_out, config, here)


def example_input(config: Settings) -> tuple[Tensor, ...]:
    """Arguments of the network's forward for one clip, without data, for counting its cost."""
    how = config.data
    video = torch.empty(1, 3, how.frames, how.side, how.side, device="meta")
    if isinstance(config, Recognition):
        return (video,)
    return video, torch.empty(1, config.sound.bands, mel_frames(config), device="meta")


def mel_frames(config: Pretraining) -> int:
    """How many frames a spectrogram has."""
    sound = config.sound
    return 1 + sample_count(sound.seconds, sound.rate) // sound.hop


def published_gmacs(config: Settings) -> float:
    """Multiply-accumulates / 1e9 of the network for one clip."""
    size, how = SIZES[config.model.size], config.data
    made = cost.sight(size, how.frames, how.side)
    if isinstance(config, Recognition):
        return (made + 8 * size.sight * config.model.classes) / 1e9
    return (made + cost.sound(size, config.sound.bands, mel_frames(config)) + cost.heads(size)) / 1e9
