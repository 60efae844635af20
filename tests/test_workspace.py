"""The workspace keeps what was computed for one key and nothing else, and never half a file."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool.errors import ResourceError, UsageError
from avtool.timeline import Shot, Span, Word
from avtool.workspace import Workspace, cannot_write, folder_of, key, replacing

SHOTS = [Shot(0, Span(0, 40_000), "start", 1.0), Shot(1, Span(40_000, 90_000), "cut", 0.87)]


def test_records_come_back_as_they_were(tmp_path: Path):
    work = Workspace(tmp_path)
    work.save("shots", "k1", SHOTS, weights=["transnetv2"])
    assert Workspace(tmp_path).load("shots", "k1", Shot) == SHOTS


def test_another_key_is_stale(tmp_path: Path):
    Workspace(tmp_path).save("shots", "k1", SHOTS)
    assert Workspace(tmp_path).load("shots", "k2", Shot) is None


def test_force_reads_only_what_this_run_wrote(tmp_path: Path):
    Workspace(tmp_path).save("shots", "k1", SHOTS)
    work = Workspace(tmp_path, force=True)
    assert work.load("shots", "k1", Shot) is None
    work.save("shots", "k1", SHOTS[:1])
    assert work.load("shots", "k1", Shot) == SHOTS[:1]


def test_films_that_share_a_folder_keep_apart(tmp_path: Path):
    one, other = (Workspace(folder_of(digest, tmp_path)) for digest in ("a" * 64, "b" * 64))
    one.save("shots", "k1", SHOTS)
    other.save("shots", "k2", SHOTS[:1])
    assert one.load("shots", "k1", Shot) == SHOTS
    assert other.load("shots", "k2", Shot) == SHOTS[:1]


def test_a_damaged_file_is_computed_again(tmp_path: Path):
    work = Workspace(tmp_path)
    work.file("shots").write_bytes(b"\xff\x00 no json")
    assert not work.has("shots", "k1")


@given(st.text(), st.integers(0, 10**12), st.floats(0, 1))
def test_any_text_survives(text: str, start: int, confidence: float):
    import tempfile

    words = [Word(text, Span(start, start + 1), confidence)]
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(Path(folder))
        work.save("words", "k", words)
        assert work.load("words", "k", Word) == words


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(RuntimeError), replacing(file) as part:
        part.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_and_a_closed_folder_are_told_apart():
    import errno

    full = cannot_write(Path("x"), OSError(errno.ENOSPC, "No space left on device"))
    closed = cannot_write(Path("x"), PermissionError(errno.EACCES, "Permission denied"))
    assert isinstance(full, ResourceError)
    assert full.exit_code == 7
    assert isinstance(closed, UsageError)
    assert "permission denied" in str(closed)


def test_keys_depend_on_every_part():
    assert key("a", 1, ["x"]) == key("a", 1, ["x"])
    assert len({key("a", 1), key("a", 2), key("b", 1), key("a", "1"), key("a", 1, None)}) == 5
    assert json.dumps(key("a")).isascii()
