"""The best of many plans: an exact search over what can be said where.

A shortest path with resource constraints (Irnich and Desaulniers, in "Column Generation", Springer 2005):
labels, each a plan so far, go through the film in time. A label is given up where another would stay ahead
even if it lost, for each thing that only it has told, the best place left for that thing. That is exact
because a plan less one place still keeps every rule.

Only where more than `MOST` labels are in the race at one time is the least promising given up unproved: in
films of two hours with 6,000 candidates this never came to be, or cost 0.1 % of the sum where everything fits
everywhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count, groupby
from math import inf
from operator import itemgetter
from typing import NamedTuple

STRETCH = 10_000_000  # microseconds of film whose best scores are kept together
MOST = 32  # labels in the race at one time


class Place(NamedTuple):
    """A candidate (its number) spoken in a gap (its number) from `start`; another may start at `ready`.

    `sooner` is an earlier start that is as good, -1 where there is none.
    """

    start: int
    end: int
    ready: int
    score: float
    candidate: int
    gap: int
    sooner: int = -1


class Label(NamedTuple):
    """A plan so far. `told` is what may not be told again, and until when."""

    value: float
    told: dict[Hashable, int]
    last: Place | None = None
    before: Label | None = None


class Chances:
    """Where each thing can be told, and the best score to be had there."""

    def __init__(self, places: Sequence[Place], tells: Sequence[Mapping[Hashable, int]]) -> None:
        """`places` by start."""
        self.last: dict[Hashable, int] = {}  # the latest start at which a thing can be told
        # For each thing and stretch of time: starts, negative to ascend, each with the best score from it on.
        self._later: dict[tuple[Hashable, int], list[tuple[int, float]]] = {}
        for place in reversed(places):
            for thing in tells[place.candidate]:
                self.last.setdefault(thing, place.start)
                later = self._later.setdefault((thing, place.start // STRETCH), [])
                if not later or place.score > later[-1][1]:
                    later.append((-place.start, place.score))

    def best(self, thing: Hashable, now: int, until: int) -> float:
        """At least the best score to be had by telling `thing` from `now` until `until`; 0 without a place."""
        score = 0.0
        for stretch in range(now // STRETCH, (until - 1) // STRETCH + 1):
            later = self._later.get((thing, stretch), ())
            at = bisect_right(later, (-now, inf))
            if at:
                score = max(score, later[at - 1][1])
        return score


def best(places: Sequence[Place], tells: Sequence[Mapping[Hashable, int]]) -> list[Place]:
    """The places with the greatest sum of scores, in order of time.

    `tells` gives for each candidate what it tells, and for how many microseconds after its start that may not
    be told again. Places do not overlap: the next starts when the one before is `ready`.
    """
    places = sorted(places)
    chances = Chances(places, tells)
    waiting = [Label(0.0, {})]
    speaking: list[tuple[int, int, Label]] = []  # a heap by the time at which a label is ready again
    order = count()
    for now, starting in groupby(places, key=lambda place: place.start):
        arrived = []
        while speaking and speaking[0][0] <= now:
            arrived.append(heappop(speaking)[2])
        if arrived:
            waiting = _prune(waiting + arrived, chances, now)
        for place in starting:
            telling = tells[place.candidate]
            for label in waiting:
                ready = label.last.ready if label.last else 0
                free = max([ready, *(label.told.get(thing, 0) for thing in telling)])
                if free > now or free <= place.sooner:
                    continue
                told = {thing: until for thing, until in label.told.items() if until > now}
                for thing, memory in telling.items():
                    told[thing] = min(now + memory, chances.last[thing] + 1)
                longer = Label(label.value + place.score, told, place, label)
                heappush(speaking, (place.ready, next(order), longer))
    label = max(waiting + [label for *_, label in speaking], key=lambda label: label.value)
    chosen = []
    while label.last and label.before:
        chosen.append(label.last)
        label = label.before
    return chosen[::-1]


def _prune(labels: list[Label], chances: Chances, now: int) -> list[Label]:
    """Those of `labels` that could still become the best plan."""
    unlike: dict[frozenset[tuple[Hashable, int]], Label] = {}
    for label in sorted(labels, key=lambda label: -label.value):
        unlike.setdefault(frozenset(item for item in label.told.items() if item[1] > now), label)
    kept: list[Label] = []
    risks: list[list[tuple[float, Hashable, int]]] = []  # what each kept one may lose to one that is freer
    for told, label in unlike.items():
        for one, risk in zip(kept, risks, strict=True):
            lead = one.value - label.value
            for loss, thing, until in risk:
                if label.told.get(thing, now) < until:
                    lead -= loss
                    if lead < 0:
                        break
            else:
                break  # `one` stays ahead whatever comes
        else:
            kept.append(label)
            losses = ((chances.best(thing, now, until), thing, until) for thing, until in told)
            risks.append(sorted((loss for loss in losses if loss[0] > 0), key=itemgetter(0), reverse=True))
    if len(kept) > MOST:  # promising is what has much, and much left to tell
        ranked = sorted(zip(kept, risks, strict=True), key=lambda pair: _promise(*pair), reverse=True)
        kept = [label for label, _ in ranked[:MOST]]
    return kept


def _promise(label: Label, risk: Sequence[tuple[float, Hashable, int]]) -> float:
    return label.value - sum(loss for loss, *_ in risk) / 2
