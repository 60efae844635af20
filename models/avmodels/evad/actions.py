"""The names of the actions that a network scores."""

from __future__ import annotations

import json
from pathlib import Path

from avmodels.engine import weights
from avmodels.errors import WeightsError
from avmodels.evad.config import Detection

# AVA's 80 by number; 60 of them are judged, the others hardly occur in training.
AVA = dict(
    enumerate(
        (
            "bend/bow (at the waist)", "crawl", "crouch/kneel", "dance", "fall down", "get up", "jump/leap",
            "lie/sleep", "martial art", "run/jog", "sit", "stand", "swim", "walk", "answer phone", "brush teeth",
            "carry/hold (an object)", "catch (an object)", "chop", "climb (e.g., a mountain)", "clink glass",
            "close (e.g., a door, a box)", "cook", "cut", "dig", "dress/put on clothing", "drink",
            "drive (e.g., a car, a truck)", "eat", "enter", "exit", "extract", "fishing", "hit (an object)",
            "kick (an object)", "lift/pick up", "listen (e.g., to music)", "open (e.g., a window, a car door)",
            "paint", "play board game", "play musical instrument", "play with pets", "point to (an object)",
            "press", "pull (an object)", "push (an object)", "put down", "read",
            "ride (e.g., a bike, a car, a horse)", "row boat", "sail boat", "shoot", "shovel", "smoke", "stir",
            "take a photo", "text on/look at a cellphone", "throw", "touch (an object)",
            "turn (e.g., a screwdriver)", "watch (e.g., TV)", "work on a computer", "write",
            "fight/hit (a person)", "give/serve (an object) to (a person)", "grab (a person)", "hand clap",
            "hand shake", "hand wave", "hug (a person)", "kick (a person)", "kiss (a person)", "lift (a person)",
            "listen to (a person)", "play with kids", "push (another person)",
            "sing to (e.g., self, a person, a group)", "take (an object) from (a person)",
            "talk to (e.g., self, a person, a group)", "watch (a person)",
        ),
        start=1,
    )
)  # fmt: skip
# The numbers that AVA's own evaluation leaves out.
UNJUDGED = {2, 16, 18, 19, 21, 23, 25, 31, 32, 33, 35, 39, 40, 42, 44, 50, 53, 55, 71, 75}


def labels_of(path: Path, config: Detection) -> dict[int, str]:
    """The actions that a weights file may be asked for, name by number from 1: those it says it was trained on,
    else AVA's 60.

    Raises WeightsError where a file of other than AVA's 80 classes does not say.
    """
    said = weights.metadata(path).get("labels")
    if said is not None:
        return {int(number): name for number, name in json.loads(said).items()}
    if config.model.classes != len(AVA):
        raise WeightsError(f"{path} does not say what its {config.model.classes} actions are; train it anew")
    return {number: name for number, name in AVA.items() if number not in UNJUDGED}
