"""The report holds everything, needs nothing from outside, and can be read without looking."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from avtool.cli.main import run
from avtool.media.probe import probe
from avtool.report import strip
from avtool.timeline import SECOND
from avtool.tracks import script
from avtool.tracks.script import Script
from tests.report.conftest import LENGTH


class Outline(HTMLParser):
    """What a screen reader goes by."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def every(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]


def test_everything_is_on_the_page(text: str):
    for words in (
        "Mara lifts a &lt;lantern&gt;.", "Mara &lt;lifts&gt; a lantern", "Good &amp; early.", "Night.", "no pause near",
        "AD107", "spoken fast", "97%", "Draft by machine, not reviewed",
    ):  # fmt: skip
        assert words in text


def test_nothing_is_fetched(text: str):
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert "<script" not in text and "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text


def test_it_can_be_read_without_looking(text: str):
    outline = Outline(text)
    assert outline.every("html")[0]["lang"] == "en"
    assert len(outline.every("main")) == len(outline.every("h1")) == len(outline.every("header")) == 1
    assert all(image.get("alt") for image in outline.every("img"))
    assert all(head.get("scope") for head in outline.every("th"))
    assert len(outline.every("table")) == len(outline.every("caption")) > 2
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    identifiers = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    links = {link["href"] for link in outline.every("a")}
    assert {f"#{one}" for one in identifiers} >= links
    references = {one["aria-labelledby"] for _, one in outline.tags if "aria-labelledby" in one}
    assert references <= set(identifiers)


def test_a_long_film_has_rows_of_one_scale(told: Script, film: Path):
    (row,) = strip.rows(told, probe(film))
    assert len(row.pictures) == 2
    assert [box.link for box in row.bars if box.link] == ["ad-0001"]
    assert row.x(0) == strip.LEFT and row.x(LENGTH) == strip.WIDTH - 10
    loud = [x for x, half in enumerate(row.wave) if half > 0.9 * strip.WAVE / 2]
    scale = (strip.WIDTH - strip.LEFT - 10) / (LENGTH / SECOND)
    assert loud[0] / scale == pytest.approx(2.0, abs=0.11)


def test_the_command_writes_a_page_or_a_picture(told: Script, film: Path, capsys: pytest.CaptureFixture[str]):
    project = film.with_suffix(".json")
    script.write(told, project)
    picture = film.with_suffix(".png")
    assert run(["report", str(project), "--png"]) == 0
    with Image.open(picture) as image:
        assert image.size == (strip.WIDTH, strip.HEIGHT)
        shown = image.convert("RGB").getpixel((strip.LEFT + 400, strip.TOLD + 5))
    assert shown == tuple(bytes.fromhex(strip.NARRATION[1:]))
    assert run(["report", str(project), str(film), "-o", str(film)]) == 2
    assert "is the input itself" in capsys.readouterr().err
    assert run(["report", str(film), "-q"]) == 2
    assert run(["report", str(project), str(film.with_name("gone.mp4"))]) == 4
