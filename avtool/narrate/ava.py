"""AVA's actions as the narration tells them: present-tense English, of the people the film's own senses follow."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from avtool.detect import Detections, Person, at
from avtool.perceive.tracks import overlap
from avtool.timeline import SECOND, Action, Shot, Span, Track, merge

# By the name of the action; what is missing is not told: it says too little, or what other senses say better
# (who speaks, listens and stands, which the ear and the body tell), or AVA has hardly any of it.
VERBS = {
    "bend/bow (at the waist)": "bends down",
    "crouch/kneel": "crouches",
    "dance": "dances",
    "fall down": "falls down",
    "get up": "gets up",
    "jump/leap": "jumps",
    "lie/sleep": "lies down",
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
}
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
# Least score that is told. EVAD's scores are not probabilities: `avtool eval evad` tells, class by class, from
# which score on four in five are right.
LEAST = 0.8
SAME = 0.5  # least overlap of EVAD's box with that of the track it speaks of
HALF = SECOND // 2


def actions(found: Detections, people: list[Track], shots: list[Shot], least: float = LEAST) -> list[Action]:
    """What `people` do by EVAD, each second's actions lasting half a second either way and no longer than the shot.

    A detection that overlaps no track enough tells nothing.
    """
    within = {shot.index: shot.span for shot in shots}
    seen: dict[tuple[int, int, str, int | None], list[tuple[Span, float]]] = defaultdict(list)
    for one in found.people:
        here = [(track, box) for track in people if track.shot == one.shot for box, _ in at(track, one.time)]
        track = whose(one, here)
        if track is None:
            continue
        span = Span(one.time - HALF, one.time + HALF).clip(within[one.shot])
        for label, score in found.doing(one, least).items():
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
