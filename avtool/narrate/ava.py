"""AVA's actions as the narration tells them: present-tense English, of the people the film's own senses follow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from avmodels import run
from avmodels.evad.evaluation import read_sure
from avtool.detect import Detections, Person, at, looks_of
from avtool.perceive.tracks import overlap
from avtool.timeline import SECOND, Action, Span, Track, merge

# By the name of the action, all that AVA judges but SILENT ones.
VERBS = {
    "bend/bow (at the waist)": "bends down",
    "crouch/kneel": "crouches",
    "dance": "dances",
    "fall down": "falls down",
    "get up": "gets up",
    "jump/leap": "jumps",
    "lie/sleep": "is lying down",
    "run/jog": "runs",
    "sit": "sits",
    "swim": "swims",
    "walk": "walks",
    "answer phone": "talks on the phone",
    "climb (e.g., a mountain)": "climbs",
    "dress/put on clothing": "gets dressed",
    "drink": "drinks",
    "drive (e.g., a car, a truck)": "drives",
    "eat": "eats",
    "lift/pick up": "picks something up",
    "open (e.g., a window, a car door)": "opens something",
    "close (e.g., a door, a box)": "closes something",
    "play musical instrument": "plays an instrument",
    "point to (an object)": "points at something",
    "put down": "puts something down",
    "read": "reads",
    "ride (e.g., a bike, a car, a horse)": "rides",
    "sail boat": "sails",
    "smoke": "smokes",
    "take a photo": "takes a photo",
    "text on/look at a cellphone": "looks at a phone",
    "throw": "throws something",
    "watch (e.g., TV)": "watches a screen",
    "work on a computer": "works at a computer",
    "write": "writes",
    "hand clap": "claps",
    "hand wave": "waves",
    "martial art": "fights",
    "carry/hold (an object)": "holds something",
    "cut": "cuts something",
    "enter": "comes in",
    "hit (an object)": "hits something",
    "listen (e.g., to music)": "listens",
    "pull (an object)": "pulls something",
    "push (an object)": "pushes something",
    "shoot": "shoots",
    "touch (an object)": "touches something",
    "turn (e.g., a screwdriver)": "turns something",
}
# Other senses tell these better: the body who stands, the ear to whom one listens.
SILENT = {"stand", "listen to (a person)"}
# What takes two: told where just one other person is in the picture.
TOGETHER = {
    "fight/hit (a person)": "fights with",
    "give/serve (an object) to (a person)": "gives something to",
    "grab (a person)": "grabs",
    "hand shake": "shakes hands with",
    "hug (a person)": "hugs",
    "kiss (a person)": "kisses",
    "lift (a person)": "lifts",
    "push (another person)": "pushes",
    "sing to (e.g., self, a person, a group)": "sings to",
    "take (an object) from (a person)": "takes something from",
    "talk to (e.g., self, a person, a group)": "talks to",
    "watch (a person)": "watches",
}
LEAST = 0.8  # score that is told of weights that were not tested here
SAME = 0.5  # least overlap of EVAD's box with that of the track it speaks of
HALF = SECOND // 2


def least_of(weights: Path) -> dict[str, float]:
    """From which score on each action is told, by name: that from which four in five are right, where
    `avtool eval evad` measured it and its results lie beside the weights; else nothing is known."""
    results = run.scores_folder(weights)
    return read_sure(results) if (results / "classes.csv").exists() else {}


def actions(found: Detections, people: list[Track], least: Mapping[str, float]) -> list[Action]:
    """What `people` do by EVAD, each second's actions lasting half a second either way and no longer than the shot.

    An action is told from its score in `least` on (see least_of), else from LEAST. A detection that overlaps no track
    enough tells nothing.
    """
    looks = looks_of(people)
    within = {shot.index: shot.span for shot in found.shots}
    seen: dict[tuple[int, int, str, int | None], list[tuple[Span, float]]] = defaultdict(list)
    for one in found.people:
        here = [
            (track, box)
            for track in people
            if track.shot == one.shot
            for box, _ in at(track, one.time, looks[track.shot])
        ]
        track = whose(one, here)
        if track is None:
            continue
        span = Span(one.time - HALF, one.time + HALF).clip(within[one.shot])
        for label, score in found.doing(one, 0).items():
            if score < least.get(label, LEAST):
                continue
            others = [other.id for other, _ in here if other.id != track.id]
            if label in VERBS:
                seen[track.id, one.shot, VERBS[label], None].append((span or track.span, score))
            elif label in TOGETHER and len(others) == 1:
                seen[track.id, one.shot, TOGETHER[label], others[0]].append((span or track.span, score))
    done = [
        Action(track, shot, verb, span, _mean(told, span), other=other)
        for (track, shot, verb, other), told in seen.items()
        for span in merge(span for span, _ in told)
    ]
    return sorted(done, key=lambda action: (action.span, action.track, action.verb))


def whose(one: Person, here: list[tuple[Track, tuple[float, float, float, float]]]) -> Track | None:
    """The track whose box at this time a detection overlaps most, where that is enough."""
    if not here:
        return None
    shares = overlap(np.array([one.box]), np.array([box for _, box in here]))[0]
    best = int(shares.argmax())
    return here[best][0] if shares[best] >= SAME else None


def _mean(told: list[tuple[Span, float]], span: Span) -> float:
    scores = [score for part, score in told if part.overlap(span)]
    return sum(scores) / len(scores)
