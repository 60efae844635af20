"""Toy videos of shapes that do things, and the lists of VideoMAE V2."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

# What the shape of a toy video does; the number is the label.
ACTIONS = ("moves right", "moves left", "moves down", "moves up", "grows", "shrinks", "turns", "blinks")
SIDE, LENGTH, RATE = 64, 24, 12

# The same file every time and everywhere: x264's fast paths else round by processor and place in memory.
X264 = {"crf": "18", "x264-params": "cpu-independent=1:threads=1"}


def make(folder: Path, train: int, held_out: int) -> None:
    """Videos of one shape before a still texture, labelled by what it does.

    `train.csv` and `val.csv` are fine-tuning lists, those in `unlabelled/` pre-training lists of the same
    videos. Colours, shapes, places, speeds and textures vary freely: only the motion tells the label.
    """
    (folder / "unlabelled").mkdir(parents=True, exist_ok=True)
    for part, (name, count) in enumerate((("train", train), ("val", held_out))):
        (folder / name).mkdir(exist_ok=True)
        labelled, unlabelled = [], []
        for number in range(count):
            label = number % len(ACTIONS)
            path = f"{name}/{number:05}.mp4"
            write_video(folder / path, action(label, np.random.default_rng([part, number])))
            labelled.append(f"{path} {label}\n")
            unlabelled.append(f"../{path} 0 -1\n")
        (folder / f"{name}.csv").write_text("".join(labelled))
        (folder / "unlabelled" / f"{name}.csv").write_text("".join(unlabelled))


def action(label: int, draw: np.random.Generator) -> np.ndarray:
    """A video (LENGTH, SIDE, SIDE, 3), uint8, of a shape doing ACTIONS[label]."""
    back = texture(draw)
    colour = contrast(back, draw)
    corners = int(draw.integers(3, 7))
    phase, size = draw.uniform(0, 2 * np.pi), draw.uniform(9, 13)
    centre = draw.uniform(26, 38, 2)
    distance = draw.uniform(26, 36)
    frames = []
    for time in np.linspace(-0.5, 0.5, LENGTH):
        place, radius, angle, shown = centre.copy(), size, phase, True
        match ACTIONS[label]:
            case "moves right":
                place[0] += distance * time
            case "moves left":
                place[0] -= distance * time
            case "moves down":
                place[1] += distance * time
            case "moves up":
                place[1] -= distance * time
            case "grows":
                radius *= 1 + 1.2 * time
            case "shrinks":
                radius *= 1 - 1.2 * time
            case "turns":
                angle += 2 * np.pi * time
            case "blinks":
                shown = int((time + 0.5) * 8) % 2 == 0
        frame = back.copy()
        if shown:
            turns = angle + 2 * np.pi * np.arange(corners) / corners
            outline = place + radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)
            cv2.fillPoly(frame, [(outline * 16).round().astype(np.int32)], colour, cv2.LINE_AA, shift=4)
        frames.append(frame)
    return np.stack(frames)


def texture(draw: np.random.Generator) -> np.ndarray:
    """A still background (SIDE, SIDE, 3) that runs softly from colour to colour."""
    coarse = (draw.uniform(0, 200, 3) + draw.uniform(-25, 25, (2, 2, 3))).astype(np.float32)
    return cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR).clip(0, 255).astype(np.uint8)


def contrast(back: np.ndarray, draw: np.random.Generator) -> tuple[int, int, int]:
    """A bright colour that stands out from a background."""
    colour = draw.integers(0, 90, 3)
    colour[draw.integers(3)] = 255
    colour[np.argmin(back.mean((0, 1)))] = 230
    red, green, blue = (int(value) for value in colour)
    return red, green, blue


def write_video(path: Path, frames: np.ndarray, rate: int = RATE) -> None:
    """Encodes frames (T, H, W, 3) uint8 as H.264 at `rate` frames a second."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(rate), options=X264)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames:
            # ffmpeg's own conversion rounds by where in memory the frame lies; this one is always the same.
            planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        file.mux(stream.encode())
