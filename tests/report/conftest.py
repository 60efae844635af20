"""A short film with everything that a report shows, and its report."""

from __future__ import annotations

from pathlib import Path

import pytest

from avtool.media.probe import probe
from avtool.narrate.rules.script import Finding
from avtool.report import page
from avtool.schedule import Dropped, Plan
from avtool.timeline import (
    SECOND,
    Candidate,
    Description,
    Fact,
    Film,
    Gap,
    Shot,
    Sighting,
    Span,
    Speech,
    Track,
)
from avtool.tracks.script import Script
from tests.media import clips

LENGTH = 4 * SECOND
FACT = Fact("action", "Mara <lifts> a lantern", 0.9, (SECOND, 2 * SECOND), (0,))


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return clips.write(folder / "film.mp4", clips.picture(4), clips.beep(4, 2.0), **clips.X264, acodec="aac")


@pytest.fixture(scope="session")
def told(film: Path) -> Script:
    cue = Description(
        "ad-0001", Span(SECOND, 2 * SECOND), "Mara lifts a <lantern>.", facts=(FACT,), event=Span(SECOND, 3 * SECOND),
        gap=0, confidence=0.9,
    )  # fmt: skip
    return Script(
        film=Film(
            path=film,
            span=Span(0, LENGTH),
            shots=[Shot(0, Span(0, 2 * SECOND), "start", 1.0), Shot(1, Span(2 * SECOND, LENGTH), "cut", 1.0)],
            speech=[Speech(Span(2 * SECOND, 3 * SECOND), "dialogue", ("vad",), 1.0, "Good & early.")],
            gaps=[Gap(0, Span(0, 2 * SECOND), Span(0, 1_700_000), "edge", "speech")],
            tracks=[Track(0, 0, "person", (SECOND,), ((0.2, 0.1, 0.6, 0.9),), (0.9,))],
            sightings=[Sighting(0, 0, Span(SECOND, 2 * SECOND), "Mara", 0.97)],
        ),
        plan=Plan(
            [cue],
            [Dropped(Candidate("Night.", Span(0, SECOND), 0, 0.5, 1, (FACT,)), "no pause near 0:00:00.000")],
        ),
        findings=[Finding("AD107", "I", "ad-0001", cue.span, "spoken fast", None, "practice")],
    )


@pytest.fixture(scope="session")
def report(told: Script, film: Path) -> Path:
    path = film.with_suffix(".html")
    page.write(told, probe(film), path)
    return path


@pytest.fixture(scope="session")
def text(report: Path) -> str:
    return report.read_text(encoding="utf-8")
