"""Toy videos of a dot that changes, narrated while it does and captioned: all depends on what comes when."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from avmodels.data.toy_actions import write_video

SIDE, RATE = 64, 3
COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 170, 40),
    "blue": (40, 60, 230),
    "yellow": (240, 220, 30),
    "white": (250, 250, 250),
    "black": (10, 10, 10),
    "pink": (250, 120, 200),
    "cyan": (40, 210, 220),
}
# Where the dot is, across and down, in parts of the side.
PLACES = {"left": (0.26, 0.5), "right": (0.74, 0.5), "top": (0.5, 0.26), "bottom": (0.5, 0.74)}
# A dot of a colour in a place.
Scene = tuple[str, str]
SCENES: list[Scene] = [(colour, place) for colour in COLOURS for place in PLACES]

# Seconds of a scene in both kinds of videos, and the scenes of a narrated one, no two of a colour.
SECONDS = 4
NARRATED = 7


def make(folder: Path, train: int, held_out: int) -> None:
    """`train` narrated videos in the form of YT-Temporal and as many captioned ones in that of WebVid, and
    `held_out` of each to judge by.

    A captioned video shows two scenes; the next one the same in the other order, so that who is blind to order
    takes one for the other. Pairs of scenes to judge by are in no caption to learn from.
    """
    pairs = list(combinations(SCENES, 2))
    np.random.default_rng(0).shuffle(pairs)
    for part, (split, count) in enumerate((("train", train), ("val", held_out))):
        narrated, captioned = ["Name"], ["caption\tpath"]
        for number in range(count):
            draw = np.random.default_rng([part, number])
            name = f"{split}/data/{number:05}.mp4"
            narrated.append(name)
            narrate(folder / "videos" / name, draw)
            pair = pairs[-1 - number // 2 % len(pairs)] if part else pairs[number // 2 % len(pairs)]
            caption = show(folder / split / f"{number:05}.mp4", pair[:: -1 if number % 2 else 1], draw)
            captioned.append(f"{caption}\t{number:05}")
        meta = folder / "meta_data"
        meta.mkdir(exist_ok=True)
        (meta / f"yttemporal_{split}.csv").write_text("".join(f"{line}\n" for line in narrated))
        (meta / f"webvid_{split}.tsv").write_text("".join(f"{line}\n" for line in captioned))


def narrate(path: Path, draw: np.random.Generator) -> None:
    """A narrated video, and its annotation in the folder beside that of the videos."""
    colours = draw.permutation(list(COLOURS))[:NARRATED]
    scenes = [(str(colour), str(draw.choice(list(PLACES)))) for colour in colours]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, film(scenes, draw), RATE)
    words, repaired = [], []
    for number, scene in enumerate(scenes):
        said = f"see a {scene[0]} dot {sentence(scene)}".split()
        pace = SECONDS / len(said)
        words += [
            {"word": word, "time": number * SECONDS + (place + 0.5) * pace} for place, word in enumerate(said)
        ]
        repaired.append({"cleanasr": f"{' '.join(said).capitalize()}."})
    annotation = {"info": {"duration": SECONDS * NARRATED}, "subtitles": words, "denoised": repaired}
    beside = path.parent.parent / "annotations" / path.with_suffix(".json").name
    beside.parent.mkdir(exist_ok=True)
    beside.write_text(json.dumps(annotation))


def show(path: Path, scenes: tuple[Scene, ...], draw: np.random.Generator) -> str:
    """A captioned video; returns its caption."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, film(scenes, draw), RATE)
    return ", then ".join(sentence(scene) for scene in scenes)


def sentence(scene: Scene) -> str:
    colour, place = scene
    return f"a {colour} dot at the {place}"


def film(scenes: list[Scene] | tuple[Scene, ...], draw: np.random.Generator) -> np.ndarray:
    """The scenes one after the other before a soft grey, (frames, SIDE, SIDE, 3) uint8.

    Size, exact place, tint and background vary from scene to scene.
    """
    grey = draw.uniform(90, 160) + draw.uniform(-25, 25, (2, 2, 1)).repeat(3, axis=2)
    back = cv2.resize(grey.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    frames = []
    for colour, place in scenes:
        picture = back.clip(0, 255).astype(np.uint8)
        centre = SIDE * (np.array(PLACES[place]) + draw.uniform(-0.04, 0.04, 2))
        tint = (np.array(COLOURS[colour]) + draw.uniform(-12, 12, 3)).clip(0, 255)
        at = [int(value) for value in (centre * 16).round()]
        radius = round(draw.uniform(14, 18) * 16)
        cv2.circle(picture, at, radius, [float(value) for value in tint], -1, cv2.LINE_AA, 4)
        frames += [picture] * (SECONDS * RATE)
    return np.stack(frames)
