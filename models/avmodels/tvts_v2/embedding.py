"""Vectors of many videos and of many sentences."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from avmodels.data.clips import UnreadableError, Video
from avmodels.errors import DataError
from avmodels.nn.clip_text import trim
from avmodels.nn.clip_tokens import encode, tokenize
from avmodels.tvts_v2 import data, sampling, views
from avmodels.tvts_v2.config import ZeroShot
from avmodels.tvts_v2.model import SIZES, TVTS

# Sentences embedded at once.
SENTENCES = 256
# Sets in which the published readers accept no unreadable video; in others they see black.
STRICT = ("msr-vtt", "hmdb-51", "ucf-101", "ssv2-mc")


class Clips(Dataset[tuple[Tensor, str]]):
    """One clip of every video, (T, 3, H, W), and why it could not be read: then one black frame, then zeros."""

    def __init__(self, paths: Sequence[Path], config: ZeroShot):
        self._paths = paths
        self._config = config

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> tuple[Tensor, str]:
        model, how = self._config.model, self._config.data
        try:
            return data.whole_clip(self._paths[number], model, how), ""
        except UnreadableError as error:
            side = SIZES[model.size].side
            black = views.evaluation(np.zeros((1, side, side, 3), np.uint8), side)
            return views.padded(black, model.frames), str(error)


@torch.inference_mode()
def videos(model: TVTS, paths: Sequence[Path], config: ZeroShot, here: Accelerator) -> tuple[Tensor, int]:
    """The vectors (videos, E) of all processes' videos, float32, and how many videos could not be read.

    Raises DataError where those are more than the set allows, and where there are no videos.
    """
    how = config.data
    if not paths:
        raise DataError(f"the lists of {how.set} name no video")
    keep = data.kept(config.model, how.keep)
    mine = list(range(len(paths)))[here.process_index :: here.num_processes]
    clips = DataLoader(Clips([paths[number] for number in mine], config), how.batch, num_workers=how.workers)
    vectors, unreadable = [], []
    for clip, faults in clips:
        clip = clip.to(here.device)
        kept = None if keep is None else keep.to(here.device).expand(len(clip), -1)
        with here.autocast():
            vectors.append(model.video(clip, kept).float().cpu())
        unreadable += [fault for fault in faults if fault]
    for fault in unreadable:
        print(f"unreadable: {fault}", file=sys.stderr)
    own = torch.cat(vectors).numpy() if vectors else ()
    every = dict(gather_object(list(zip(mine, own, strict=True))))
    missed = sum(gather_object([len(unreadable)]))
    allowed = 0.0 if how.set in STRICT else how.max_unreadable
    if missed > allowed * len(paths):
        raise DataError(f"{missed} of {len(paths)} videos of {how.set} could not be read, {allowed:.0%} may")
    return torch.from_numpy(np.stack([every[number] for number in range(len(paths))])), missed


@torch.inference_mode()
def sentences(model: TVTS, texts: Sequence[str], here: Accelerator) -> Tensor:
    """The vectors (sentences, E), float32; equal sentences are embedded once, those of a length together."""
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    vectors = {}
    for first in range(0, len(distinct), SENTENCES):
        part = distinct[first : first + SENTENCES]
        tokens = trim(tokenize(part, model.size.text.context)).to(here.device)
        with here.autocast():
            vectors |= dict(zip(part, model.text(tokens).float().cpu(), strict=True))
    return torch.stack([vectors[text] for text in texts])


def too_long(texts: Sequence[str], context: int) -> int:
    """How many texts are cut, having more tokens than the encoder takes."""
    # A token takes a byte at least, so that most texts need no look.
    return sum(len(it.encode()) + 2 > context and len(encode(it)) + 2 > context for it in texts)


def windows(video: Video, seconds: float) -> np.ndarray:
    """Where a video's windows begin and end, in frames, (windows, 2); the last is as long as what is left."""
    length = max(round(seconds * video.frame_rate), 1)
    starts = np.arange(0, len(video), length)
    return np.stack([starts, np.minimum(starts + length, len(video))], axis=1)


def window_clips(video: Video, places: np.ndarray, config: ZeroShot) -> Iterator[Tensor]:
    """One clip a window, (frames, 3, H, W), from one pass over the video that keeps only the frames picked."""
    model, side = config.model, SIZES[config.model.size].side
    picks = [start + sampling.middle(end - start, model.frames) for start, end in places]
    wanted = np.unique(np.concatenate(picks))
    pixels = views.feature if config.data.pixels == "feature" else views.evaluation
    held: dict[int, Tensor] = {}
    at, first = 0, 0
    for block in video.blocks():
        here = wanted[(wanted >= first) & (wanted < first + len(block))]
        if len(here):
            held |= dict(zip(here.tolist(), pixels(block[here - first], side), strict=True))
        first += len(block)
        while at < len(picks) and picks[at][-1] < first:
            yield views.padded(torch.stack([held.pop(int(number)) for number in picks[at]]), model.frames)
            at += 1
