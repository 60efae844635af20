"""Who is present in a shot: tracks of people as persons with what the narration may call them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avtool.narrate import naming
from avtool.settings import Settings
from avtool.timeline import SECOND, Fact, Film, Sighting, Span, Track

if TYPE_CHECKING:
    from avtool.cast import Cast

SEEN = SECOND // 2  # a track as long as this counts as someone
SURE = 0.65  # mean detection score of a track that does
FACES = 2  # frames whose face was read make any track someone


@dataclass(frozen=True, slots=True)
class Person:
    """Someone in a shot. `called` is the name or label, None for a stranger; `pronoun` is the cast file's."""

    called: str | None
    pronoun: str | None
    tracks: tuple[Track, ...]
    confidence: float

    @property
    def span(self) -> Span:
        return Span(min(t.span.start for t in self.tracks), max(t.span.end for t in self.tracks))

    def fact(self) -> Fact:
        """That this person is there."""
        times = tuple(time for track in self.tracks for time in moments(track.times, track.span))
        return Fact("who", self.called or "someone", self.confidence, times, tuple(t.id for t in self.tracks))


def people_in(
    scene: Film, known: Mapping[str, int | None], cast: Cast | None, settings: Settings
) -> list[Person]:
    """The people of one shot, those with a name or label first, the surest of them first.

    `known` is `naming.known`. Tracks of one name are one person, unless they are in the picture together: then
    only the surest is.
    """
    sightings = {sighting.track: sighting for sighting in scene.sightings}
    named: dict[str, list[tuple[Sighting, Track]]] = {}
    strangers: list[Track] = []
    for track in scene.tracks:
        sighting = sightings.get(track.id)
        if track.label != "person" or not _certain(track, sighting):
            continue
        name = naming.called(sighting, known, cast, settings) if sighting else None
        if name and sighting:
            named.setdefault(name, []).append((sighting, track))
        else:
            strangers.append(track)

    people = []
    for name, seen in named.items():
        seen.sort(key=lambda pair: -pair[0].confidence)
        kept: list[Track] = []
        for _, track in seen:
            if any(track.span.overlap(other.span) > SEEN for other in kept):
                strangers.append(track)
            else:
                kept.append(track)
        best = seen[0][0]
        one = naming.member(cast, best.name) if best.name else None
        people.append(Person(name, one.pronoun if one else None, tuple(kept), best.confidence))
    people.sort(key=lambda person: (-person.confidence, person.called))
    return people + [Person(None, None, (track,), _score(track)) for track in strangers]


def at_once(spans: Iterable[Span]) -> int:
    """The most of `spans` that hold at one time: how many people are seen together."""
    edges = sorted((time, step) for span in spans for time, step in ((span.start, 1), (span.end, -1)))
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def moments(times: Sequence[int], span: Span) -> tuple[int, ...]:
    """First, middle and last of the `times` inside `span`: the frames to look at for evidence."""
    inside = [time for time in times if time in span] or [span.start]
    return tuple(sorted({inside[0], inside[len(inside) // 2], inside[-1]}))


def _certain(track: Track, sighting: Sighting | None) -> bool:
    faces = sighting.faces if sighting else 0
    return track.span.duration >= SEEN and (faces >= FACES or _score(track) >= SURE)


def _score(track: Track) -> float:
    return sum(track.scores) / len(track.scores)
