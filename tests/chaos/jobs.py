"""The jobs that are disturbed: commands that run in a folder of their own, and what they must leave there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import ffmpeg
from imageio_ffmpeg import get_ffmpeg_exe

EXAMPLES = Path(__file__).parents[2] / "examples"
# What tells of time rather than of the film: two undisturbed runs differ in it too.
BOOKS = {"stats.jsonl", "delivered.jsonl", "log.jsonl"}
SCRIPT = "1\n00:00:01,000 --> 00:00:02,500\nA street at night.\n\n2\n00:00:03,000 --> 00:00:03,900\nRain.\n"


@dataclass(frozen=True, slots=True)
class Job:
    """A command to run in a folder, and the one that goes on where it was cut off, if that is another."""

    name: str
    command: tuple[str, ...]
    going_on: tuple[str, ...] | None = None


WORK = ("--work", "work", "-q")
TRAIN = ("train", "videomae-v2", "--data", "toys", "--out", "run", "--set", "training.epochs=2", "--set",
         "training.save_every=2", "--set", "training.workers=0")  # fmt: skip
JOBS = (
    Job("describe", ("describe", "film.mp4", "--cast", "cast.json", "-o", "out/", *WORK)),
    Job("detect", ("detect", "film.mp4", "--weights", "embedded", "--json", "--work", "work", "--render", "seen.mp4")),
    Job("train", TRAIN, (*TRAIN, "--resume")),
    Job("voice", ("voice", "script.srt", "film.mp4", "-o", "out", "--mux", *WORK)),
    Job("library", ("describe", "films", "-o", "out/", "--workers", "2", *WORK)),
)  # fmt: skip


def lay_out(folder: Path, model: Path | None = None) -> Path:
    """The inputs of every job in `folder`, copied from `model` where they were laid out before."""
    if model is not None:
        shutil.copytree(model, folder)
        return folder
    (folder / "films").mkdir(parents=True)
    for name, start in (("film.mp4", 18), ("films/one.mp4", 14), ("films/other.mp4", 20)):
        cut = ffmpeg.input(str(EXAMPLES / "the-quiet-street.mp4"), ss=start, t=4)
        cut.output(str(folder / name), video_bitrate="1M").run(cmd=get_ffmpeg_exe(), quiet=True)
    shutil.copy(EXAMPLES / "cast.json", folder)
    shutil.copytree(EXAMPLES / "cast", folder / "cast")
    (folder / "script.srt").write_text(SCRIPT)
    toys = ("data", "toy", "videomae-v2", "toys", "--train", "64", "--held-out", "8")
    assert run(toys, folder) == 0
    return folder


def start(command: tuple[str, ...], folder: Path) -> subprocess.Popen[bytes]:
    """A command under way, in a process group of its own, with a temporary folder of its own."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "avtool", *command],
        cwd=folder,
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=(folder / "errors.txt").open("ab"),
        start_new_session=True,
    )


def run(command: tuple[str, ...], folder: Path) -> int:
    return start(command, folder).wait()


def kill(job: Job, folder: Path, after: float) -> bool:
    """Begin the job, or go on with it, and kill every process of it `after` seconds; whether it was still at it."""
    process = start(_next(job, folder), folder)
    try:
        process.wait(after)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.2)  # for the kernel to bury the children
        return True


def finish(job: Job, folder: Path) -> int:
    """Go on with the job to its end."""
    return run(_next(job, folder), folder)


def _next(job: Job, folder: Path) -> tuple[str, ...]:
    if job.going_on and any((folder / "run" / "checkpoints").glob("step-*[0-9]")):
        return job.going_on
    shutil.rmtree(
        folder / "run", ignore_errors=True
    )  # a training that was killed before its first checkpoint
    return job.command


def results(folder: Path) -> dict[str, str]:
    """The hash of every file the job left, but for its books."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(_content(path)).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and _is_result(path.relative_to(folder))
    }


def _content(path: Path) -> bytes:
    """What is in a file; safetensors writes the entries of its header's metadata in any order."""
    data = path.read_bytes()
    if path.suffix != ".safetensors":
        return data
    end = 8 + int.from_bytes(data[:8], "little")
    return json.dumps(json.loads(data[8:end]), sort_keys=True).encode() + data[end:]


def _is_result(path: Path) -> bool:
    within = set(path.parts)
    return path.name not in BOOKS | {"errors.txt"} and not within & {"tensorboard", "tmp"}


def litter(folder: Path) -> list[str]:
    """What should have been cleared away."""
    hidden = [path for path in folder.rglob(".*") if path.name != ".gitkeep"]
    half = [path for path in folder.rglob("*.part")]
    temporary = [path for path in (folder / "tmp").glob("*")]
    return sorted({str(path.relative_to(folder)) for path in (*hidden, *half, *temporary)})
