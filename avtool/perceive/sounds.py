"""Which sounds of a film are seen: how well a sound goes with the picture of its moment, beside all other pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avtool.timeline import Shot, Sound, Span, Speech

if TYPE_CHECKING:
    from avtool.sights import Clip, Matched

# How many deviations above the mean of the pictures of other shots the picture of a sound's own moment goes with it
# where its source is in the picture, and at most where it is not.
SEEN, UNSEEN = 1.0, 0.0
FEWEST = 8  # clips of other shots, else nothing can be said
SPREAD = 0.05  # least deviation of the cosines: pictures that are all alike tell nothing
ALIKE = 0.8  # least cosine of two sounds of one kind of source


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is known of one clip's sound."""

    clip: Clip
    seen: bool
    confidence: float
    like: Span | None = None


def judge(found: Matched, shots: Sequence[Shot], speech: Sequence[Speech]) -> list[Sound]:
    """The sounds of which it is sure whether their source is in the picture, by time.

    Voices are none: clips in which somebody speaks are left out, and so are those whose sound reaches into another
    shot. An unseen sound is told only together with a moment that sounds alike and shows the source.
    """
    spoken = [one.span for one in speech if one.kind == "dialogue"]
    within = {shot.index: shot.span for shot in shots}
    clear = []
    for clip in found.clips:
        heard, shot = found.heard(clip), within[clip.shot]
        apart = shot.start <= heard.start and heard.end <= shot.end
        clear.append(clip.audible and apart and not any(heard.overlap(span) for span in spoken))
    return list(_joined(list(_verdicts(found, np.array(clear)))))


def _verdicts(found: Matched, clear: np.ndarray) -> Iterator[_Verdict]:
    """Every clip of which something is known; `clear` (clips,) are those whose sound tells."""
    fits = found.sounds @ found.sights.T
    alike = found.sounds @ found.sounds.T
    shots = np.array([clip.shot for clip in found.clips])
    others = shots[:, None] != shots
    count = others.sum(1)
    mean = (fits * others).sum(1) / np.maximum(count, 1)
    spread = np.sqrt((((fits - mean[:, None]) ** 2) * others).sum(1) / np.maximum(count, 1))
    known = clear & (count >= FEWEST) & (spread >= SPREAD)
    # How many deviations above the mean every picture goes with every sound.
    fits = (fits - mean[:, None]) / np.maximum(spread, SPREAD)[:, None]
    seen = known & (fits.diagonal() >= SEEN)
    for number, clip in enumerate(found.clips):
        if seen[number]:
            share = (fits[number, others[number]] < fits[number, number]).mean()
            yield _Verdict(clip, True, float(share))
        elif known[number] and fits[number, number] <= UNSEEN:
            # The moment must show the source of its own sound, and that of this one as well.
            shows = seen & others[number] & (fits[number] >= SEEN)
            best = int(np.where(shows, alike[number], -1).argmax())
            if shows[best] and alike[number, best] >= ALIKE:
                yield _Verdict(clip, False, float(alike[number, best]), found.clips[best].span)


def _joined(verdicts: list[_Verdict]) -> Iterator[Sound]:
    """Clips of a shot that follow one another and of which the same is known, as one sound."""
    runs: list[list[_Verdict]] = []
    for one in verdicts:
        last = runs[-1][-1] if runs else None
        if (
            last
            and (last.clip.shot, last.seen) == (one.clip.shot, one.seen)
            and last.clip.span.end == one.clip.span.start
        ):
            runs[-1].append(one)
        else:
            runs.append([one])
    for run in runs:
        surest = max(run, key=lambda one: one.confidence)
        span = Span(run[0].clip.span.start, run[-1].clip.span.end)
        yield Sound(surest.clip.shot, span, surest.seen, surest.confidence, surest.like)
