"""The project file holds everything, and every format is written by its name."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from avtool import tracks
from avtool.errors import UsageError
from avtool.narrate.rules.script import Finding
from avtool.schedule import Dropped, Plan
from avtool.settings import Settings
from avtool.timeline import (
    SECOND,
    Action,
    Attribute,
    Candidate,
    Description,
    Fact,
    Film,
    Gap,
    Look,
    Shot,
    Sighting,
    Sound,
    Span,
    Speech,
    Tag,
    Text,
    Thing,
    Track,
    Word,
)
from avtool.tracks import script, subtitles
from avtool.tracks.script import Script

WHOLE = Span(0, 60 * SECOND)
BOX = (0.1, 0.2, 1 / 3, 0.4)
FACT = Fact("action", "Mara lifts a lantern", 0.1 + 0.2, (12_500_000,), (4,))
CUE = Description(
    "ad-0001", Span(12_480_000, 15_120_000), "Mara lifts it.", facts=(FACT,), event=WHOLE, gap=0
)
FILM = Film(
    path=Path("films/film.mp4"),
    span=WHOLE,
    shots=[Shot(0, WHOLE, "start", 1.0)],
    looks=[Look(0, None, "pan left", 0.25, 0.5)],
    speech=[Speech(WHOLE, "dialogue", ("vad", "asr"), 0.9, "Oh", (Word("Oh", WHOLE, 0.5),), "A", "en")],
    gaps=[Gap(0, Span(12 * SECOND, 16 * SECOND), Span(12_200_000, 15_700_000), "speech", "edge")],
    tracks=[Track(4, 0, "person", (1, 2), (BOX, BOX), (0.5, 0.75))],
    sightings=[Sighting(4, 0, WHOLE, "Mara", 0.97, "Ana", 0.02, 12)],
    actions=[Action(4, 0, "lifts a lantern", WHOLE, 0.9, "lamp", 5)],
    things=[Thing("bottle", 0, WHOLE, 2, 0.8, (BOX, BOX))],
    tags=[Tag("harbour", 0, WHOLE, 0.7)],
    texts=[Text("Harbour Office", WHOLE, BOX, 0.95, "sign", 0)],
    attributes=[Attribute("car", 0, "red", SECOND, 0.9)],
    sounds=[Sound(0, WHOLE, True, 0.8)],
)
SCRIPT = Script(
    film=FILM,
    plan=Plan([CUE], [Dropped(Candidate("Night.", WHOLE, 0, 0.5, 1, (FACT,)), "no pause near 0:00:30.000")]),
    findings=[Finding("AD107", "I", "ad-0001", WHOLE, "spoken fast", None, "practice")],
    settings=Settings(language="en-GB", rate=160),
    weights={"transnetv2": "0" * 64},
)


def test_the_project_file_holds_everything(tmp_path: Path) -> None:
    assert all(getattr(FILM, field.name) for field in fields(Film)), "fill every field, that its loss is seen"
    path = tmp_path / "film.avad.json"
    script.write(SCRIPT, path)
    assert script.read(path) == SCRIPT
    assert subtitles.read(path) == SCRIPT.descriptions


@pytest.mark.parametrize("name", tracks.FORMATS)
def test_every_format_says_it_is_a_draft_and_is_read_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"film.{tracks.extension(name)}"
    tracks.write(SCRIPT, path, name)
    assert "Audio description (en-GB). Draft by machine, not reviewed." in path.read_text(encoding="utf-8")
    assert [(cue.id, cue.span, cue.text) for cue in subtitles.read(path)] == [(CUE.id, CUE.span, CUE.text)]


def test_an_unknown_format_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no format is called 'dappt'; did you mean dapt?"):
        tracks.write(SCRIPT, tmp_path / "film", "dappt")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{}", "schema: field required"),
        ("[1]", "its beginning: input should be an object"),
        ('{"schema": "avtool.script/2"}', "schema: input should be 'avtool.script/1'"),
        ("{", "its beginning: invalid json"),
    ],
)
def test_what_is_no_project_file_is_told(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "film.avad.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=told):
        script.read(path)


def test_a_span_that_runs_backwards_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "film.avad.json"
    script.write(SCRIPT, path)
    path.write_text(path.read_text().replace('"start": 12480000', '"start": 99480000'))
    with pytest.raises(UsageError, match=r"script\.plan\.descriptions\.0\.span: .*before it starts"):
        script.read(path)


def test_the_report_counts() -> None:
    assert SCRIPT.report == [
        "Pauses: 1, 4 s of 60 s of film.",
        "Descriptions: 1, 3 s, 66% of the pauses.",
        "Seen but not told: 1; the project file says why.",
    ]
    silent = Script(Film(Path("film.mp4"), WHOLE), Plan([], []))
    assert silent.report[0] == "No usable pause in 60 s of film: speech or song goes on throughout."
