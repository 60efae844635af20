"""Moments of films that a sentence describes: both are vectors of TVTSv2, the nearest first.

A film's moments are its shots, long ones in equal parts. Their vectors are computed once and kept in its workspace.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avtool.detect import digest
from avtool.errors import MediaError, MissingError, UsageError
from avtool.timeline import SECOND, Shot, Span, clock
from avtool.weights import trained
from avtool.workspace import replacing

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from avmodels.tvts_v2.config import ZeroShot
    from avmodels.tvts_v2.model import TVTS
    from avtool.perception import Perception, Progress

log = logging.getLogger(__name__)

SYSTEM = "tvts-v2"
VARIANTS = ("vit-b-16", "vit-b-32", "vit-h-14")  # the first that is imported is used
LONGEST = 6 * SECOND  # of a moment
FPS = 4  # of the frames that a moment's are picked from
HEIGHT = 180  # pixels, of a thumbnail


@dataclass(frozen=True, slots=True)
class Part:
    """A shot, or a part of a long one."""

    shot: int
    span: Span


@dataclass(frozen=True, slots=True)
class Moment:
    """A part of a film, and how like the sentence it is: the cosine of their vectors. It says which moment is
    more like the sentence than another, not whether any is.
    """

    film: Path
    shot: int
    span: Span
    score: float
    thumbnail: Path


@dataclass(frozen=True, slots=True)
class Encoders:
    """TVTSv2 with its weights, and their hash."""

    model: TVTS
    config: ZeroShot
    digest: str
    here: Accelerator


@dataclass(frozen=True, slots=True)
class Indexed:
    """A film's parts and their vectors, (parts, E) float32 of length 1."""

    seen: Perception
    parts: list[Part]
    vectors: np.ndarray


def weights(name: str | None) -> Path:
    """The weights file: imported ones of the variant called `name`, or a file of ours; by default the first variant
    there is.

    Raises MissingError where there is none, UsageError for a file as its authors published it.
    """
    if (path := trained(SYSTEM, VARIANTS, name)) is not None:
        return path
    from avmodels import zoo

    variant = name or VARIANTS[0]
    source = zoo.load(SYSTEM, variant).weights[0]
    raise MissingError(
        f"the weights of TVTSv2 are missing: get {source.file} ({source.where}), then run "
        f"avtool weights import {SYSTEM}/{variant} {source.file}"
    )


def imported(names: Sequence[str] = VARIANTS) -> Path | None:
    """The weights file of the first of these variants that is imported; None where none is."""
    from avmodels import run

    found = (run.imported(f"{SYSTEM}/{name}") for name in names)
    return next((path for path in found if path.exists()), None)


def load(path: Path) -> Encoders:
    """The encoders with the weights at `path`. Raises WeightsError for a file that does not fit."""
    from avmodels import zoo
    from avmodels.engine import processes
    from avmodels.tvts_v2 import recipe
    from avmodels.tvts_v2.config import Pretraining, ZeroShot
    from avmodels.tvts_v2.model import TVTS

    config = zoo.load_of(SYSTEM, path, None)
    config = recipe.zero_shot(config) if isinstance(config, Pretraining) else config
    if not isinstance(config, ZeroShot):
        raise UsageError(f"{path} holds a classifier, which has no words: name weights of both encoders")
    model = recipe.build(config)
    assert isinstance(model, TVTS)
    recipe.load(model, config, path)
    here = processes.accelerator("bf16")
    return Encoders(model.to(here.device).eval(), config, digest(path), here)


def index(seen: Perception, encoders: Encoders, progress: Progress | None = None) -> Indexed:
    """The film's moments and their vectors, from its workspace where they are there.

    Raises MediaError for a film without a picture.
    """
    from avtool.media import frames

    _ = seen.source.picture
    everything = parts(seen.shots)
    key = seen.key("moments", encoders.digest, everything)
    kept = seen.work.load("moments", key, Part)
    if kept is not None:
        return Indexed(seen, kept, np.load(seen.work.file("moments", ".npy")))
    clips = Clips(everything, encoders)
    told = _telling(progress, seen.span)
    for damaged in frames.show(seen.source, [clips], span=seen.span, progress=told):
        name, (start, end) = seen.source.path.name, (clock(damaged.start), clock(damaged.end))
        log.warning(
            "%s: the picture cannot be decoded from %s to %s; nothing is found there", name, start, end
        )
    clips.finish()
    if not clips.vectors:
        raise MediaError(f"{seen.source.path}: no picture can be read")
    vectors = np.stack(clips.vectors)
    seen.work.discard("moments")  # no header may vouch for another run's vectors
    with replacing(seen.work.file("moments", ".npy")) as beside, beside.open("wb") as file:
        np.save(file, vectors)
    seen.work.save("moments", key, clips.looked_at, weights=encoders.digest)
    return Indexed(seen, clips.looked_at, vectors)


def best(films: Sequence[Indexed], wanted: np.ndarray, count: int, folder: Path | None) -> list[Moment]:
    """The `count` moments of all films that are most like the vector `wanted`, the best first, each with a picture
    of its middle in `folder`, or in its film's workspace where that is None."""
    from avtool.media.thumbnails import thumbnail

    ranked = sorted(
        (
            (float(score), number, film, part)
            for number, film in enumerate(films)
            for part, score in zip(film.parts, film.vectors @ wanted, strict=True)
        ),
        key=lambda found: (-found[0], found[1], found[3].span),
    )
    moments = []
    for rank, (score, _, film, part) in enumerate(ranked[:count], start=1):
        path, time = film.seen.source.path, part.span.middle
        if folder is None:
            picture = film.seen.work.folder / "moments" / f"{time}.jpg"
        else:
            picture = folder / f"{rank:02} {path.stem} {clock(time).replace(':', '.')}.jpg"
        if folder is not None or not picture.exists():
            with replacing(picture) as beside:
                thumbnail(film.seen.source, time, HEIGHT).save(beside, "jpeg", quality=90)
        moments.append(Moment(path, part.shot, part.span, score, picture))
    return moments


def vector(sentence: str, encoders: Encoders) -> np.ndarray:
    """The sentence's vector, (E,) float32 of length 1; a sentence longer than the encoder reads is cut.

    Raises UsageError for an empty sentence.
    """
    from avmodels.tvts_v2 import embedding

    if not sentence.strip():
        raise UsageError('say what to find, e.g. "a woman opens a letter"')
    context = encoders.model.size.text.context
    if embedding.too_long([sentence], context):
        log.warning("the sentence is longer than TVTSv2 reads: only its first %d tokens count", context)
    return sentences([sentence], encoders)[0]


def sentences(texts: Sequence[str], encoders: Encoders) -> np.ndarray:
    """The vectors of some sentences, (texts, E) float32 of length 1."""
    from avmodels.tvts_v2 import embedding

    return np.stack([unit(one) for one in embedding.sentences(encoders.model, texts, encoders.here)])


def parts(shots: Sequence[Shot]) -> list[Part]:
    """The shots, those longer than LONGEST in equal parts."""
    return [
        Part(shot.index, part)
        for shot in shots
        for part in shot.span.split(-(-shot.span.duration // LONGEST))
    ]


def unit(tensor: torch.Tensor) -> np.ndarray:
    """A vector as float32 of length 1."""
    values = tensor.float().cpu().numpy()
    return values / max(float(np.linalg.norm(values)), 1e-8)


class Clips:
    """A perceiver that gives every part of a film a vector as soon as its last frame is seen.

    `looked_at` are the parts of which there was a frame, `vectors` theirs, (E,) each.
    """

    fps: float | None = FPS
    size: tuple[int, int] | None = None  # the published way takes its pixels from the whole frame
    gray = False

    def __init__(self, waiting: Sequence[Part], encoders: Encoders) -> None:
        self.looked_at: list[Part] = []
        self.vectors: list[np.ndarray] = []
        self._waiting = list(reversed(waiting))
        self._encoders = encoders
        self._held: list[torch.Tensor] = []  # frames of the part under way, (3, side, side)

    def see(self, times: np.ndarray, frames: np.ndarray) -> None:
        from avmodels.tvts_v2 import views

        for time, picture in zip(
            times, views.evaluation(frames, self._encoders.model.size.side), strict=True
        ):
            while self._waiting and time >= self._waiting[-1].span.end:
                self._close()
            if self._waiting and time in self._waiting[-1].span:
                self._held.append(picture)

    def finish(self) -> None:
        while self._waiting:
            self._close()

    def _close(self) -> None:
        """The part under way is over: its vector, of the frames in the middle of equal stretches of it."""
        import torch

        from avmodels.tvts_v2.sampling import middle

        part, held = self._waiting.pop(), self._held
        self._held = []
        if not held:
            return
        count = self._encoders.config.model.frames
        # A short part shows its frames more than once: the network was only trained on full clips.
        picked = middle(len(held), count) if len(held) >= count else np.arange(count) * len(held) // count
        clip = torch.stack([held[number] for number in picked])[None].to(self._encoders.here.device)
        with torch.inference_mode(), self._encoders.here.autocast():
            self.vectors.append(unit(self._encoders.model.video(clip)[0]))
        self.looked_at.append(part)


def _telling(progress: Progress | None, span: Span) -> Callable[[int], None] | None:
    """Tells how many microseconds of the film have vectors."""
    return None if progress is None else lambda done: progress("moments", done, span.duration)
