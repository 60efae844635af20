"""Pictures and sounds of a film in one space: which picture goes with a sound, and which sound with a picture.

Both are vectors of Speed Co-Augmentation, once it is trained. They are computed once and kept in the film's
workspace.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avtool import find
from avtool.errors import MediaError, MissingError, UsageError
from avtool.media import audio
from avtool.timeline import SECOND, Shot, Span, clock
from avtool.weights import trained
from avtool.workspace import replacing

if TYPE_CHECKING:
    from accelerate import Accelerator

    from avmodels.speed_coaug.config import Clips, Pretraining, Sound
    from avmodels.speed_coaug.model import SightAndSound
    from avtool.media.probe import Probe
    from avtool.perception import Perception, Progress

log = logging.getLogger(__name__)

SYSTEM = "speed-coaug"
VARIANTS = ("k400-pretrain", "kinetics-sounds-pretrain")  # the first that is there is used
BATCH = 16  # clips that the network takes at once
LONGEST = 60 * SECOND  # of a sound that is looked for
SILENCE = 1e-4  # a peak below this is none, as in training


@dataclass(frozen=True, slots=True)
class Network:
    """Both encoders with their weights, and their hash."""

    model: SightAndSound
    config: Pretraining
    digest: str
    here: Accelerator


@dataclass(frozen=True, slots=True)
class Clip:
    """A piece of a shot, at least as long as what the network looks at; `audible` where it has a sound."""

    shot: int
    span: Span
    audible: bool = False


@dataclass(frozen=True, slots=True)
class Matched:
    """The clips of a film and what becomes of them, (clips, E) float32 each, of length 1; a silent clip's sound
    is 0. `seconds` long is the sound around a clip's middle that is listened to."""

    clips: list[Clip]
    sights: np.ndarray
    sounds: np.ndarray
    seconds: float

    def heard(self, clip: Clip) -> Span:
        """What is listened to of a clip; it may reach beyond the film."""
        half = round(self.seconds * SECOND / 2)
        return Span(clip.span.middle, clip.span.middle).grow(half, half)


def choose() -> Path | None:
    """The weights of the first variant that is imported, or None."""
    return trained(SYSTEM, VARIANTS)


def weights(name: str | None) -> Path:
    """The weights file: of the variant called `name`, or a file of ours; by default the first variant there is.

    Raises MissingError where there is none, UsageError for a name or file that is wrong.
    """
    path = trained(SYSTEM, VARIANTS, name)
    if path is None:
        variant = f"{SYSTEM}/{name or VARIANTS[0]}"
        raise MissingError(
            "Speed Co-Augmentation has no weights, and none were published: avtool train speed-coaug --config "
            f"{name or VARIANTS[0]} --data FILMS -o RUN, then avtool weights import {variant} RUN/model.safetensors"
        )
    return path


def load(path: Path) -> Network:
    """The network with the weights at `path`.

    Raises UsageError for one that hears nothing, WeightsError for a file that does not fit.
    """
    from avmodels import zoo
    from avmodels.engine import processes
    from avmodels.speed_coaug import recipe
    from avmodels.speed_coaug.config import Pretraining
    from avmodels.speed_coaug.model import SightAndSound

    config = zoo.load_of(SYSTEM, path, None)
    if not isinstance(config, Pretraining):
        raise UsageError(f"{path} names actions and hears nothing: name weights of pre-training")
    model = recipe.build(config)
    assert isinstance(model, SightAndSound)
    recipe.load(model, config, path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    here = processes.accelerator(config.training.precision)
    return Network(model.to(here.device).eval(), config, digest, here)


def vector(clip: Path, network: Network) -> np.ndarray:
    """The vector of a sound file, or of a film's sound: the mean over its stretches that are not silent,
    (E,) float32 of length 1.

    Raises MediaError for a file that cannot be read, has no sound or is silent.
    """
    from avmodels.speed_coaug.retrieval import unit
    from avtool.media.probe import probe

    sound = probe(clip)
    if not sound.audio:
        raise MediaError(f"{clip} has no sound")
    if sound.duration > LONGEST:
        log.warning("%s is long: only its first %d seconds are looked for", clip, LONGEST // SECOND)
    span = Span(0, min(sound.duration, LONGEST))
    window = round(network.config.sound.seconds * SECOND)
    middles = [part.middle for part in span.split(max(-(-span.duration // window), 1))]
    heard = [one for one in hear(sound, middles, network) if one is not None]
    if not heard:
        raise MediaError(f"{clip} is silent")
    return unit(np.mean(heard, axis=0))


def index(seen: Perception, network: Network, progress: Progress | None = None) -> find.Indexed:
    """The film's moments, and what each looks like: the mean over its clips."""
    from avmodels.speed_coaug.retrieval import unit

    found = match(seen, network, progress)
    parts, vectors = [], []
    for part in find.parts(seen.shots):
        inside = [number for number, clip in enumerate(found.clips) if clip.span.middle in part.span]
        if inside:
            parts.append(part)
            vectors.append(unit(found.sights[inside].mean(0)))
    return find.Indexed(seen, parts, np.stack(vectors))


def match(seen: Perception, network: Network, progress: Progress | None = None) -> Matched:
    """The film's clips with their vectors, from its workspace where they are there.

    Raises MediaError for a film without a picture.
    """
    from avtool.media import frames

    picture, seconds = seen.source.picture, float(network.config.sound.seconds)
    key = seen.key("sights", network.digest, [shot.span for shot in seen.shots])
    kept = seen.work.load("sights", key, Clip)
    if kept is not None:
        with np.load(seen.work.file("sights", ".npz")) as arrays:
            return Matched(kept, arrays["sights"], arrays["sounds"], seconds)
    looking = Looking(
        pieces(seen.shots, network.config.data, float(picture.frame_rate)), network, seen.source
    )
    for damaged in frames.show(
        seen.source, [looking], span=seen.span, progress=_telling(progress, seen.span)
    ):
        name, (start, end) = seen.source.path.name, (clock(damaged.start), clock(damaged.end))
        log.warning(
            "%s: the picture cannot be decoded from %s to %s; no sound is seen there", name, start, end
        )
    looking.finish()
    if not looking.vectors:
        raise MediaError(f"{seen.source.path}: no picture can be read")
    sights = np.stack(looking.vectors)
    heard = list(hear(seen.source, [clip.span.middle for clip in looking.clips], network))
    sounds = np.stack([np.zeros_like(sights[0]) if one is None else one for one in heard])
    clips = [replace(clip, audible=one is not None) for clip, one in zip(looking.clips, heard, strict=True)]
    seen.work.discard("sights")  # no header may vouch for another run's vectors
    with replacing(seen.work.file("sights", ".npz")) as beside, beside.open("wb") as file:
        np.savez(file, sights=sights, sounds=sounds)
    seen.work.save("sights", key, clips, weights=network.digest)
    return Matched(clips, sights, sounds, seconds)


def shown(how: Clips, frame_rate: float) -> tuple[int, int]:
    """How many frames apart those of a clip are, as in training, and how long it is in microseconds."""
    stride = max(round(frame_rate / how.frame_rate), 1)
    return stride, round(how.frames * stride / frame_rate * SECOND)


def pieces(shots: Sequence[Shot], how: Clips, frame_rate: float) -> list[Clip]:
    """The shots in equal pieces, each at least as long as a clip of the network, or the whole shot where that is
    shorter."""
    _, least = shown(how, frame_rate)
    return [
        Clip(shot.index, part)
        for shot in shots
        for part in shot.span.split(max(shot.span.duration // least, 1))
    ]


class Looking:
    """A perceiver that gives every piece of a film a vector once enough of them have been seen.

    `clips` are the pieces of which there was a frame, `vectors` theirs, (E,) each.
    """

    fps: float | None = None
    gray = False

    def __init__(self, waiting: Sequence[Clip], network: Network, film: Probe) -> None:
        self.clips: list[Clip] = []
        self.vectors: list[np.ndarray] = []
        self._waiting = list(reversed(waiting))
        self._network = network
        self._stride, _ = shown(network.config.data, float(film.picture.frame_rate))
        short, (high, wide) = network.config.data.short, (film.picture.height, film.picture.width)
        scale = short / min(high, wide)
        self.size: tuple[int, int] | None = max(int(high * scale), short), max(int(wide * scale), short)
        self._held: list[np.ndarray] = []  # the middles of frames of the piece under way
        self._ready: list[np.ndarray] = []  # whole clips (T, side, side, 3)

    def see(self, times: np.ndarray, frames: np.ndarray) -> None:
        side = self._network.config.data.side
        top, left = ((length - side) // 2 for length in frames.shape[1:3])
        for time, frame in zip(times, frames[:, top : top + side, left : left + side], strict=True):
            while self._waiting and time >= self._waiting[-1].span.end:
                self._close()
            if self._waiting and time in self._waiting[-1].span:
                self._held.append(frame.copy())

    def finish(self) -> None:
        while self._waiting:
            self._close()
        self._look()

    def _close(self) -> None:
        """The piece under way is over: the clip in its middle, which begins anew where its frames run out."""
        from avmodels.speed_coaug.data import NORMAL
        from avmodels.speed_coaug.speed import frame_numbers, span

        piece, held = self._waiting.pop(), self._held
        self._held = []
        if not held:
            return
        length = self._network.config.data.frames
        start = max(len(held) - span(length, self._stride, NORMAL), 0) // 2
        self._ready.append(
            np.stack([held[n] for n in frame_numbers(len(held), start, length, self._stride, NORMAL)])
        )
        self.clips.append(piece)
        if len(self._ready) == BATCH:
            self._look()

    def _look(self) -> None:
        import torch

        from avmodels.speed_coaug.data import middle

        if not self._ready:
            return
        here, side = self._network.here, self._network.config.data.side
        video = torch.stack([middle(frames, side) for frames in self._ready]).to(here.device)
        with torch.inference_mode(), here.autocast():
            self.vectors += list(self._network.model.see(video).vector.float().cpu().numpy())
        self._ready = []


def hear(film: Probe, middles: Sequence[int], network: Network) -> Iterator[np.ndarray | None]:
    """The vectors (E,) of the sounds around some moments of a film, which are in order; None for silence."""
    import torch

    from avmodels.speed_coaug.spectrogram import log_mel, normalise

    if not film.audio:
        yield from [None] * len(middles)
        return
    here, how = network.here, network.config.sound
    waves = cut(film, middles, how)
    while some := list(islice(waves, BATCH)):
        audible = np.array([np.abs(wave).max() >= SILENCE for wave in some])
        mel = normalise(log_mel(torch.from_numpy(np.stack(some)).to(here.device), how))
        with torch.inference_mode(), here.autocast():
            vectors = network.model.hear(mel).vector.float().cpu().numpy()
        yield from (one if heard else None for one, heard in zip(vectors, audible, strict=True))


def cut(film: Probe, middles: Sequence[int], how: Sound) -> Iterator[np.ndarray]:
    """The sound around some moments of a film, which are in order: (n,) float32 each, silent beyond the film."""
    from avmodels.speed_coaug.speed import sample_count

    length = sample_count(how.seconds, how.rate)
    begins = deque(round(middle * how.rate / SECOND) - length // 2 for middle in middles)
    at, held = begins[0], np.zeros(max(-begins[0], 0), np.float32)
    span = Span(max(begins[0], 0) * SECOND // how.rate, film.duration)
    blocks = (block for _, block in audio.blocks(film, span=span, rate=how.rate))
    for block in chain(blocks, [np.zeros(length, np.float32)]):
        held = np.concatenate([held, block])
        while begins and begins[0] + length <= at + len(held):
            first = begins.popleft() - at
            yield held[first : first + length]
        if not begins:
            return
        held, at = held[begins[0] - at :], begins[0]


def _telling(progress: Progress | None, span: Span) -> Callable[[int], None] | None:
    """Tells how many microseconds of the film have been seen."""
    return None if progress is None else lambda done: progress("sights", done, span.duration)
