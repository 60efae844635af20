"""The workspace keeps what was computed for one key and nothing else, and never half a file."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool.errors import ResourceError, UsageError
from avtool.timeline import Shot, Span, Word
from avtool.workspace import Workspace, cannot_write, key, replacing, scratch, workspace

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
    one, other = (workspace(digest, tmp_path) for digest in ("a" * 64, "b" * 64))
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


def left_by(process: int | str, path: Path) -> Path:
    """Where a process of this machine writes what is to become `path`."""
    return path.with_name(f".{path.name}.{socket.gethostname()}-{process}.part")


@pytest.fixture
def dead() -> str:
    """The number of a process that is no more."""
    ask = [sys.executable, "-c", "import os; print(os.getpid())"]
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path, dead: str):
    path = tmp_path / "track.srt"
    left_by(dead, path).write_text("half")
    left_by(dead, tmp_path / "track.srt.parts").mkdir()
    (left_by(dead, tmp_path / "track.srt.parts") / "words.srt").write_text("half")
    living = left_by(os.getppid(), path)
    living.write_text("somebody is at it")
    with scratch(path) as folder, replacing(path) as beside:
        beside.write_text("whole")
        (folder / "needed").touch()
    assert sorted(tmp_path.iterdir()) == [living, path]


def test_a_shared_workspace_is_read_on_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place = (tmp_path / "shared").as_uri()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    one = workspace("f" * 64, place)
    one.folder.mkdir(parents=True)
    one.file("shots", ".npz").write_bytes(b"arrays")
    one.save("shots", "k1", SHOTS)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    other = workspace("f" * 64, place)
    assert other.load("shots", "k2", Shot) is None
    assert other.load("shots", "k1", Shot) == SHOTS
    assert other.file("shots", ".npz").read_bytes() == b"arrays"
    assert not list((tmp_path / "shared").rglob("*.part"))
    other.discard("shots")
    assert not (tmp_path / "shared" / ("f" * 20) / "shots.jsonl").exists()


def test_a_storage_nobody_knows_is_told(tmp_path: Path):
    with pytest.raises(UsageError, match="gopher"):
        workspace("f" * 64, "gopher://films").has("shots", "k1")
