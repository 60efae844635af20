"""Ctrl-C keeps what is done and says how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FILM = Path(__file__).parents[2] / "examples" / "the-quiet-street.mp4"


def begin(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "avtool", "describe", str(FILM), "-o", f"{folder}/", "--work", str(folder / "work"),
         "--progress", "json"],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return
    raise AssertionError(f"{word!r} was never said")


def test_once_finishes_the_stage_and_stops(tmp_path: Path):
    process = begin(tmp_path)
    wait_for(process, "watching")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "go on with: avtool describe" in said
    assert list((tmp_path / "work").rglob("*.jsonl"))
    assert not list(tmp_path.rglob("*.part"))


def test_twice_stops_now_and_the_next_run_goes_on(tmp_path: Path):
    process = begin(tmp_path)
    wait_for(process, "watching")
    process.send_signal(signal.SIGINT)
    wait_for(process, "Ctrl-C again")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert process.returncode == 130
    assert not list(tmp_path.rglob("*.part"))
    again = begin(tmp_path)
    again.communicate(timeout=300)
    assert again.returncode == 0
    assert os.path.getsize(tmp_path / "the-quiet-street.en.ad.srt") > 0
