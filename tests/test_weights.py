"""The index of weights, and the one command that fetches: tried on a small hub of our own."""

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from avtool import weights
from avtool.errors import MissingError, UsageError

COMMIT = "0" * 40
FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 400, "README.md": b"not asked for"}


class Hub(BaseHTTPRequestHandler):
    """Answers what huggingface_hub asks of a hub that has one public repository, someone/model."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        if self.path.startswith("/api/models/someone/model"):
            named = [{"rfilename": name, "size": len(data)} for name, data in FILES.items()]
            self.send(json.dumps({"id": "someone/model", "sha": COMMIT, "siblings": named}).encode(), body)
        elif found := re.match(r"/someone/model/resolve/[^/]+/(.+)", self.path):
            self.send(FILES[found[1]], body)
        else:
            self.send_error(404)

    def send(self, data: bytes, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    """The address of a running hub."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def pull(tmp_path: Path, hub: str, sha256: str = "") -> subprocess.CompletedProcess[str]:
    """`avtool weights pull tiny` with an index that has `tiny`, in a process of its own: the hub's address is read
    when huggingface_hub is imported."""
    script = (
        "import sys; from avtool import weights; from avtool.cli.main import run; "
        "entry = weights.Weight('tiny', 'a test', 'hub', 'tiny', sys.argv[1], 'MIT', 'nothing', "
        "repository='someone/model', revision='main', files=('*.json', '*.safetensors')); "
        "weights.index = lambda: {'tiny': entry}; sys.exit(run(['weights', 'pull', 'tiny']))"
    )
    own = {
        "HF_ENDPOINT": hub,
        "HF_HOME": str(tmp_path / "cache"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "HF_HUB_DISABLE_XET": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", script, sha256],
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_pull_brings_what_was_asked_for_and_only_once(tmp_path: Path, hub: str):
    ended = pull(tmp_path, hub, hashlib.sha256(FILES["model.safetensors"]).hexdigest())
    assert ended.returncode == 0, ended.stderr
    folder = Path(ended.stdout.strip())
    assert folder == tmp_path / "data/avtool/weights/hub/tiny"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: data for name, data in FILES.items() if name != "README.md"
    }
    again = pull(tmp_path, "http://127.0.0.1:9")  # nobody listens there, and nobody is asked
    assert (again.returncode, again.stdout) == (0, ended.stdout)


def test_another_file_than_the_index_says_is_not_taken(tmp_path: Path, hub: str):
    ended = pull(tmp_path, hub, "ab" * 32)
    assert ended.returncode == 5
    assert "not what the index says" in ended.stderr
    assert not (tmp_path / "data/avtool/weights/hub/tiny").exists()


def test_a_hub_that_does_not_answer_is_told_in_a_line(tmp_path: Path):
    ended = pull(tmp_path, "http://127.0.0.1:9")
    assert ended.returncode == 5
    assert ended.stderr.count("\n") == 1
    assert "cannot pull tiny from someone/model" in ended.stderr


def test_what_is_missing_names_the_command_that_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(MissingError, match="avtool weights pull llama-2-7b"):
        weights.where("llama-2-7b")
    with pytest.raises(UsageError, match="did you mean llama-2-7b"):
        weights.where("lama-2-7b")
    with pytest.raises(UsageError, match="on no hub: pip install silero-vad"):
        weights.pull("silero-vad")


@pytest.mark.parametrize("name", [name for name, it in weights.index().items() if it.source != "hub"])
def test_every_installed_weight_is_what_the_index_says(name: str):
    assert weights.verify(name)


@pytest.mark.parametrize("name", ["nanodet-m-416", "silero-vad"])
def test_weights_of_another_hash_are_not_loaded(monkeypatch: pytest.MonkeyPatch, name: str):
    """An index that gives another hash is a file that was changed."""
    changed = dataclasses.replace(weights.index()[name], sha256="0" * 64)
    monkeypatch.setattr(weights, "index", lambda: {name: changed})
    with pytest.raises(MissingError, match="damaged.*pip install --force-reinstall"):
        weights.trusted(name)
    monkeypatch.undo()
    assert weights.trusted(name) == weights.where(name)


def test_every_weight_that_the_senses_load_has_a_hash():
    for weight in weights.index().values():
        assert len(weight.sha256) == 64 or weight.source in ("hub", "file"), weight.name
