"""What the stages took is kept beside them, shown by `avtool stats`, and told to OpenTelemetry only when asked."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from avtool import ledger
from avtool.cli.main import run

FILM = Path("film.mp4")


def test_time_and_memory_of_a_stage(tmp_path: Path):
    with ledger.taking(tmp_path, FILM, "sight", 12.0):
        filled = np.ones(200 << 20, np.uint8)
        assert filled.any()
        del filled
    with ledger.taking(tmp_path, FILM, "script", 12.0):
        pass
    sight, script = ledger.read(tmp_path)
    assert (sight.film, sight.stage, sight.film_seconds) == ("film.mp4", "sight", 12.0)
    assert 0 < sight.seconds and script.seconds < sight.seconds
    assert sight.peak > script.peak + 150


def test_what_fails_is_not_noted_and_half_a_line_is_passed_over(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), ledger.taking(tmp_path, FILM, "sight", 1.0):
        raise ZeroDivisionError
    with ledger.taking(tmp_path, FILM, "hearing", 1.0):
        pass
    with (tmp_path / ledger.LEDGER).open("a") as file:
        file.write('{"film": "film.m')
    assert [one.stage for one in ledger.read(tmp_path)] == ["hearing"]


def test_the_command_sums_up_every_film(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("one", "other"):
        for stage in ("sight", "script"):
            with ledger.taking(tmp_path / name, Path(f"{name}.mp4"), stage, 60.0):
                pass
    assert run(["stats", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.count("of 60 s of film") == 2 and "other.mp4" in out
    assert run(["stats", str(tmp_path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["stages"]) == 4
    assert run(["stats", str(tmp_path / "nothing")]) == 2


def test_errors_as_json(capsys: pytest.CaptureFixture[str]):
    assert run(["--log-json", "probe", "nowhere.mp4"]) == 4
    line = json.loads(capsys.readouterr().err)
    assert line["level"] == "error" and "nowhere.mp4" in line["message"] and line["time"].endswith("+00:00")
    assert run(["probe", "nowhere.mp4"]) == 4
    assert capsys.readouterr().err.startswith("avtool: ")


class Collector(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    posted: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posted.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


STAGE = """
from pathlib import Path
from typing import ClassVar
from avtool import ledger
with ledger.taking(Path({folder!r}), Path("film.mp4"), "sight", 1.0):
    pass
import sys
print("opentelemetry" in sys.modules)
"""


@pytest.mark.parametrize("told", [True, False])
def test_opentelemetry_is_told_where_an_endpoint_is_set(tmp_path: Path, told: bool):
    Collector.posted.clear()
    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {ledger.ENDPOINT: f"http://127.0.0.1:{server.server_port}"} if told else {}
    code = STAGE.format(folder=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    server.shutdown()
    assert done.stdout.strip() == str(told)
    if told:
        [(path, body)] = Collector.posted
        assert path == "/v1/traces" and b"sight" in body and b"film.mp4" in body and b"avtool" in body
    else:
        assert not Collector.posted
