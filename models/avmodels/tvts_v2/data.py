"""From a line of a list to the tensors of a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avmodels.data.clips import UnreadableError, Video
from avmodels.data.samples import Sample
from avmodels.nn.clip_tokens import tokenize
from avmodels.tvts_v2 import sampling, transcripts, views
from avmodels.tvts_v2.config import Encoders, HeldOut, Pretraining
from avmodels.tvts_v2.lists import Captioned, Narrated
from avmodels.tvts_v2.model import SIZES


def narrated_reader(config: Pretraining) -> Callable[[Narrated], list[Sample]]:
    """Reads a stretch of a narrated video: `video` (T, 3, H, W), `keep` (n,), `tokens` (transcripts, 77).

    Frames are drawn from the whole stretch, the gaps between transcripts included.
    """

    def read(clip: Narrated) -> list[Sample]:
        frames, texts = narrated_stretch(clip, config, sampling.drawn)
        return [training_sample(frames, texts, config)]

    return read


def sorting_reader(config: Pretraining) -> Callable[[Narrated], list[Sample]]:
    """Reads a stretch of a narrated video to judge by: the middle frames of its parts and their middle squares,
    whole. `video` (T, 3, H, W), `tokens` (transcripts, 77)."""
    size = SIZES[config.model.size]

    def read(clip: Narrated) -> list[Sample]:
        frames, texts = narrated_stretch(clip, config, sampling.middle)
        pixels = views.padded(views.evaluation(frames, size.side), config.model.frames)
        return [{"video": pixels, "tokens": tokenize(texts, size.text.context)}]

    return read


def narrated_stretch(
    clip: Narrated, config: Pretraining, pick: Callable[[int, int], np.ndarray]
) -> tuple[np.ndarray, list[str]]:
    """The frames (T, H, W, 3) that `pick` takes from a random stretch of a narrated video, and its transcripts.

    Raises UnreadableError for a video that is too short.
    """
    count, interval = SIZES[config.model.size].transcripts, config.data.interval
    words, duration = narration(clip.annotation)
    if duration < 2 + interval * (count - 1):
        raise UnreadableError(f"{clip.path} is too short for {count} transcripts")
    window = transcripts.draw_window(duration, count, interval)
    video = Video(clip.path)
    rate = len(video) / duration
    start, end = (int(moment * rate) for moment in (window.starts[0], window.ends[-1]))
    numbers = start + pick(min(end, len(video)) - start, config.model.frames)
    return video.frames(numbers), transcripts.spoken(words, window)


def captioned_reader(config: Pretraining) -> Callable[[Captioned], list[Sample]]:
    """Reads a captioned video as the same tensors, with one row of tokens."""

    def read(clip: Captioned) -> list[Sample]:
        if not clip.caption.strip():
            raise UnreadableError(f"{clip.path} has an empty caption")
        video = Video(clip.path)
        numbers = sampling.drawn(len(video), config.model.frames)
        return [training_sample(video.frames(numbers), [clip.caption], config)]

    return read


def training_sample(frames: np.ndarray, texts: list[str], config: Pretraining) -> Sample:
    """One random square of the frames, the patches to keep, and the texts' tokens."""
    size = SIZES[config.model.size]
    clip, _ = views.training(frames, size.side)
    keep = sampling.keep(size.patches, config.data.mask)
    return {"video": clip, "keep": torch.from_numpy(keep), "tokens": tokenize(texts, size.text.context)}


@lru_cache(maxsize=1024)
def narration(path: Path) -> tuple[transcripts.Words, float]:
    """The words of an annotation file and the seconds of its video. Raises UnreadableError."""
    try:
        annotation = json.loads(path.read_text(encoding="utf-8"))
        return transcripts.words_of(annotation), float(annotation["info"]["duration"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableError(f"{path} is no readable annotation: {error}") from error


def whole_clip(path: Path, model: Encoders, how: HeldOut) -> Tensor:
    """One clip from the whole of a video, (frames, 3, H, W); frames a short video lacks are zeros.

    Raises UnreadableError.
    """
    video, side = Video(path), SIZES[model.size].side
    if how.pixels == "feature":
        return views.feature(video.frames(sampling.spread(len(video), model.frames)), side)
    clip = views.evaluation(video.frames(sampling.middle(len(video), model.frames)), side)
    return views.padded(clip, model.frames)


def kept(model: Encoders, share: float) -> Tensor | None:
    """The patches looked at where a share of them is to do, (n,): the same random ones always; None for all."""
    if share == 1:
        return None
    patches = SIZES[model.size].patches
    order = np.random.default_rng(0).permutation(patches)
    return torch.from_numpy(order[: max(int(patches * share), 1)])
