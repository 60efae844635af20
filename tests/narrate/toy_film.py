"""A toy film as a file, its cast file, and a Uni-AD with random weights: nothing is learned, everything is there."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from avmodels import zoo
from avmodels.engine import weights
from avmodels.uni_ad import recipe, toy

NAMES = ("Marta", "Joren", "Ines")
LARGER = 5  # times the toy pictures' side


def film(folder: Path, clips: int = 4) -> Path:
    """A film of so many clips of three seconds, silent: figure n of the cast is in clip n, then from the first on."""
    draw = np.random.default_rng(3)
    deeds, places = list(toy.DOINGS.values()), list(toy.PLACES.values())
    path = folder / "toy.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width = stream.height = 4 * toy.SIDE * LARGER
        stream.pix_fmt = "yuv420p"
        for number in range(clips):
            colour = toy.FIGURES[number % len(NAMES)]
            for frame in toy.picture(colour, deeds[number % 6], places[number % 4], draw):
                for _ in range(25 // toy.FPS):
                    for packet in stream.encode(av.VideoFrame.from_ndarray(enlarged(frame), format="rgb24")):
                        file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)
    return path


def cast(folder: Path) -> Path:
    """The cast file of the film, each with a portrait of the figure."""
    draw = np.random.default_rng(4)
    members = []
    for name, colour in zip(NAMES, toy.FIGURES, strict=False):
        portrait = toy.picture(colour, (0, 0, 0), (128, 128, 128), draw)[0]
        Image.fromarray(enlarged(portrait)).save(folder / f"{name}.png")
        members.append({"name": name, "images": [f"{name}.png"]})
    path = folder / "cast.json"
    path.write_text(json.dumps({"cast": members}))
    return path


def enlarged(frame: np.ndarray) -> np.ndarray:
    return np.kron(frame, np.ones((LARGER, LARGER, 1), np.uint8))


def random_uni_ad(folder: Path) -> Path:
    """Weights of the tiny configuration, as they are before training, and its tokenizer beside them."""
    torch.manual_seed(0)
    config = zoo.load("uni-ad", "tiny")
    path = folder / "model.safetensors"
    weights.write(recipe.build(config).state_dict(), path, recipe.about(config))
    texts = [f"{name} {doing} {place}." for name in toy.NAMES for doing in toy.DOINGS for place in toy.PLACES]
    toy.tokenizer(texts).save(str(folder / "tokenizer.json"))
    return path
