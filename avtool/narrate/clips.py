"""What a network is asked to describe: pieces of shots that a pause can tell of, and who is seen in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from avtool.narrate import naming
from avtool.narrate.presence import moments
from avtool.settings import Settings
from avtool.timeline import SECOND, Fact, Film, Shot, Sighting, Span

if TYPE_CHECKING:
    from avtool.cast import Cast

LONGEST = 6 * SECOND  # of a clip
SHORTEST = SECOND // 2
FEWEST, MOST = 3, 25  # words of a sentence


@dataclass(frozen=True, slots=True)
class Clip:
    """A piece of one shot; `words` is how many a pause near it has room for; `people` who is seen, the surest first."""

    shot: int
    span: Span
    words: int
    people: tuple[Fact, ...]

    @property
    def names(self) -> list[str]:
        """What narration may call those who are seen."""
        return [fact.claim for fact in self.people]


def clips(film: Film, cast: Cast | None, settings: Settings) -> list[Clip]:
    """The clips that some pause is near enough to tell of, and long enough for, by time."""
    known = naming.known(cast, film, settings)
    found = []
    for shot in film.shots:
        sightings = [one for one in film.sightings if one.shot == shot.index]
        for span in pieces(shot):
            room = budget(span, film, settings)
            if room >= FEWEST and span.duration >= SHORTEST:
                here = [one for one in sightings if one.span.overlap(span)]
                found.append(Clip(shot.index, span, room, people(here, span, known, cast, settings)))
    return found


def pieces(shot: Shot) -> list[Span]:
    """A shot, or a long one's equal parts."""
    count = -(-shot.span.duration // LONGEST)
    limits = [shot.span.start + shot.span.duration * number // count for number in range(count + 1)]
    return [Span(*pair) for pair in pairwise(limits)]


def budget(event: Span, film: Film, settings: Settings) -> int:
    """The words that the longest pause within reach of `event` has room for, at most MOST."""
    near = event.grow(round(settings.early * SECOND), round(settings.late * SECOND))
    rooms = [room.duration for gap in film.gaps if (room := gap.usable.clip(near))]
    return min(int(max(rooms, default=0) * settings.rate / (60 * SECOND)), MOST)


def people(
    sightings: Sequence[Sighting],
    span: Span,
    known: dict[str, int | None],
    cast: Cast | None,
    settings: Settings,
) -> tuple[Fact, ...]:
    """Those of `sightings` who may be named or labelled, each once, the surest first."""
    facts: dict[str, Fact] = {}
    for one in sorted(sightings, key=lambda one: -one.confidence):
        name = naming.called(one, known, cast, settings)
        here = one.span.clip(span)
        if name and here and name not in facts:
            times = moments(range(here.start, here.end, max(here.duration // 2, 1)), here)
            facts[name] = Fact("who", name, one.confidence, times, (one.track,) if one.track >= 0 else ())
    return tuple(facts.values())
