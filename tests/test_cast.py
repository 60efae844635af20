"""The cast file: what is read, and the one line told for each fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from avtool import cast as casts
from avtool.errors import UsageError
from avtool.timeline import SECOND

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def write(tmp_path: Path):
    """Writes a cast file beside a picture `a.png` and gives its path."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    def _write(content: Any) -> Path:
        path = tmp_path / "cast.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return _write


def member(name: str = "Ana", **more: Any) -> dict[str, Any]:
    return {"name": name, "images": ["a.png"], **more}


def fault(path: Path, **options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        casts.load(path, **options)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_example_cast_is_read() -> None:
    marcus, ellen = casts.load(EXAMPLES / "cast.json").cast
    assert (marcus.name, marcus.actor, marcus.pronoun) == ("Marcus Hale", "Barack Obama", "he")
    assert ellen.aliases == ("Ellen",)
    assert all(image.is_absolute() and image.is_file() for image in (*marcus.images, *ellen.images))


def test_every_key_is_read(write) -> None:
    path = write(
        {
            "cast": [
                member(
                    actor="B",
                    aliases=["A"],
                    note="n",
                    known_from="00:01:30",
                    pronoun="she",
                    label="the woman",
                )
            ]
        }
    )
    (ana,) = casts.load(path).cast
    assert ana.known_from == 90 * SECOND
    assert (ana.actor, ana.aliases, ana.note, ana.pronoun, ana.label) == (
        "B",
        ("A",),
        "n",
        "she",
        "the woman",
    )


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59_999))
def test_known_from_is_a_time(hours: int, minutes: int, milliseconds: int) -> None:
    text = f"{hours:02}:{minutes:02}:{milliseconds / 1000:06.3f}"
    found = casts.CastMember.model_validate(member(known_from=text)).known_from
    assert found == (hours * 3600 + minutes * 60) * SECOND + milliseconds * 1000


def test_a_byte_order_mark_is_no_fault(write) -> None:
    assert casts.load(write("\ufeff" + json.dumps({"cast": [member()]}))).cast[0].name == "Ana"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"cast": [\n  {"name": "Ana",}\n]}', ["line 2, column "]),
        ("[]", ["should be an object with the keys cast"]),
        ({"cast": ["Ana"]}, ["character 1: should be an object with the keys name, "]),
        ({"cast": "Ana"}, ["cast should be a list"]),
        ({"cast": [{"nmae": "Ana", "images": ["a.png"]}]}, ["unknown key 'nmae'; did you mean 'name'?"]),
        ({}, ["'cast' is missing"]),
        ({"cast": [], "crew": []}, ["unknown key 'crew'; known: cast"]),
        ({"cast": [member(), member("Bo", nane="x")]}, ["character 2", "unknown key 'nane'", "'name'"]),
        ({"cast": [{"images": ["a.png"]}]}, ["character 1", "'name' is missing"]),
        ({"cast": [{"name": "Ana"}]}, ["character 1", "'images' is missing"]),
        ({"cast": [{"name": "Ana", "images": []}]}, ["character 1: images is empty"]),
        ({"cast": [member("  ")]}, ["character 1", "name"]),
        ({"cast": [member(aliases=["A", 3])]}, ["character 1", "aliases.1"]),
        ({"cast": [member(known_from="1:70:00")]}, ['known_from = "1:70:00"', "hh:mm:ss"]),
        ({"cast": [member(known_from=[90])]}, ["known_from = [90]", "hh:mm:ss"]),
        ({"cast": [member("Ana"), member("ana")]}, ["'ana'", "characters 1 (Ana) and 2 (ana)"]),
        ({"cast": [member("Ana"), member("Bo", aliases=["Ana"])]}, ["'Ana'", "1 (Ana) and 2 (Bo)"]),
        ({"cast": [{"name": "Ana", "images": ["b.png"]}]}, ["b.png of Ana is missing"]),
    ],
)
def test_faults_are_one_line_that_says_where_and_what(write, content: Any, told: list[str]) -> None:
    message = fault(write(content))
    assert "cast.json" in message
    for part in told:
        assert part in message


def test_unreadable_files(tmp_path: Path) -> None:
    assert "cannot be read" in fault(tmp_path / "none.json")
    assert "cannot be read" in fault(tmp_path)
    (tmp_path / "latin.json").write_bytes(b'{"cast": "\xe9"}')
    assert "UTF-8" in fault(tmp_path / "latin.json")


def test_an_alias_like_its_own_name_is_no_fault(write) -> None:
    assert casts.load(write({"cast": [member(aliases=["Ana"])]})).cast[0].aliases == ("Ana",)


@pytest.mark.parametrize("link", [False, True])
def test_images_may_not_leave_the_folder_unless_allowed(tmp_path: Path, link: bool) -> None:
    folder = tmp_path / "film"
    folder.mkdir()
    outside = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(outside)
    if link:
        (folder / "a.png").symlink_to(outside)
    image = "a.png" if link else "../a.png"
    path = folder / "cast.json"
    path.write_text(json.dumps({"cast": [{"name": "Ana", "images": [image]}]}))
    assert "outside" in fault(path)
    assert casts.load(path, allow_outside=True).cast[0].images == (outside.resolve(),)


def test_the_digest_follows_words_and_pixels(write, tmp_path: Path) -> None:
    first = casts.digest(casts.load(write({"cast": [member()]})))
    assert casts.digest(casts.load(write({"cast": [member()]}))) == first
    assert casts.digest(casts.load(write({"cast": [member(pronoun="she")]}))) != first
    path = write({"cast": [member()]})
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    assert casts.digest(casts.load(path)) != first
