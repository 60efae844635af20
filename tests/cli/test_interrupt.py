"""Ctrl-C keeps what is done and says how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

FILM = Path(__file__).parents[2] / "examples" / "the-quiet-street.mp4"


def begin(folder: Path, *command: str) -> subprocess.Popen[str]:
    """avtool in a process group of its own, as a terminal would start it."""
    return subprocess.Popen(
        [sys.executable, "-m", "avtool", *(command or ("describe", str(FILM))), "-o", f"{folder}/",
         "--work", str(folder / "work"), "--progress", "json"],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0,
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


@pytest.fixture
def voicing(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A script of one sentence on its way into a film, at the moment when its mix is written."""
    script = tmp_path / "script.srt"
    script.write_text("1\n00:00:01,000 --> 00:00:03,000\nCyclists ride along the canal.\n")
    process = begin(tmp_path, "voice", str(script), str(FILM), "--mux")
    wait_for(process, "mixing")
    yield process
    process.kill()


def ctrl_c(process: subprocess.Popen[str]) -> None:
    """To all that the terminal runs in front, ffmpeg and the voice too if they are among it."""
    os.killpg(process.pid, signal.SIGINT)


def left(folder: Path) -> list[str]:
    return sorted(
        path.name for path in folder.iterdir() if path.name.startswith((".", "the-quiet-street", "tmp"))
    )


def test_a_mix_under_way_is_finished_and_the_film_is_not_begun(
    voicing: subprocess.Popen[str], tmp_path: Path
):
    ctrl_c(voicing)
    _, said = voicing.communicate(timeout=300)
    assert voicing.returncode == 130, said
    assert "go on with: avtool voice" in said
    ends = ("ad-gain.json", "ad-mix.m4a", "ad-voiced.ttml", "ad.flac")
    assert left(tmp_path) == [f"the-quiet-street.en.{end}" for end in ends]
    assert probe_sound(tmp_path / "the-quiet-street.en.ad-mix.m4a") > 56


def test_twice_leaves_no_half_of_a_mix(voicing: subprocess.Popen[str], tmp_path: Path):
    ctrl_c(voicing)
    wait_for(voicing, "Ctrl-C again")
    ctrl_c(voicing)
    voicing.communicate(timeout=60)
    assert voicing.returncode == 130
    assert left(tmp_path) == [
        f"the-quiet-street.en.{end}" for end in ("ad-gain.json", "ad-voiced.ttml", "ad.flac")
    ]


def probe_sound(path: Path) -> float:
    """Seconds of sound that can be decoded."""
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(audio=0)) / 48_000
