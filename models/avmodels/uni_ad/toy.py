"""Toy films with audio description, in the form of MAD: figures of different colours who do something somewhere.

A film has a cast whose names are drawn anew: only a figure's exemplar says who it is. What is done shows in how the
figure moves, and where in the ground. Frames' features are their pixels, coarsely; exemplars are found in the film
from portraits, as AutoAD II finds them.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import cv2
import h5py
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, trainers

from avmodels.uni_ad.characters import exemplar, exemplar_frames
from avmodels.uni_ad.frames import squeezed

NAMES = ("Marta", "Joren", "Ines", "Dale", "Nell", "Quill", "Odell", "Bram", "Ada", "Tove", "Ivo", "Rhea")
# What a figure does, as its steps right, down and in size over the clip.
DOINGS = {
    "walks to the right": (1, 0, 0),
    "walks to the left": (-1, 0, 0),
    "climbs up": (0, -1, 0),
    "climbs down": (0, 1, 0),
    "comes nearer": (0, 0, 1),
    "moves away": (0, 0, -1),
}
# Grounds and their colours.
PLACES = {
    "on the grass": (40, 110, 40),
    "in the snow": (225, 225, 235),
    "on the sand": (200, 175, 110),
    "at night": (15, 15, 45),
}
FIGURES = ((230, 40, 40), (40, 80, 240), (240, 220, 30), (230, 60, 220), (20, 220, 220), (250, 130, 20))
CAST = 3
SIDE, FPS, SECONDS, APART = 12, 5, 3, 10
WIDTH = SIDE * SIDE * 3


def make(folder: Path, train: int, held_out: int) -> None:
    """Writes films with at least so many descriptions to learn and so many held out, of other films.

    train.json, eval.json, features.h5, exemplars.safetensors and tokenizer.json, as avmodels.uni_ad.data reads
    them, and films/ with what the features are of.
    """
    folder.mkdir(parents=True, exist_ok=True)
    learned: list[dict[str, object]] = []
    judged: dict[str, list[dict[str, object]]] = {}
    faces: dict[str, torch.Tensor] = {}
    with h5py.File(folder / "features.h5", "w") as file:
        for part, (name, count) in enumerate((("train", train), ("eval", held_out))):
            for number in range(-(-count // APART)):
                draw, film = np.random.default_rng([part, number]), f"{name}{number:04}"
                records, features, people = shoot(film, draw)
                file[film] = features
                faces |= people
                if part:
                    judged[film] = records
                else:
                    learned += [record | {"movie_id": film} for record in records]
    save_file(faces, folder / "exemplars.safetensors")
    (folder / "train.json").write_text(json.dumps(learned))
    (folder / "eval.json").write_text(json.dumps(judged))
    tokenizer([*(str(record["ad"]) for record in learned), *NAMES]).save(str(folder / "tokenizer.json"))


def shoot(
    film: str, draw: np.random.Generator
) -> tuple[list[dict[str, object]], np.ndarray, dict[str, torch.Tensor]]:
    """One film: its records but the first, whose clip has none before it; its features (frames, WIDTH); exemplars."""
    names = draw.choice(NAMES, CAST, replace=False).tolist()
    colours = draw.choice(len(FIGURES), CAST, replace=False).tolist()
    cast = [
        {"id": f"nm{colour:07}", "name": f"Actor {name}", "role": name}
        for name, colour in zip(names, colours, strict=True)
    ]
    clips, records = [], []
    for number in range(APART + 1):
        who, doing, place = (int(draw.integers(count)) for count in (CAST, len(DOINGS), len(PLACES)))
        clips.append(
            picture(FIGURES[colours[who]], list(DOINGS.values())[doing], list(PLACES.values())[place], draw)
        )
        start = number * SECONDS
        text = f"{names[who]} {list(DOINGS)[doing]} {list(PLACES)[place]}."
        people = {key: [cast[who]] for key in ("char", "ad_chars", "ad_chars_in_chars", "prob")}
        # The last frame of a window is inclusive: it stops a frame short of the next clip's first second.
        records.append({"start": str(start), "end": str(start + SECONDS - 1), "ad": text, **people})
    film_features = feature(np.concatenate(clips))
    people = {}
    for person, colour in zip(cast, colours, strict=True):
        portrait = feature(picture(FIGURES[colour], (0, 0, 0), (128, 128, 128), draw)[:1])[0]
        frames = exemplar_frames(film_features, portrait, count=3, apart=SECONDS * FPS)
        people[f"{film}_{person['id']}"] = torch.from_numpy(exemplar(film_features, frames))[None]
    told = [after | {"context": [before]} for before, after in pairwise(records)]
    return told, film_features, people


def picture(
    colour: tuple[int, int, int],
    steps: tuple[int, int, int],
    ground: tuple[int, int, int],
    draw: np.random.Generator,
) -> np.ndarray:
    """A clip (SECONDS * FPS, 4 SIDE, 4 SIDE, 3) of a figure on a ground; both differ a little from clip to clip."""
    back = np.clip(np.array(ground) + draw.integers(-12, 13, 3), 0, 255).astype(np.uint8)
    centre, size = draw.uniform(20, 28, 2), draw.uniform(8, 10)
    frames = []
    for time in np.linspace(-1, 1, SECONDS * FPS):
        frame = np.tile(back, (4 * SIDE, 4 * SIDE, 1))
        place = centre + 11 * time * np.array(steps[:2])
        radius = size * (1 + 0.5 * time * steps[2])
        cv2.circle(
            frame,
            (round(place[0] * 16), round(place[1] * 16)),
            round(radius * 16),
            colour,
            -1,
            cv2.LINE_AA,
            4,
        )
        frames.append(frame)
    return np.stack(frames)


def feature(frames: np.ndarray) -> np.ndarray:
    """Frames (n, height, width, 3) uint8 as their features (n, WIDTH)."""
    return squeezed(frames, SIDE)


def tokenizer(texts: list[str]) -> Tokenizer:
    """A small tokenizer of LLaMA's kind: byte-pair pieces, words with their space, no word unknown."""
    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    prompts = ["Possible characters:", "played by Actor", "Describe ", ":", ";", "."]
    letters = sorted({letter for text in [*texts, *prompts] for letter in text.replace(" ", "▁")})
    trainer = trainers.BpeTrainer(
        vocab_size=256,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=letters,
        show_progress=False,
        max_token_length=9,
    )
    made.train_from_iterator([*texts, *prompts * 50], trainer)
    return made
