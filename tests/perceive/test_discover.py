"""Finding faces to name, and naming them, on the example film."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avtool import cast as casts
from avtool.errors import UsageError
from avtool.media.frames import show
from avtool.media.probe import Probe, probe
from avtool.perceive import characters, discover
from avtool.perceive.people import People
from avtool.perceive.tracks import Crowd
from avtool.settings import Settings
from avtool.timeline import Shot, Span

EXAMPLES = Path(__file__).parents[2] / "examples"
TRUTH = json.loads((EXAMPLES / "truth.json").read_text())["shots"]


@pytest.fixture(scope="module")
def film() -> Probe:
    return probe(EXAMPLES / "the-quiet-street.mp4")


@pytest.fixture(scope="module")
def crowd(film: Probe) -> Crowd:
    """The people of the film, looked at half as often as usual; its true shots."""
    people = People(film.picture.height, film.picture.width)
    people.fps = 2.0
    show(film, [people])
    people.finish()
    spans = [Span(shot["start"], shot["end"]) for shot in TRUTH]
    return people.people([Shot(number, span, "cut", 1.0) for number, span in enumerate(spans)])


@pytest.fixture(scope="module")
def found(film: Probe, crowd: Crowd, tmp_path_factory: pytest.TempPathFactory) -> discover.Discovery:
    return discover.discover(film, crowd, tmp_path_factory.mktemp("found") / "new")


def test_the_cast_is_named_in_its_shots_and_nobody_else(crowd: Crowd) -> None:
    bank = characters.bank(casts.load(EXAMPLES / "cast.json"))
    named: dict[int, list[str | None]] = {}
    for sighting in characters.recognise(crowd, bank, Settings()):
        if sighting.name:
            named.setdefault(sighting.shot, []).append(sighting.name)
            assert sighting.confidence > 0.9
        elif sighting.faces:
            assert sighting.second_confidence < 0.1
    want = {number: sorted(shot["cast"]) for number, shot in enumerate(TRUTH) if shot["cast"]}
    assert {shot: sorted(map(str, names)) for shot, names in named.items()} == want


def test_each_person_of_the_film_is_one_group(crowd: Crowd, found: discover.Discovery) -> None:
    """Two of the cast, the man in the car and the man with white hair, by the shots they are in."""
    shots = {track.id: track.shot for track in crowd.tracks}
    groups = [{shots[track] for track in person.tracks} for person in found.people]
    marcus = {number for number, shot in enumerate(TRUTH) if "Marcus Hale" in shot["cast"]}
    ellen = {number for number, shot in enumerate(TRUTH) if "Ellen Ross" in shot["cast"]}
    car = {number for number, shot in enumerate(TRUTH) if "in a car" in shot["what"]}
    white = {number for number, shot in enumerate(TRUTH) if "white hair" in shot["what"]}
    assert groups == [marcus, ellen, car, white]
    for person, group in zip(found.people, groups, strict=True):
        true = sum(TRUTH[shot]["end"] - TRUTH[shot]["start"] for shot in group) / 1e6
        assert person.seconds == pytest.approx(true, rel=0.25)


def test_the_draft_becomes_a_cast_by_naming(found: discover.Discovery, crowd: Crowd) -> None:
    draft = json.loads(found.cast.read_text())
    assert [member["name"] for member in draft["cast"]] == ["Person 1", "Person 2", "Person 3", "Person 4"]
    draft["cast"] = draft["cast"][:2]
    draft["cast"][0]["name"] = "Ana"
    named = found.cast.with_name("named.json")
    named.write_text(json.dumps(draft))
    bank = characters.bank(casts.load(named))
    assert set(bank.names) == {"Ana", "Person 2"}
    sightings = characters.recognise(crowd, bank, Settings())
    assert {s.track for s in sightings if s.name == "Ana"} == set(found.people[0].tracks)


def test_the_sheet_shows_the_film_and_leaves_no_part_behind(found: discover.Discovery) -> None:
    with Image.open(found.sheet) as sheet:
        assert sheet.width > 1000
        assert len(np.unique(np.asarray(sheet.convert("L")))) > 200
    portraits = {path.name for person in found.people for path in person.portraits}
    assert {path.name for path in found.sheet.parent.glob("*.p*")} == portraits | {"faces.png"}


def test_a_cast_that_is_there_is_not_overwritten(film: Probe, crowd: Crowd, tmp_path: Path) -> None:
    (tmp_path / "cast.json").write_text("{}")
    with pytest.raises(UsageError, match="is there already"):
        discover.discover(film, crowd, tmp_path)
    assert (tmp_path / "cast.json").read_text() == "{}"
    assert [path.name for path in tmp_path.iterdir()] == ["cast.json"]


def test_nobody_found_makes_an_empty_draft(film: Probe, tmp_path: Path) -> None:
    found = discover.discover(film, Crowd(tracks=[], bodies={}, faces={}, things=[]), tmp_path)
    assert found.people == ()
    assert casts.load(found.cast).cast == ()
    assert found.sheet.is_file()
