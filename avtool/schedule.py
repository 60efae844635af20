"""What to say where: an exact choice of sentences, pauses and starting times.

Starts lie on a grid inside each pause (`GRID` apart, from its beginning). Over that grid the plan is optimal:
no other choice of candidates, pauses, rates and starts that keeps the rules has a greater sum of scores, a
score being a candidate's worth less what its place costs. The rules: a description lies in the usable part of
a pause; it starts at most `early` before its event and ends at most `late` after it; it keeps `spacing` to
the next; one of a group is told; a claim is not told twice within the time that `repeat_window` cues take
professionals. (AD207 counts cues. Counted in time, a plan less one description still keeps the rules, and
that is what makes the search both exact and quick.)

How much of the pauses is filled (AD112) is seen to afterwards: where two minutes hold too much, the least
worthy descriptions go. This never empties two minutes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from avtool.choice import Place, best
from avtool.narrate.pace import speaking_time, words
from avtool.settings import Settings
from avtool.timeline import SECOND, Candidate, Description, Gap, Shot, Span, clock

GRID = 200_000  # microseconds between possible starts
CUE_EVERY = 12 * SECOND  # from one description to the next in professional TV work (median)
FOREVER = 10**15  # microseconds
NO_PAUSE = "no pause near"  # how the reason of what is cramped begins
FILL_WINDOW = 120 * SECOND  # of AD112

Takes = Callable[[str, float, str], int]  # microseconds to say a text at words a minute in a language

# What a place costs, as a share of the worth. Rather before than after (ITC 3.4), but best at the event.
EARLY = 0.03  # a second before the event begins
WAIT, WAIT_MOST = 0.04, 0.20  # a second after it began; a state may be told as long as it lasts
CROSSING, CROSSING_MOST = 0.10, 0.30  # a cut under the description (AD109)
FAST = 0.15  # said at `rate_max`


@dataclass(frozen=True, slots=True)
class Dropped:
    """The worthiest candidate of a group of which nothing is spoken, and why; `cramped`: for want of a pause."""

    candidate: Candidate
    reason: str
    cramped: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    descriptions: list[Description]
    dropped: list[Dropped]


def plan(
    candidates: Sequence[Candidate],
    gaps: Sequence[Gap],
    shots: Sequence[Shot],
    settings: Settings,
    takes: Takes = speaking_time,
) -> Plan:
    """Choose what of `candidates` is said in `gaps`, when and how fast; tell of each other group why not.

    `candidates`, `gaps` and `shots` are of one film; gaps do not overlap. `takes` tells how long a text is.
    """
    places = allowed(candidates, gaps, shots, settings, takes)
    chosen = best(places, things(candidates, settings))
    kept = thin(chosen, gaps, shots, settings)
    descriptions = [
        Description(
            id=f"ad-{number:04}",
            span=Span(place.start, place.end),
            text=candidate.text,
            represents=candidate.represents,
            confidence=candidate.confidence,
            facts=candidate.facts,
            event=candidate.event,
            gap=gaps[place.gap].index,
            language=settings.language,
        )
        for number, place in enumerate(kept, 1)
        for candidate in [candidates[place.candidate]]
    ]
    thinned = {candidates[place.candidate].group for place in set(chosen) - set(kept)}
    return Plan(descriptions, _dropped(candidates, kept, thinned, gaps, settings, takes))


def needed(text: str, rate: float, settings: Settings, takes: Takes = speaking_time) -> int:
    """Microseconds to say `text` at `rate`, and at most `rate_max` words a minute (AD105, AD106)."""
    shortest = round(words(text) * 60 * SECOND / settings.rate_max)
    return max(takes(text, rate, settings.language), shortest)


def allowed(
    candidates: Sequence[Candidate],
    gaps: Sequence[Gap],
    shots: Sequence[Shot],
    settings: Settings,
    takes: Takes = speaking_time,
) -> list[Place]:
    """Every place on the grid where the rules allow a candidate by itself."""
    cuts = sorted(shot.span.start for shot in shots)
    early, late, spacing = (
        round(seconds * SECOND) for seconds in (settings.early, settings.late, settings.spacing)
    )
    order = sorted(range(len(gaps)), key=lambda gap: gaps[gap].usable)
    ends = [gaps[gap].usable.end for gap in order]
    places = []
    for number, candidate in enumerate(candidates):
        opens, closes = candidate.event.start - early, candidate.event.end + late
        lengths = {needed(candidate.text, settings.rate_max, settings, takes): FAST}
        lengths[needed(candidate.text, min(settings.rate, settings.rate_max), settings, takes)] = 0.0
        for gap in order[bisect_left(ends, opens) :]:
            room = gaps[gap].usable
            if room.start >= closes or candidate.worth <= 0:
                break
            for length, hurry in lengths.items():
                first = max(0, -((room.start - opens) // GRID))
                last = (min(room.end, closes) - length - room.start) // GRID
                before = -inf
                for start in range(room.start + first * GRID, room.start + last * GRID + 1, GRID):
                    end = start + length
                    score = candidate.worth * (1 - hurry - _misplaced(start, end, candidate, cuts))
                    sooner = start - GRID if score <= before else -1
                    places.append(Place(start, end, end + spacing, score, number, gap, sooner))
                    before = score
    return places


def _misplaced(start: int, end: int, candidate: Candidate, cuts: Sequence[int]) -> float:
    """What it costs, as a share of its worth, to say `candidate` from `start` to `end`."""
    wait = (start - candidate.event.start) / SECOND
    crossed = bisect_left(cuts, end) - bisect_right(cuts, start)
    apart = min(WAIT * wait, WAIT_MOST) if wait > 0 else -EARLY * wait
    return apart + min(CROSSING * crossed, CROSSING_MOST)


def claims(candidate: Candidate) -> frozenset[str]:
    """What `candidate` tells that should not be heard twice: names only where they are all it tells."""
    news = [fact for fact in candidate.facts if fact.kind != "who"] or candidate.facts
    return frozenset(fact.claim for fact in news)


def things(candidates: Sequence[Candidate], settings: Settings) -> list[Mapping[Hashable, int]]:
    """What each candidate tells, its group and its claims, and for how long that is not told again."""
    memory = settings.repeat_window * CUE_EVERY
    groups: dict[str, set[int]] = defaultdict(set)
    for candidate in candidates:
        for claim in claims(candidate):
            groups[claim].add(candidate.group)
    told: list[Mapping[Hashable, int]] = []
    for candidate in candidates:
        shared = [claim for claim in claims(candidate) if len(groups[claim]) > 1]
        told.append({candidate.group: FOREVER, **dict.fromkeys(shared, memory)})
    return told


def thin(
    places: Sequence[Place], gaps: Sequence[Gap], shots: Sequence[Shot], settings: Settings
) -> list[Place]:
    """`places` without the least worthy where more than `fill` of the pauses in two minutes is filled (AD112).

    One place always stays: the rule is against a crowd.
    """
    kept = list(places)
    pauses = sorted(gap.span for gap in gaps)
    end = max([span.end for span in (*pauses, *(shot.span for shot in shots))], default=0)
    starts = {max(0, min(place.start, end - FILL_WINDOW)) for place in places}
    windows = [Span(start, start + FILL_WINDOW) for start in sorted(starts)]
    free = {window: sum(pause.overlap(window) for pause in _meeting(pauses, window)) for window in windows}
    for window in sorted(windows, key=lambda window: free[window]):  # what the fullest give up spares others
        inside = [one for one in kept if one.start < window.end and one.end > window.start]
        for least in sorted(inside, key=lambda one: one.score)[:-1]:
            if (
                sum(Span(one.start, one.end).overlap(window) for one in inside)
                <= settings.fill * free[window]
            ):
                break
            inside.remove(least)
            kept.remove(least)
    return kept


def _meeting(spans: Sequence[Span], window: Span) -> Iterator[Span]:
    """Those of `spans`, sorted and apart, that share time with `window`."""
    for span in spans[bisect_right(spans, window.start, key=lambda span: span.end) :]:
        if span.start >= window.end:
            return
        yield span


def _dropped(
    candidates: Sequence[Candidate],
    kept: Sequence[Place],
    thinned: set[int],
    gaps: Sequence[Gap],
    settings: Settings,
    takes: Takes,
) -> list[Dropped]:
    """Why nothing is spoken of each group that `kept` does not tell; the groups in `thinned` made it too full."""
    rooms = sorted(gap.usable for gap in gaps)
    told = {candidates[place.candidate].group for place in kept}
    names = {place: f"ad-{number:04}" for number, place in enumerate(kept, 1)}
    memory = settings.repeat_window * CUE_EVERY
    early, late = (round(seconds * SECOND) for seconds in (settings.early, settings.late))

    def reason(group: Sequence[Candidate]) -> str:
        event = group[0].event
        at, near = clock(event.start), event.grow(early, late)
        if group[0].group in thinned:
            return f"the pauses near {at} are full enough without it"
        parts = [part for room in _meeting(rooms, near) if (part := room.clip(near))]
        if not parts:
            return f"{NO_PAUSE} {at}"
        needs = min(needed(candidate.text, settings.rate_max, settings, takes) for candidate in group)
        has = max(part.duration for part in parts)
        if needs > has:
            return f"{NO_PAUSE} {at} is long enough: needs {needs / SECOND:.1f} s, has {has / SECOND:.1f} s"
        around = [place for place in kept if near.start - memory < place.start < near.end + memory]
        for place in around:
            if claims(candidates[place.candidate]) & frozenset().union(*map(claims, group)):
                return f"{names[place]} tells it at {clock(place.start)}"
        for place in around:
            if place.start < near.end and near.start < place.end:
                return f"{names[place]} is worth more in the pause near {at}"
        return f"not worth saying in the pause near {at}"

    groups: dict[int, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        if candidate.group not in told:
            groups[candidate.group].append(candidate)
    return [
        Dropped(max(group, key=lambda one: one.worth), why, why.startswith(NO_PAUSE))
        for group in groups.values()
        for why in [reason(group)]
    ]
