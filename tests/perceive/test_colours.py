"""The colours of things: words and pixels must agree, and one thing alone of its kind is asked."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avmodels import run, zoo
from avmodels.engine import weights
from avtool.media.probe import probe
from avtool.perceive import colours
from avtool.perception import open_film
from avtool.timeline import SECOND, Box, Span, Thing, Track
from tests.perceive.pictures import film as write

BOX: Box = (0.25, 0.25, 0.75, 0.75)


def square(rgb: tuple[int, int, int]) -> np.ndarray:
    """A square of a colour on mid green, in BOX."""
    picture = np.full((360, 640, 3), (90, 160, 90), np.uint8)
    picture[90:270, 160:480] = rgb
    return picture


@pytest.mark.parametrize("name", colours.COLOURS)
def test_pixels_are_nearest_to_their_own_colour(name: str):
    picture = square(colours.COLOURS[name])
    assert colours.share(picture, BOX, name) == 1
    assert all(colours.share(picture, BOX, other) == 0 for other in colours.COLOURS if other != name)


def test_shades_of_a_colour_are_that_colour():
    assert colours.share(square((150, 20, 25)), BOX, "red") == 1
    assert colours.share(square((30, 60, 150)), BOX, "blue") == 1
    assert colours.share(square((250, 225, 70)), BOX, "yellow") == 1


@pytest.fixture
def knowing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Imported weights of small towers that never learned anything."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    torch.manual_seed(0)
    config = zoo.load("tag-align", "gated", ("model.towers=vit-tiny", "model.tags=3"))
    recipe = zoo.recipe("tag-align")
    path = run.imported("tag-align/gated")
    weights.write(recipe.build(config).state_dict(), path, recipe.about(config))
    return path


def test_a_thing_is_asked_of_all_colours_and_told_where_pixels_agree(
    knowing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    film = probe(write(tmp_path / "car.mp4", [square(colours.COLOURS["red"])] * 25))
    times = tuple(range(0, SECOND, SECOND // 5))
    track = Track(0, 0, "car", times, (BOX,) * 5, (0.9,) * 5)
    car = Thing("car", 0, Span(0, SECOND), 1, 0.9, (BOX,))
    asked = []

    def surest(likely: np.ndarray) -> tuple[str, float]:
        asked.append(likely)
        return answer, 0.9

    monkeypatch.setattr(colours, "surest", surest)
    answer = "red"
    (found,) = colours.look(film, [car], [track], knowing)
    assert (found.label, found.word, found.confidence, found.time) == ("car", "red", 0.9, times[2])
    assert asked[0].shape == (len(colours.COLOURS),) and asked[0].sum() == pytest.approx(1, abs=1e-5)
    answer = "blue"
    assert colours.look(film, [car], [track], knowing) == []
    asked.clear()
    several = Thing("car", 0, Span(0, SECOND), 2, 0.9, (BOX, BOX))
    assert colours.look(film, [several], [track], knowing) == [] and asked == []


def test_a_film_has_attributes_with_weights_alone(knowing: Path, tmp_path: Path):
    film = write(tmp_path / "green.mp4", [square((90, 160, 90))] * 25)
    seen = open_film(film, work=tmp_path / "work")
    with_weights = seen.script_key()
    assert seen.attributes == []  # there is no thing in it
    knowing.unlink()
    without = open_film(film, work=tmp_path / "work")
    assert without.attributes == [] and without.script_key() != with_weights
