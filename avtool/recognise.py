"""Tags by a classifier of the model library instead of the embedded network."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avtool.timeline import Shot, Span, Tag
from avtool.weights import imported

if TYPE_CHECKING:
    from avmodels.seeing import Recogniser
    from avtool.perception import Perception, Progress

LEAST = 0.5  # mean probability over a shot, from which a tag is told
KEPT = 8  # labels noted of each clip
BATCH = 16  # clips the network takes at once


def open_backbone(name: str, weights: Path | None, settings: Sequence[str] = ()) -> tuple[Recogniser, str]:
    """The classifier called SYSTEM/VARIANT, and a digest of what makes it.

    Raises MissingError where its weights are not there, ConfigError for a name that is none or no classifier's.
    """
    from avmodels import run, zoo

    system, variant = zoo.split(name)
    config = zoo.load(system, variant, tuple(settings))
    path = weights or imported(name, "models show names where they are found")
    made = run.recogniser(system, config, path)
    digest = hashlib.sha256(path.read_bytes() + config.model_dump_json().encode()).hexdigest()
    return made, digest


class Watching:
    """The perceiver of a classifier in pictures `height` x `width` as displayed. Clips follow one another without
    overlap; of each it keeps the surest few labels."""

    gray: bool = False

    def __init__(self, recogniser: Recogniser, height: int, width: int) -> None:
        from avtool.perceive import detailed

        self.fps: float | None = recogniser.fps
        self.size: tuple[int, int] | None = detailed(height, width)
        self._recogniser = recogniser
        self._times: list[int] = []
        self._frames: list[np.ndarray] = []
        self._noted: list[tuple[int, int, dict[str, float]]] = []

    def see(self, times: np.ndarray, frames: np.ndarray) -> None:
        self._times += times.tolist()
        self._frames += list(frames)
        if len(self._frames) >= BATCH * self._recogniser.frames:
            self._look()

    def finish(self) -> None:
        self._look()

    def _look(self) -> None:
        length = self._recogniser.frames
        whole = len(self._frames) // length * length
        for first in range(0, whole, BATCH * length):
            starts = range(first, min(first + BATCH * length, whole), length)
            clips = [np.stack(self._frames[start : start + length]) for start in starts]
            for start, row in zip(starts, self._recogniser(clips), strict=True):
                best = np.argsort(-row)[:KEPT]
                words = {self._recogniser.labels[number]: float(row[number]) for number in best}
                self._noted.append((self._times[start], self._times[start + length - 1], words))
        self._times, self._frames = self._times[whole:], self._frames[whole:]

    def tags(self, shots: list[Shot], least: float = LEAST) -> list[Tag]:
        """What each shot shows, by the mean over the clips that lie in it, the surest first."""
        found = []
        for shot in shots:
            inside = [
                words for start, end, words in self._noted if shot.span.start <= start and end < shot.span.end
            ]
            means: dict[str, float] = {}
            for words in inside:
                for word, probability in words.items():
                    means[word] = means.get(word, 0.0) + probability / len(inside)
            for word, mean in sorted(means.items(), key=lambda item: (-item[1], item[0])):
                if mean >= least:
                    found.append(Tag(word, shot.index, shot.span, min(mean, 1.0)))
        return found


def in_film(
    seen: Perception,
    recogniser: Recogniser,
    digest: str,
    least: float = LEAST,
    progress: Progress | None = None,
) -> list[Tag]:
    """The tags of every shot of a film. They are kept in its workspace."""
    from avtool.media import frames

    key = seen.key("recognised", digest, least, [shot.span for shot in seen.shots])
    found = seen.work.load("recognised", key, Tag)
    if found is None:
        watching = Watching(recogniser, seen.source.picture.height, seen.source.picture.width)

        def tell(done: int) -> None:
            if progress is not None:
                progress("recognising", done, seen.span.duration)

        frames.show(seen.source, [watching], span=seen.span, progress=tell)
        watching.finish()
        found = watching.tags(seen.shots, least)
        seen.work.save("recognised", key, found)
    return found


def in_picture(path: Path, recogniser: Recogniser, least: float = LEAST) -> list[Tag]:
    """The tags of a picture. Raises MediaError where it cannot be read, UsageError for a classifier of clips."""
    from avtool.errors import UsageError
    from avtool.tag import read_picture

    if recogniser.frames > 1:
        raise UsageError(
            f"{path.name}: this backbone names clips of {recogniser.frames} frames, not pictures"
        )
    watching = Watching(recogniser, *(picture := read_picture(path)).shape[:2])
    watching.see(np.zeros(1, np.int64), picture[None])
    watching.finish()
    return watching.tags([Shot(0, Span(0, 1), "cut", 1.0)], least)
