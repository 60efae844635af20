"""Toy videos with sound: a wheel turns, and whirrs as high as it is fast."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from avmodels.data.toy_actions import SIDE, X264

FRAMES, RATE = 64, 16
SAMPLE_RATE = 16000
SPOKES, WIDE = 3, 8
# Rounds a second, and the pitch in hertz of one round a second.
SLOWEST, FASTEST = 0.15, 0.6
PITCH, OVERTONES = 400, 8


def make(folder: Path, train: int, held_out: int) -> None:
    """Videos of 4 s in `train/` and `val/`, listed in train.csv and val.csv.

    Only the rate is shared: colours, places, sizes, directions, timbres, loudness and hiss vary freely.
    """
    for part, (name, count) in enumerate((("train", train), ("val", held_out))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        paths = [f"{name}/{number:05}.mp4" for number in range(count)]
        for number, path in enumerate(paths):
            draw = np.random.default_rng([part, number])
            rate = math.exp(draw.uniform(math.log(SLOWEST), math.log(FASTEST)))
            write(folder / path, motion(rate, draw), whirr(rate, draw))
        (folder / f"{name}.csv").write_text("".join(f"{line}\n" for line in ("path", *paths)))


def motion(rate: float, draw: np.random.Generator) -> np.ndarray:
    """A wheel of three spokes that turns, `rate` rounds a second: (FRAMES, SIDE, SIDE, 3) uint8."""
    back = np.full((SIDE, SIDE, 3), draw.uniform(0, 40, 3), np.uint8)
    colour = draw.integers(200, 256, 3).tolist()
    centre, radius = SIDE / 2 + draw.uniform(-5, 5, 2), draw.uniform(22, 26)
    begin, way = draw.uniform(0, 2 * np.pi), draw.choice([-1, 1])
    frames = np.repeat(back[None], FRAMES, axis=0)
    for number, frame in enumerate(frames):
        for spoke in range(SPOKES):
            angle = begin + 2 * np.pi * (way * rate * number / RATE + spoke / SPOKES)
            rim = centre + radius * np.array([np.cos(angle), np.sin(angle)])
            ends = [(place * 16).round().astype(int).tolist() for place in (centre, rim)]
            cv2.line(frame, ends[0], ends[1], colour, WIDE, cv2.LINE_AA, shift=4)
    return frames


def whirr(rate: float, draw: np.random.Generator) -> np.ndarray:
    """A tone with overtones, `rate` times PITCH high, in some hiss: (n,) float32."""
    time = np.arange(FRAMES * SAMPLE_RATE // RATE) / SAMPLE_RATE
    phases = 2 * np.pi * PITCH * rate * np.outer(np.arange(1, OVERTONES + 1), time)
    strengths = draw.uniform(0.3, 1, OVERTONES)
    tone = strengths @ np.sin(phases + draw.uniform(0, 2 * np.pi, (OVERTONES, 1)))
    hiss = draw.uniform(0.001, 0.02) * draw.standard_normal(len(time))
    return (draw.uniform(0.1, 0.6) * (tone / np.abs(tone).max() + hiss)).astype(np.float32)


def write(path: Path, frames: np.ndarray, wave: np.ndarray) -> None:
    """Encodes frames (T, H, W, 3) uint8 at RATE a second as H.264, and the wave (n,) as AAC."""
    with av.open(str(path), "w") as file:
        picture = file.add_stream("libx264", rate=Fraction(RATE), options=X264)
        picture.height, picture.width, picture.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        sound = file.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for frame in frames:
            # As in toy_actions: this conversion rounds alike wherever the frame lies.
            planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420)
            file.mux(picture.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        file.mux(picture.encode())
        samples = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        samples.rate = SAMPLE_RATE
        file.mux(sound.encode(samples))
        file.mux(sound.encode())
