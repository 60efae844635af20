"""A disk that is full, or may not be written, at any single write: one line, the right exit code, nothing left."""

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from avtool.cli.main import run
from tests.chaos import jobs

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND
MOST = 200  # writes that a job may make


class Fault:
    """Lets the `at`-th write below a folder fail. Audit hooks cannot be taken away, so there is one for all tests."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.at = self.count = 0
        self.code = errno.ENOSPC
        sys.addaudithook(self._watch)

    @contextmanager
    def injected(self, folder: Path, at: int, code: int) -> Iterator[None]:
        self.folder, self.at, self.code, self.count = str(folder), at, code, 0
        try:
            yield
        finally:
            self.folder = None

    def _watch(self, event: str, arguments: tuple) -> None:
        if self.folder is None or event not in ("open", "os.mkdir", "os.rename"):
            return
        path = os.fspath(arguments[0]) if isinstance(arguments[0], str | os.PathLike) else ""
        writes = event != "open" or (arguments[2] or 0) & WRITES
        if not writes or not str(path).startswith(self.folder):
            return
        self.count += 1
        if self.count == self.at:
            raise OSError(self.code, os.strerror(self.code), str(path))


@pytest.fixture(scope="module")
def fault() -> Fault:
    return Fault()


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a film was described: its senses need not look again."""
    folder = jobs.lay_out(tmp_path_factory.mktemp("chaos") / "model")
    assert run(describing(folder)) == 0
    return folder


def describing(folder: Path) -> list[str]:
    film, cast = str(folder / "film.mp4"), str(folder / "cast.json")
    return ["describe", film, "--cast", cast, "-o", f"{folder}/out/", "--work", f"{folder}/work", "-q"]


@pytest.mark.parametrize(("code", "ends"), [(errno.ENOSPC, 7), (errno.EROFS, 2)])
def test_no_write_that_fails_leaves_anything_half_done(
    described: Path, tmp_path: Path, fault: Fault, capsys: pytest.CaptureFixture[str], code: int, ends: int
):
    wanted = jobs.results(described)
    for at in range(1, MOST):
        folder = tmp_path / "run"
        shutil.copytree(described, folder)
        shutil.rmtree(folder / "out")
        for stage in ("actions", "characters"):  # two that are quick, to be written again
            next((folder / "work").glob(f"*/{stage}.jsonl")).unlink()
        with fault.injected(folder, at, code):
            ended = run(describing(folder))
        err = capsys.readouterr().err
        happened = fault.count >= at
        if happened:
            assert ended in (ends, 0), err
            assert ended == 0 or (err.startswith("avtool: ") and err.count("\n") == 1 and "bug" not in err)
            assert not jobs.litter(folder)
            ended = run(describing(folder))
        assert ended == 0
        left = {name: digest for name, digest in jobs.results(folder).items() if not name.endswith(".json")}
        assert left == {name: digest for name, digest in wanted.items() if not name.endswith(".json")}
        shutil.rmtree(folder)
        if not happened:
            assert at > 5
            return
    pytest.fail(f"more than {MOST} writes")
