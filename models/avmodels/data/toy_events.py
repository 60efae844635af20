"""Toy videos with sound: a belt of stripes runs by, and hums as high as it is fast."""

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
# Stripes that pass a second: the least and the most in training, and in the held-out part.
TRAIN_RATES, HELD_OUT_RATES = (0.5, 1.0), (0.5, 4.0)
# The pitch in hertz of one stripe a second.
PITCH, OVERTONES = 400, 4


def make(folder: Path, train: int, held_out: int) -> None:
    """Videos of 4 s in `train/` and `val/`, listed in train.csv and val.csv.

    Only the rate is shared: colours, directions, widths, timbres, loudness and hiss vary freely. Held-out belts run
    up to four times as fast as any to train on does by itself.
    """
    parts = ("train", train, TRAIN_RATES), ("val", held_out, HELD_OUT_RATES)
    for part, (name, count, (slowest, fastest)) in enumerate(parts):
        (folder / name).mkdir(parents=True, exist_ok=True)
        paths = [f"{name}/{number:05}.mp4" for number in range(count)]
        for number, path in enumerate(paths):
            draw = np.random.default_rng([part, number])
            rate = math.exp(draw.uniform(math.log(slowest), math.log(fastest)))
            write(folder / path, motion(rate, draw), hum(rate, draw))
        (folder / f"{name}.csv").write_text("".join(f"{line}\n" for line in ("path", *paths)))


def motion(rate: float, draw: np.random.Generator) -> np.ndarray:
    """Soft stripes, `rate` of them passing by a second: (FRAMES, SIDE, SIDE, 3) uint8."""
    across, down = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    way, wide = draw.uniform(0, 2 * np.pi), SIDE / draw.uniform(1.8, 2.2)
    place = (np.cos(way) * across + np.sin(way) * down) / wide + draw.uniform()
    time = np.arange(FRAMES)[:, None, None] / RATE
    stripes = np.sin(2 * np.pi * (place - rate * time))[..., None]
    return (draw.uniform(88, 168, 3) + 80 * stripes).clip(0, 255).astype(np.uint8)


def hum(rate: float, draw: np.random.Generator) -> np.ndarray:
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
