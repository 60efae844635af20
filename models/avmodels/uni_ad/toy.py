"""Toy films with audio description, in the form of MAD: figures of different colours who do something somewhere.

A film has a cast whose names are drawn anew: only a figure's exemplar says who it is. What is done shows in how the
figure moves, where in the ground; another of the cast may stand at the edge, doing nothing, and is not described.
That somebody comes after another, or acts again, only the clip before can tell. Frames' features are their pixels,
coarsely; exemplars are found in the film from portraits, as AutoAD II finds them.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import cv2
import h5py
import imageio_ffmpeg
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

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
    "on the grass": (70, 130, 70),
    "in the snow": (200, 200, 210),
    "on the sand": (190, 165, 110),
    "at night": (60, 60, 100),
}
FIGURES = ((230, 40, 40), (40, 80, 240), (240, 220, 30), (230, 60, 220), (20, 220, 220), (30, 220, 40))
# How many a cast has, how often the same one acts again, somebody stands by, and a candidate is a mistake.
CAST, AGAIN, BYSTANDER, MISTAKEN = 4, 0.3, 0.7, 0.3
# Clips in which everybody acts at least, and frames that make an exemplar.
EXEMPLARS = 2
# Corners of the picture, where one stands by.
CORNERS = ((8, 8), (40, 8), (8, 40), (40, 40))
# Lines of dialogue before a description.
LINES = ("Where is {}?", "Have you seen {}?", "{} is here.", "Wait for {}.")
SIDE, FPS, SECONDS, APART = 12, 5, 3, 10
WIDTH = SIDE * SIDE * 3


def make(folder: Path, train: int, held_out: int) -> None:
    """Writes films with at least so many descriptions to learn and so many held out, of other films.

    train.json, eval.json, features.h5, exemplars.safetensors and tokenizer.json, as avmodels.uni_ad.data reads
    them; films/ has the held-out films themselves, each with its dialogue and the portraits of its cast.
    """
    folder.mkdir(parents=True, exist_ok=True)
    learned: list[dict[str, object]] = []
    judged: dict[str, list[dict[str, object]]] = {}
    faces: dict[str, torch.Tensor] = {}
    with h5py.File(folder / "features.h5", "w") as file:
        for part, (name, count) in enumerate((("train", train), ("eval", held_out))):
            for number in range(-(-count // APART)):
                draw, film = np.random.default_rng([part, number]), f"{name}{number:04}"
                records, frames, portraits = shoot(draw)
                file[film] = features = feature(frames)
                for id, portrait in portraits.items():
                    found = exemplar_frames(features, feature(portrait[None])[0], EXEMPLARS, SECONDS * FPS)
                    faces[f"{film}_{id}"] = torch.from_numpy(exemplar(features, found))[None]
                if part:
                    judged[film] = records
                    show(folder / "films", film, records, frames, portraits)
                else:
                    learned += [record | {"movie_id": film} for record in records]
    save_file(faces, folder / "exemplars.safetensors")
    (folder / "train.json").write_text(json.dumps(learned))
    (folder / "eval.json").write_text(json.dumps(judged))
    tokenizer([*(str(record["ad"]) for record in learned), *NAMES]).save(str(folder / "tokenizer.json"))


def shoot(
    draw: np.random.Generator,
) -> tuple[list[dict[str, object]], np.ndarray, dict[str, np.ndarray]]:
    """One film: its records but the first, whose clip has none before it; its frames (n, 4 SIDE, 4 SIDE, 3); a
    portrait of each of the cast by their id.

    A record's `char` is the whole cast, `char_pred` who is to be seen in the clip or the one before,
    `ad_chars_in_chars` who is named, and `prob` the named beside some that a refinement left in by mistake.
    """
    names = draw.choice(NAMES, CAST, replace=False).tolist()
    colours = draw.choice(len(FIGURES), CAST, replace=False).tolist()
    cast = [
        {"id": f"nm{colour:07}", "name": f"Actor {name}", "role": name}
        for name, colour in zip(names, colours, strict=True)
    ]
    clips, records, seen_before = [], [], set()
    before, *order = turns(draw)
    for number, who in enumerate(order):
        doing, place = (int(draw.integers(count)) for count in (len(DOINGS), len(PLACES)))
        others = [one for one in range(CAST) if one != who]
        bystander = int(draw.choice(others)) if draw.random() < BYSTANDER else None
        clips.append(
            picture(
                FIGURES[colours[who]],
                list(DOINGS.values())[doing],
                list(PLACES.values())[place],
                draw,
                None if bystander is None else FIGURES[colours[bystander]],
            )
        )
        told = f"{names[who]} {list(DOINGS)[doing]} {list(PLACES)[place]}"
        text = f"{told} again." if who == before else f"{told} after {names[before]}."
        named, seen = {who, before}, {who} if bystander is None else {who, bystander}
        left_in = {one for one in range(CAST) if draw.random() < MISTAKEN} | named
        people = {
            key: [cast[one] for one in draw.permutation(CAST).tolist() if one in kept]
            for key, kept in (
                ("char", set(range(CAST))),
                ("char_pred", seen | seen_before),
                ("ad_chars", named),
                ("ad_chars_in_chars", named),
                ("prob", left_in),
            )
        }
        start = number * SECONDS
        # The last frame of a window is inclusive: it stops a frame short of the next clip's first second.
        records.append({"start": str(start), "end": str(start + SECONDS - 1), "ad": text, **people})
        before, seen_before = who, seen
    portraits = {
        person["id"]: picture(FIGURES[colour], (0, 0, 0), (128, 128, 128), draw)[0]
        for person, colour in zip(cast, colours, strict=True)
    }
    described = [after | {"context": [one]} for one, after in pairwise(records)]
    return described, np.concatenate(clips), portraits


def turns(draw: np.random.Generator) -> list[int]:
    """Who acts in each clip of a film, after somebody before its first; everybody often enough for an exemplar."""
    while True:
        order = [int(draw.integers(CAST))]
        for _ in range(APART + 1):
            again = draw.random() < AGAIN
            others = [one for one in range(CAST) if one != order[-1]]
            order.append(order[-1] if again else int(draw.choice(others)))
        if all(order[1:].count(one) >= EXEMPLARS for one in range(CAST)):
            return order


def show(
    folder: Path,
    film: str,
    records: list[dict[str, object]],
    frames: np.ndarray,
    portraits: dict[str, np.ndarray],
) -> None:
    """Writes a film as it can be watched: FILM.mp4, FILM.srt with its dialogue, and its cast in FILM/."""
    place, scale = folder / film, 5
    place.mkdir(parents=True, exist_ok=True)
    large = frames.repeat(scale, 1).repeat(scale, 2)
    writer = imageio_ffmpeg.write_frames(
        str(folder / f"{film}.mp4"), large.shape[2:0:-1], fps=FPS, quality=8, macro_block_size=16
    )
    writer.send(None)
    for frame in large:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
    people: dict[str, str] = {one["id"]: one["role"] for one in records[0]["char"]}  # type: ignore[index,union-attr]
    cast = [{"name": name, "images": [f"{id}.png"]} for id, name in people.items()]
    (place / "cast.json").write_text(json.dumps({"cast": cast}))
    for id, portrait in portraits.items():
        cv2.imwrite(str(place / f"{id}.png"), portrait.repeat(scale, 0).repeat(scale, 1)[..., ::-1])
    cues = []
    for number, record in enumerate(records, 1):
        start, line = int(str(record["start"])), LINES[number % len(LINES)]
        name = str(record["ad"]).split()[0]
        cues.append(f"{number}\n00:00:{start:02},000 --> 00:00:{start:02},900\n{line.format(name)}\n")
    (folder / f"{film}.srt").write_text("\n".join(cues))


def picture(
    colour: tuple[int, int, int],
    steps: tuple[int, int, int],
    ground: tuple[int, int, int],
    draw: np.random.Generator,
    bystander: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """A clip (SECONDS * FPS, 4 SIDE, 4 SIDE, 3) of a figure on a ground, with a still one at the edge; all differ a
    little from clip to clip."""
    back = np.clip(np.array(ground) + draw.integers(-12, 13, 3), 0, 255).astype(np.uint8)
    centre, size = draw.uniform(20, 28, 2), draw.uniform(8, 10)
    corner = CORNERS[int(draw.integers(len(CORNERS)))]
    frames = []
    for time in np.linspace(-1, 1, SECONDS * FPS):
        frame = np.tile(back, (4 * SIDE, 4 * SIDE, 1))
        if bystander is not None:
            cv2.circle(frame, corner, 6, bystander, -1, cv2.LINE_AA)
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
    # A name is the same token in a prompt and in a description, whatever stands behind it.
    words = pre_tokenizers.Split("▁", "merged_with_next")
    made.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.Punctuation()])
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
