"""Ask avtool to work on hundreds of made-bad inputs, and tell which of them it did not end well with.

    uv run python -m tests.hostile               all
    uv run python -m tests.hostile --every 10    a tenth of each kind
    uv run python -m tests.hostile --kind media --name cut-3.mp4

Each case runs in a process of its own. It ends well with an exit code that names the fault (or none), in a few
lines, without a traceback, within its time and memory, and without reaching what it must not: a file outside of
the inputs' folder, a port, a program other than ffmpeg and the voice, code in a checkpoint.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

from tests.hostile.corpus import Case, Grounds, cases, grounds, thinned

SECONDS = 30  # of the processor, for one case
WAITING = 240  # of the clock: a machine may have other work
MEMORY = 1500  # megabytes that a case may have resident, torch and all included
LINES = 40
FORGIVEN = (0, 2, 3, 4, 5, 6, 7)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=1, metavar="N")
    parser.add_argument("--kind")
    parser.add_argument("--name", help="part of a case's name")
    asked = parser.parse_args()
    _load()
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as port:
        at = grounds(Path(folder), f"http://127.0.0.1:{port.getsockname()[1]}/film.ts")
        chosen = thinned(list(cases(at)), asked.every)
        chosen = [one for one in chosen if asked.kind in (None, one.kind) and (asked.name or "") in one.name]
        bad = {}
        for case in chosen:
            began = time.monotonic()
            faults = outcome(case, at, port)
            if faults:
                bad[case.name] = faults
                print(f"{case.name}: {'; '.join(faults)}", flush=True)
            if time.monotonic() - began > 20:
                print(f"{case.name} took {time.monotonic() - began:.0f} s", flush=True)
    print(f"{len(chosen) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad or not chosen else 0


def outcome(case: Case, at: Grounds, port: socket.socket) -> list[str]:
    """What is wrong with how `case` ended."""
    told = at.inside.parent / "told"
    child = os.fork()
    if child == 0:
        _run(case, at, told)
    status, used = _wait(child)
    said = told.read_text(errors="replace") if told.exists() else ""
    faults = []
    if status is None:
        faults.append("it hung")
    elif os.WIFSIGNALED(status):
        faults.append(f"it died of {signal.Signals(os.WTERMSIG(status)).name}")
    elif (code := os.WEXITSTATUS(status)) not in FORGIVEN:
        faults.append(f"exit code {code}")
    if used and used.ru_maxrss >> 10 > MEMORY:
        faults.append(f"{used.ru_maxrss >> 10} MB")
    if "Traceback" in said or "a bug of avtool" in said:
        faults.append("a traceback")
    if said.count("\n") > LINES:
        faults.append(f"{said.count(chr(10))} lines")
    faults += [line for line in said.splitlines() if line.startswith("FORBIDDEN")]
    if select.select([port], [], [], 0)[0]:
        port.accept()[0].close()
        faults.append("it connected to a port")
    if at.marker.exists():
        at.marker.unlink()
        faults.append("it ran the code of a checkpoint")
    return [*faults, *([said.strip()[-300:]] if faults else [])]


def _wait(child: int) -> tuple[int | None, Any]:
    """How `child` ended, None where it had to be stopped, and what it used."""
    ends = time.monotonic() + WAITING
    while time.monotonic() < ends:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            return status, used
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None, None


def _load() -> None:
    """Import once, before the forks, what takes long to import."""
    import cv2  # noqa: F401
    import torch
    import whisperx  # noqa: F401

    import avmodels.run  # noqa: F401
    import avtool.cli.main
    import avtool.perceive.characters
    import avtool.speak  # noqa: F401

    torch.set_num_threads(1)


def _run(case: Case, at: Grounds, told: Path) -> NoReturn:
    """In the child: the command, watched; nothing of Python's own ending is run."""
    code = 99
    try:
        os.setsid()
        os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        for stream in (0, 1):
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        os.chdir(case.folder)
        os.environ["XDG_STATE_HOME"] = os.environ["XDG_CACHE_HOME"] = str(at.inside.parent / "home")
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(
            resource.RLIMIT_DATA, (4 * MEMORY << 20, 4 * MEMORY << 20)
        )  # the machine is not ours alone
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**30, 2**30))
        sys.addaudithook(_watch(at))
        code = _asked(case)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - the parent judges by what was printed
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stderr.flush()
        os._exit(code)


def _watch(at: Grounds) -> Any:
    """An audit hook that tells of what must not happen, and does not let it."""
    outside = str(at.secret.parent)
    programs = ("ffmpeg", "python", "espeak-ng")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        forbidden = (
            (event == "open" and str(arguments[0]).startswith(outside))
            or event in ("socket.connect", "socket.getaddrinfo", "os.system", "os.exec", "os.posix_spawn")
            or (event == "subprocess.Popen" and not any(one in str(arguments[0]) for one in programs))
        )
        if forbidden:
            os.write(2, f"FORBIDDEN {event} {str(arguments[:1])[:200]}\n".encode())
            raise PermissionError(f"{event} is forbidden here")

    return hook


def _asked(case: Case) -> int:
    from avtool.cli.main import run

    match case.command:
        case ("decode", path):
            return _told(lambda: _decode(Path(path)))
        case ("checkpoint", path):
            from avmodels.engine import weights

            return _told(lambda: weights.read(Path(path), "evad"))
        case ("portrait", path):
            from avtool.cast import Cast, CastMember
            from avtool.perceive.characters import bank

            member = CastMember.model_construct(name="Mara", images=(Path(path),), aliases=())
            return _told(lambda: bank(Cast.model_construct(cast=(member,), pronunciations={})))
        case command:
            return run(list(command))


def _told(work: Any) -> int:
    """The exit code of library calls, as the command line would give it."""
    from avmodels.errors import ModelsError
    from avtool.errors import AvtoolError

    try:
        work()
    except (AvtoolError, ModelsError) as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _decode(path: Path) -> None:
    """All of a film's pictures and sound, small, by both of the ways in which avtool reads them."""
    from avtool.media import audio, frames
    from avtool.media.probe import probe
    from avtool.timeline import SECOND, Span
    from avtool.tracks import loudness, sound

    film = probe(path)
    span = film.span.clip(
        Span(0, 120 * SECOND)
    )  # a film may tell of centuries, and have an hour of work for it
    if not span:
        return
    frames.show(film, [_Blind()], span=span)
    for _ in audio.blocks(film, span=span):
        pass
    if film.audio and film.duration <= span.duration:
        layout = sound.layout(film.audio[0])
        loudness.measure(sound.programme(film, film.audio[0], layout), "no sound")


class _Blind:
    """A perceiver that forgets what it is shown."""

    fps: float | None = 5.0
    size: tuple[int, int] | None = (27, 48)
    gray = False

    def see(self, times: Any, frames: Any) -> None: ...

    def finish(self) -> None: ...


if __name__ == "__main__":
    sys.exit(main())
