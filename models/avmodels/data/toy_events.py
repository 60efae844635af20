"""Toy videos with sound: a body goes round, and hums as high as it is fast."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from avmodels.data.toy_actions import SIDE, X264, contrast, texture

FRAMES, RATE = 64, 16
SAMPLE_RATE = 16000
# Rounds a second, and the pitch in hertz of one round a second.
SLOWEST, FASTEST = 0.25, 1.5
PITCH = 300


def make(folder: Path, train: int, held_out: int) -> None:
    """Videos of 4 s in `train/` and `val/`, listed in train.csv and val.csv.

    Only the rate is shared: colours, shapes, sizes, orbits, directions, timbres, loudness and hiss vary freely.
    """
    for part, (name, count) in enumerate((("train", train), ("val", held_out))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        paths = [f"{name}/{number:05}.mp4" for number in range(count)]
        for number, path in enumerate(paths):
            draw = np.random.default_rng([part, number])
            rate = math.exp(draw.uniform(math.log(SLOWEST), math.log(FASTEST)))
            write(folder / path, motion(rate, draw), hum(rate, draw))
        (folder / f"{name}.csv").write_text("".join(f"{line}\n" for line in ("path", *paths)))


def motion(rate: float, draw: np.random.Generator) -> np.ndarray:
    """A body on its orbit, `rate` rounds a second: (FRAMES, SIDE, SIDE, 3) uint8."""
    back = texture(draw)
    colour = contrast(back, draw)
    size, orbit = draw.uniform(5, 8), draw.uniform(12, 20)
    centre = SIDE / 2 + draw.uniform(-4, 4, 2)
    begin, way = draw.uniform(0, 2 * np.pi), draw.choice([-1, 1])
    corners = 2 * np.pi * np.arange(corner_count := int(draw.integers(3, 8))) / corner_count
    frames = np.repeat(back[None], FRAMES, axis=0)
    for number, frame in enumerate(frames):
        angle = begin + way * 2 * np.pi * rate * number / RATE
        place = centre + orbit * np.array([np.cos(angle), np.sin(angle)])
        outline = place + size * np.stack([np.cos(corners), np.sin(corners)], axis=1)
        cv2.fillPoly(frame, [(outline * 16).round().astype(np.int32)], colour, cv2.LINE_AA, shift=4)
    return frames


def hum(rate: float, draw: np.random.Generator) -> np.ndarray:
    """A tone with overtones that is `rate` times PITCH high, in some hiss: (n,) float32."""
    time = np.arange(FRAMES * SAMPLE_RATE // RATE) / SAMPLE_RATE
    overtones = draw.uniform(0, 1, 4) * [1, 0.5, 0.3, 0.2] + [0.5, 0, 0, 0]
    phases = draw.uniform(0, 2 * np.pi, 4)
    turns = 2 * np.pi * PITCH * rate * time
    tone = sum(
        strength * np.sin(turns * (number + 1) + phase)
        for number, (strength, phase) in enumerate(zip(overtones, phases, strict=True))
    )
    hiss = draw.uniform(0.01, 0.2) * draw.standard_normal(len(time))
    wave = tone / np.abs(tone).max() + hiss
    return (draw.uniform(0.1, 0.6) * wave).astype(np.float32)


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
