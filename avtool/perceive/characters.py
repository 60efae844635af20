"""Who of the cast a person is: the faces of every track against the portraits of the cast bank.

A track is named by the median of its faces' distances to a character's nearest portrait, so that most of its
faces must agree and a turned head does no harm. The distance becomes the probability that the track shows the
character by a logistic curve fitted to real faces (bench/faces.py):

- genuine: one singer in 38 shots of a 160x90 music video, 88 faces 18 to 49 pixels wide, in and out of
  sunglasses; three photographs of one man, also made 22 to 70 pixels wide, turned, relit, mirrored, compressed;
- impostors: these, a man talking in a car, a man in the street and two more portraits, against each other; the
  curve is fitted to the hard ones among them, pale men in poor pictures.

Of 2601 genuine and 5619 impostor comparisons as many err on either side (14 %) at a distance of 0.665. A film is
full of strangers: for each person who is a given character five are taken not to be, and tracks with few faces
are doubted. Named from 0.75 on are then all tracks whose faces are 70 pixels wide, 75 % at 45, 12 % at 30, none
at 22, and 35 % of the singer's with two faces or more, his portraits being as small; of the impostors 0.2 %, all
of them faces of 30 pixels and less against such a portrait, and none of the 1359 hard ones. Of what gets 0.75 to
0.9, 95 % is right: where the curve errs, it is too careful. dlib's own threshold is 0.6 for pairs of photographs
(99.4 % right on Labeled Faces in the Wild).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avtool.errors import UsageError
from avtool.perceive import descriptor, faces
from avtool.timeline import Sighting, Track

if TYPE_CHECKING:
    from avtool.cast import Cast
    from avtool.perceive.people import Crowd
    from avtool.settings import Settings

STEEPNESS = 31.7  # of the fitted curve
EVEN = 0.652  # the distance at which it finds both equally likely
STRANGERS = 5  # comparisons with a stranger for one with the character
DOUBT = 0.05  # added to the distance of a track with one face, half of it with two, and so on
PORTRAIT = 960  # pixels: a larger portrait is made this large before faces are looked for


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """The cast's faces: row k of `descriptors`, float32 (portraits, 128), is of the character `names[k]`."""

    names: tuple[str, ...]
    descriptors: np.ndarray


def bank(cast: Cast) -> Bank:
    """The descriptors of every portrait, each averaged with that of its mirror image.

    Averaging brings two photographs of one person 3 to 9 % nearer and leaves strangers where they are. Raises
    UsageError for an image that is no picture, or shows no face, or more than one.
    """
    portraits = [(member.name, image) for member in cast.cast for image in member.images]
    return Bank(
        names=tuple(name for name, _ in portraits),
        descriptors=np.array([_describe(name, image) for name, image in portraits]).reshape(-1, 128),
    )


def unread(crowd: Crowd) -> list[Sighting]:
    """Every person track as that of somebody whose face was not looked at."""
    return [Sighting(track.id, track.shot, track.span, None, 0.0) for track in crowd.people]


def recognise(crowd: Crowd, bank: Bank, settings: Settings) -> list[Sighting]:
    """Who every person track is; a stranger, or somebody whose face was not read, has no name.

    A name is given from `settings.name_confidence` on, where it leads the second by `settings.name_margin` and no
    other track bears it at the same time for which more speaks: the log odds of its faces together.
    """
    people = crowd.people
    names = list(dict.fromkeys(bank.names))
    read = [described(crowd, track) for track in people]
    chances = np.zeros((len(people), len(names)))
    for number, (track, rows) in enumerate(zip(people, read, strict=True)):
        if names and len(rows):
            chances[number] = chances_of(crowd.faces[track.id].descriptors[rows], bank, names)
    sightings: dict[int, Sighting] = {}
    bearers: dict[tuple[int, str | None], list[Track]] = defaultdict(list)  # of a name in a shot
    best = chances.max(1, initial=0).clip(1e-9, 1 - 1e-9)
    weight = np.log(best / (1 - best)) * [len(rows) for rows in read]
    for number in np.argsort(-weight, kind="stable").tolist():
        track, chance = people[number], chances[number]
        ranking = sorted(zip(chance.tolist(), names, strict=True), reverse=True)
        first, second, *_ = (*ranking, (0.0, None), (0.0, None))
        rivals = bearers[track.shot, first[1]]
        named = (
            first[0] >= settings.name_confidence
            and first[0] - second[0] >= settings.name_margin
            and not any(together(track, other) for other in rivals)
        )
        if named:
            rivals.append(track)
        else:
            first, second = (0.0, None), first
        sightings[track.id] = Sighting(
            track=track.id,
            shot=track.shot,
            span=track.span,
            name=first[1],
            confidence=first[0],
            second=second[1] if second[0] else None,
            second_confidence=second[0],
            faces=len(read[number]),
        )
    return [sightings[track.id] for track in people]


def described(crowd: Crowd, track: Track) -> np.ndarray:
    """Which rows of the track's faces have a descriptor and lie in the track's own box."""
    rows = crowd.faces.get(track.id)
    if rows is None:
        return np.zeros(0, np.int64)
    boxes = dict(zip(track.times, track.boxes, strict=True))
    found = []
    for row in np.flatnonzero(np.isfinite(rows.descriptors[:, 0])).tolist():
        x0, y0, x1, y1 = boxes.get(int(rows.times[row]), (0, 0, 1, 1))
        x, y = (rows.boxes[row, :2] + rows.boxes[row, 2:]) / 2
        if x0 <= x <= x1 and y0 <= y <= y1:
            found.append(row)
    return np.array(found, np.int64)


def together(one: Track, other: Track) -> bool:
    """Whether two tracks are seen in one picture, and so cannot be the same person."""
    return one.shot == other.shot and not set(one.times).isdisjoint(other.times)


def chances_of(descriptors: np.ndarray, bank: Bank, names: list[str]) -> np.ndarray:
    """The probability (names,) that a track with `descriptors` (n, 128), n > 0, shows each character."""
    distances = np.linalg.norm(descriptors[:, None] - bank.descriptors[None], axis=2)
    owners = np.array(bank.names)
    nearest = np.stack([distances[:, owners == name].min(1) for name in names], axis=1)
    distance = np.median(nearest, axis=0) + DOUBT / len(descriptors)
    return 1 / (1 + STRANGERS * np.exp(STEEPNESS * (distance - EVEN)))


def _describe(name: str, image: Path) -> np.ndarray:
    """The descriptor of the one face of a portrait."""
    chips = faces.chips(read_portrait(name, image))
    if len(chips) != 1:
        told = "no face" if not chips else f"{len(chips)} faces"
        todo = "take a picture that shows it larger and from the front" if not chips else "crop it to one"
        raise UsageError(f"portrait {image} of {name} shows {told}; {todo}")
    (chip,) = chips
    return (descriptor.describe(chip) + descriptor.describe(np.ascontiguousarray(chip[:, ::-1]))) / 2


def read_portrait(name: str, image: Path) -> np.ndarray:
    """A character's portrait upright, RGB uint8, at most PORTRAIT pixels long. Raises UsageError."""
    from PIL import Image, ImageOps

    try:
        with Image.open(image) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as fault:
        raise UsageError(f"portrait {image} of {name} cannot be read as a picture: {fault}") from fault
    picture.thumbnail((PORTRAIT, PORTRAIT))
    return np.asarray(picture)
