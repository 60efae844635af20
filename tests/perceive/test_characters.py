"""Naming people: real portraits, the example film, and the rules that keep a stranger nameless."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avtool import cast as casts
from avtool.errors import UsageError
from avtool.perceive import characters
from avtool.perceive.characters import Bank
from avtool.perceive.tracks import Crowd, Faces
from avtool.settings import Settings
from avtool.timeline import Track

EXAMPLES = Path(__file__).parents[2] / "examples"
MARCUS, ELLEN = EXAMPLES / "cast/marcus.png", EXAMPLES / "cast/ellen.png"


def faces_of(descriptors: np.ndarray, times: list[int]) -> Faces:
    """Faces in the middle of the picture."""
    number = len(times)
    measure = np.full(number, 0.9, np.float32)
    return Faces(
        times=np.array(times),
        boxes=np.tile(np.array([0.4, 0.2, 0.6, 0.5], np.float32), (number, 1)),
        mouth_open=measure,
        mouth_width=measure,
        eye_open=measure,
        smile=measure,
        yaw=measure,
        pitch=measure,
        quality=measure,
        descriptors=descriptors,
    )


def crowd_of(*people: np.ndarray, shot: int = 0, at: tuple[int, ...] = ()) -> Crowd:
    """A crowd with one track a person; `at` shifts their times, so that they are not seen together."""
    tracks, faces = [], {}
    for number, descriptors in enumerate(people):
        times = [1_000_000 * frame + (at[number] if at else 0) for frame in range(len(descriptors))]
        box = (0.3, 0.1, 0.7, 1.0)
        tracks.append(Track(number, shot, "person", tuple(times), (box,) * len(times), (0.9,) * len(times)))
        faces[number] = faces_of(descriptors, times)
    return Crowd(tracks=tracks, bodies={}, faces=faces, things=[])


def away(descriptor: np.ndarray, distance: float, number: int = 1) -> np.ndarray:
    """`number` descriptors at `distance` from `descriptor`, each in a direction of its own."""
    directions = np.random.default_rng(3).standard_normal((number, 128))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return (descriptor + distance * directions).astype(np.float32)


@pytest.fixture(scope="module")
def bank() -> Bank:
    return characters.bank(casts.load(EXAMPLES / "cast.json"))


@pytest.fixture
def recognise(bank: Bank):
    return lambda crowd, **settings: characters.recognise(crowd, bank, Settings(**settings))


def test_the_bank_knows_each_portrait_by_name(bank: Bank) -> None:
    assert bank.names == ("Marcus Hale", "Ellen Ross")
    assert bank.descriptors.shape == (2, 128)
    assert np.linalg.norm(bank.descriptors[0] - bank.descriptors[1]) > 0.7


def test_the_bank_takes_small_turned_and_transparent_portraits(bank: Bank, tmp_path: Path) -> None:
    picture = Image.open(MARCUS)
    small = picture.resize((130, 130))
    small.putalpha(255)
    small.save(tmp_path / "small.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    picture.convert("RGB").rotate(90).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    found = characters.bank(cast(tmp_path, "small.png", "turned.jpg")).descriptors
    assert (np.linalg.norm(found - bank.descriptors[0], axis=1) < 0.35).all()


def cast(folder: Path, *images: str) -> casts.Cast:
    path = folder / "cast.json"
    path.write_text(json.dumps({"cast": [{"name": "Ana", "images": images}]}))
    return casts.load(path)


def no_face(path: Path) -> None:
    Image.new("RGB", (300, 300), "gray").save(path)


def two_faces(path: Path) -> None:
    pair = Image.new("RGB", (1040, 520))
    pair.paste(Image.open(MARCUS), (0, 0))
    pair.paste(Image.open(ELLEN).resize((520, 520)), (520, 0))
    pair.save(path)


def no_picture(path: Path) -> None:
    path.write_text("not a picture")


def half_a_picture(path: Path) -> None:
    path.write_bytes(MARCUS.read_bytes()[:100_000])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (no_face, "shows no face"),
        (two_faces, "shows 2 faces; crop it"),
        (no_picture, "cannot be read as a picture"),
        (half_a_picture, "cannot be read as a picture"),
    ],
)
def test_a_wrong_portrait_is_told_in_one_line(make, told: str, tmp_path: Path) -> None:
    make(tmp_path / "a.png")
    with pytest.raises(UsageError) as caught:
        characters.bank(cast(tmp_path, "a.png"))
    assert told in str(caught.value)
    assert "Ana" in str(caught.value)
    assert "a.png" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_track_is_named_by_most_of_its_faces(bank: Bank, recognise) -> None:
    like, unlike = away(bank.descriptors[0], 0.45, 3), away(bank.descriptors[0], 0.8, 2)
    (named,) = recognise(crowd_of(np.concatenate((unlike, like))))
    assert (named.name, named.faces) == ("Marcus Hale", 5)
    assert named.confidence >= 0.75
    assert named.second == "Ellen Ross"
    assert named.second_confidence < 0.01
    (stranger,) = recognise(crowd_of(np.concatenate((unlike, like[:1]))))
    assert (stranger.name, stranger.confidence, stranger.second) == (None, 0, "Marcus Hale")


def test_one_weak_face_gives_no_name_and_several_do(bank: Bank, recognise) -> None:
    weak = away(bank.descriptors[1], 0.53, 4)
    assert recognise(crowd_of(weak[:1]))[0].name is None
    assert recognise(crowd_of(weak))[0].name == "Ellen Ross"


def test_confidence_falls_with_distance_and_grows_with_faces(bank: Bank, recognise) -> None:
    def confidence(distance: float, number: int) -> float:
        crowd = crowd_of(away(bank.descriptors[0], distance, number))
        return recognise(crowd, name_confidence=1e-9, name_margin=0)[0].confidence

    by_distance = [confidence(distance, 3) for distance in (0.2, 0.4, 0.5, 0.6, 0.7, 0.9)]
    assert by_distance == sorted(by_distance, reverse=True)
    by_number = [confidence(0.55, number) for number in (1, 2, 4, 8)]
    assert by_number == sorted(by_number)


def test_between_two_characters_nobody_is_named() -> None:
    one = away(np.zeros(128), 1.4)[0]
    twins = Bank(("Ana", "Bea"), np.stack((one, away(one, 0.1)[0])))
    (sighting,) = characters.recognise(crowd_of(np.stack((one, one))), twins, Settings())
    assert sighting.name is None
    assert sighting.second == "Ana"


def test_two_people_seen_together_are_not_the_same_character(bank: Bank, recognise) -> None:
    better, worse = away(bank.descriptors[0], 0.3, 4), away(bank.descriptors[0], 0.45, 4)
    names = [sighting.name for sighting in recognise(crowd_of(worse, better))]
    assert names == [None, "Marcus Hale"]
    apart = crowd_of(worse, better, at=(0, 500_000))
    assert [sighting.name for sighting in recognise(apart)] == ["Marcus Hale"] * 2
    cut = crowd_of(worse, better)
    cut = replace(cut, tracks=[cut.tracks[0], replace(cut.tracks[1], shot=1)])
    assert [sighting.name for sighting in recognise(cut)] == ["Marcus Hale"] * 2


def test_a_glimpse_does_not_take_the_name_from_many_faces(bank: Bank, recognise) -> None:
    many, glimpse = away(bank.descriptors[0], 0.5, 5), away(bank.descriptors[0], 0.42, 1)
    assert [sighting.name for sighting in recognise(crowd_of(glimpse))] == ["Marcus Hale"]
    assert [sighting.name for sighting in recognise(crowd_of(glimpse, many))] == [None, "Marcus Hale"]


def test_a_face_beside_the_track_is_not_its_face(bank: Bank, recognise) -> None:
    crowd = crowd_of(away(bank.descriptors[0], 0.3, 4))
    track = replace(crowd.tracks[0], boxes=((0.7, 0.0, 1.0, 1.0),) * 4)
    (sighting,) = recognise(replace(crowd, tracks=[track]))
    assert (sighting.name, sighting.faces) == (None, 0)


def test_who_shows_no_face_stays_a_stranger(recognise) -> None:
    crowd = crowd_of(np.full((3, 128), np.nan, np.float32))
    (sighting,) = recognise(crowd)
    assert (sighting.name, sighting.second, sighting.faces) == (None, None, 0)
    (sighting,) = recognise(replace(crowd, faces={}))
    assert sighting.span == crowd.tracks[0].span


def test_an_empty_cast_names_nobody(bank: Bank) -> None:
    empty = characters.bank(casts.Cast(cast=()))
    (sighting,) = characters.recognise(crowd_of(away(bank.descriptors[0], 0.1, 4)), empty, Settings())
    assert sighting.name is None
