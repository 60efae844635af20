"""Toy films of figures that do things, laid out as AVA.

Every second is a scene of its own around its keyframe. In that keyframe all figures look alike whatever they do:
only how they move tells, and of each pair of actions, only which way time runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from pathlib import Path

import cv2
import numpy as np

from avmodels.data.toy_actions import contrast, write_video
from avmodels.evad.data import FIRST_SECOND, FRAME_RATE

# What a figure does; the label is the place here, from 1.
ACTIONS = (
    "walk to the right",
    "walk to the left",
    "raise the arms",
    "lower the arms",
    "get up",
    "crouch down",
)
HIGH, WIDE = 64, 96
# AVA's first keyframe is two seconds into the cut video; a scene begins so many frames before its keyframe.
FIRST_KEYFRAME, LEAD = FIRST_SECOND + 2, 16
# Scenes of one video at most.
SCENES = 40


@dataclass(frozen=True)
class Figure:
    """How a figure looks at its keyframe, and what it does: where its feet are, its height standing (pixels), the
    angle of its arms (0: hanging), the share of its height it has (it crouches), the spread of its legs, how
    much of its action it does in a second (1: usual)."""

    action: str
    x: float
    feet: float
    height: float
    arms: float
    upright: float
    spread: float
    pace: float
    colour: tuple[int, int, int]

    def draw(self, frame: np.ndarray, time: float, colour: tuple[int, ...] | None = None) -> None:
        """Draws it into a frame `time` seconds after its keyframe."""
        x, arms, upright, spread = self.x, self.arms, self.upright, self.spread
        moved = self.pace * time
        match self.action:
            case "walk to the right":
                x, spread = x + 44 * moved, spread * np.cos(2 * pi * moved)
            case "walk to the left":
                x, spread = x - 44 * moved, spread * np.cos(2 * pi * moved)
            case "raise the arms":
                arms += 0.8 * pi * moved
            case "lower the arms":
                arms -= 0.8 * pi * moved
            case "get up":
                upright += 0.6 * moved
            case "crouch down":
                upright -= 0.6 * moved
        tall = self.height * upright
        thick = max(round(self.height / 8), 2)
        hip, neck, head = (self.feet - share * tall for share in (0.42, 0.74, 0.88))
        reach = 0.34 * self.height
        bent = 0.3 * self.height * max(1 - upright, 0)
        lines = [[(x, hip), (x, neck)]]
        for side in (-1, 1):
            foot = (x + side * spread * self.height, self.feet)
            knee = (x + side * (0.5 * spread * self.height + bent), (hip + self.feet) / 2)
            hand = (x + side * reach * np.sin(arms), neck + reach * np.cos(arms))
            lines += [[(x, hip), knee, foot], [(x, neck), hand]]
        ink = colour or self.colour
        for line in lines:
            points = (np.array(line) * 16).round().astype(np.int32)
            cv2.polylines(frame, [points], False, ink, thick, cv2.LINE_AA, shift=4)
        centre = (round(x * 16), round(head * 16))
        cv2.circle(frame, centre, round(0.11 * self.height * 16), ink, cv2.FILLED, cv2.LINE_AA, shift=4)

    def box(self) -> np.ndarray:
        """What it covers of its keyframe, (4,), x1 y1 x2 y2 as shares of the picture."""
        mask = np.zeros((HIGH, WIDE), np.uint8)
        self.draw(mask, 0.0, (255,))
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        corners = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return np.array(corners) / (WIDE, HIGH, WIDE, HIGH)


def make(folder: Path, train: int, held_out: int) -> None:
    """A data set of `train` and `held_out` keyframes, with the videos its frames were taken from in `videos/`."""
    for name in ("annotations", "frame_lists", "videos"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for part, (split, count) in enumerate((("train", train), ("val", held_out))):
        rows, frames = [], ["original_vido_id video_id frame_id path labels"]
        for number, first in enumerate(range(0, count, SCENES)):
            name = f"{split}-{number:02}"
            scenes = [
                scene(np.random.default_rng([part, n])) for n in range(first, min(first + SCENES, count))
            ]
            pictures = film(scenes)
            write_video(folder / "videos" / f"{name}.mp4", pictures, FRAME_RATE)
            frames += write_frames(folder / "frames" / name, pictures, number)
            rows += truth(name, scenes)
        (folder / f"annotations/ava_{split}_v2.2.csv").write_text("".join(f"{row}\n" for row in rows))
        (folder / f"frame_lists/{split}.csv").write_text("".join(f"{line}\n" for line in frames))
    (folder / "annotations/ava_val_excluded_timestamps_v2.2.csv").write_text("")
    labels = "".join(
        f'label {{\n  name: "{name}"\n  id: {n}\n}}\n' for n, name in enumerate(ACTIONS, start=1)
    )
    (folder / "annotations/ava_action_list_v2.2_toy.pbtxt").write_text(labels)


Scene = tuple[np.ndarray, list[Figure]]


def scene(draw: np.random.Generator) -> Scene:
    """A background (HIGH, WIDE, 3) and one or two figures before it."""
    back = background(draw)
    count = int(draw.integers(1, 3))
    left = draw.uniform(0.28, 0.72) if count == 1 else 0.24
    places = [left, 1 - left][:count]
    return back, [figure(place + draw.uniform(-0.03, 0.03), back, draw) for place in places]


def figure(place: float, back: np.ndarray, draw: np.random.Generator) -> Figure:
    """A figure at a share of the width."""
    return Figure(
        action=ACTIONS[draw.integers(len(ACTIONS))],
        x=place * WIDE,
        feet=draw.uniform(56, 62),
        height=draw.uniform(44, 54),
        arms=draw.uniform(0.35, 0.65) * pi,
        upright=draw.uniform(0.65, 0.8),
        spread=draw.uniform(0.06, 0.16),
        pace=draw.uniform(0.8, 1.2),
        colour=contrast(back, draw),
    )


def background(draw: np.random.Generator) -> np.ndarray:
    """A dark still picture that runs softly from colour to colour."""
    coarse = (draw.uniform(0, 60, 3) + draw.uniform(-25, 25, (2, 2, 3))).astype(np.float32)
    return cv2.resize(coarse, (WIDE, HIGH), interpolation=cv2.INTER_LINEAR).clip(0, 255).astype(np.uint8)


def film(scenes: list[Scene]) -> np.ndarray:
    """The frames (T, HIGH, WIDE, 3) of a video from second 900 on: nobody is there until the first scene."""
    start = (FIRST_KEYFRAME - FIRST_SECOND) * FRAME_RATE - LEAD
    frames = np.repeat(scenes[0][0][None], start + len(scenes) * FRAME_RATE, axis=0)
    for number, (back, figures) in enumerate(scenes):
        for step in range(FRAME_RATE):
            frame = frames[start + number * FRAME_RATE + step]
            frame[:] = back
            for one in figures:
                one.draw(frame, (step - LEAD) / FRAME_RATE)
    return frames


def write_frames(folder: Path, frames: np.ndarray, number: int) -> list[str]:
    """Writes the pictures of a video; returns their lines of the frame list."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for count, frame in enumerate(frames):
        name = f"{folder.name}_{count + 1:06}.jpg"
        cv2.imwrite(str(folder / name), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        lines.append(f'{folder.name} {number} {count} {folder.name}/{name} ""')
    return lines


def truth(video: str, scenes: list[Scene]) -> list[str]:
    """The rows of AVA's csv for a video."""
    return [
        ",".join([video, f"{second:04}", *(f"{side:.3f}" for side in one.box()), label, str(person)])
        for second, (_, figures) in enumerate(scenes, start=FIRST_KEYFRAME)
        for person, one in enumerate(figures)
        for label in [str(ACTIONS.index(one.action) + 1)]
    ]
