"""A library gives what its films give one by one: on workers, on a cluster, and when one of them is killed."""

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import ffmpeg
import psutil
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from avtool.cli.main import run

EXAMPLES = Path(__file__).parents[2] / "examples"
FILM = EXAMPLES / "the-quiet-street.mp4"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three short films, and one that is none; each has its cast file but one."""
    folder = tmp_path_factory.mktemp("films")
    for number, start in enumerate((0, 14, 20)):
        cut = ffmpeg.input(str(FILM), ss=start, t=4).output(
            str(folder / f"part{number}.mp4"), video_bitrate="1M"
        )
        cut.run(cmd=get_ffmpeg_exe(), quiet=True)
    (folder / "broken.mp4").write_text("no film")
    shutil.copytree(EXAMPLES / "cast", folder / "casts" / "cast")
    for number in range(2):
        shutil.copy(EXAMPLES / "cast.json", folder / "casts" / f"part{number}.json")
    return folder


@pytest.fixture(scope="module")
def one_by_one(films: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What describing the films in turn, in this process, leaves."""
    folder = tmp_path_factory.mktemp("serial")
    for film in sorted(films.glob("part*.mp4")):
        cast = films / "casts" / f"{film.stem}.json"
        named = ["--cast", str(cast)] if cast.exists() else []
        assert (
            run(["describe", str(film), *named, "-o", f"{folder}/out/", "--work", f"{folder}/work", "-q"])
            == 0
        )
    return left_in(folder)


def left_in(folder: Path) -> dict[str, bytes]:
    """Every file but the books that are kept of time and memory."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("delivered.jsonl", "stats.jsonl", "set-aside.json")
    }


def describe(films: Path, folder: Path, *options: str) -> int:
    return run(
        ["describe", str(films), "--cast-dir", f"{films}/casts", "-o", f"{folder}/out/"]
        + ["--work", f"{folder}/work", *options]
    )


def test_two_workers_leave_the_same_bytes(
    films: Path, one_by_one: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert describe(films, tmp_path, "--workers", "2", "--json", "--progress", "json") == 6
    assert left_in(tmp_path) == one_by_one
    out, err = capsys.readouterr()
    told = {Path(film["film"]).name: film for film in json.loads(out)["films"]}
    assert told["broken.mp4"]["state"] == "failed" and "text, not a film" in told["broken.mp4"]["reason"]
    assert {film["state"] for name, film in told.items() if name != "broken.mp4"} == {"described"}
    assert "part2.mp4 has no cast file" in err
    steps = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert steps[-1]["stage"] == "library" and steps[-1]["done"] == steps[-1]["total"]

    assert describe(films, tmp_path, "--workers", "1", "--json") == 6
    again = {Path(film["film"]).name: film["state"] for film in json.loads(capsys.readouterr().out)["films"]}
    assert {state for name, state in again.items() if name != "broken.mp4"} == {"finished before"}


def test_a_worker_that_is_killed_costs_nothing_but_time(
    films: Path, one_by_one: dict[str, bytes], tmp_path: Path
):
    with soon(lambda: busy_worker(tmp_path).kill()):
        assert describe(films, tmp_path, "--workers", "2", "-q") == 6
    assert left_in(tmp_path) == one_by_one


def busy_worker(folder: Path) -> psutil.Process:
    """The worker that has begun to watch a film; raises LookupError while none has."""
    if not any(folder.glob("work/*/speech.jsonl")):
        raise LookupError
    workers = [one for one in psutil.Process().children() if "spawn_main" in " ".join(one.cmdline())]
    return max(workers, key=lambda one: one.cpu_times().user)


@contextmanager
def soon(deed: Callable[[], object]) -> Iterator[None]:
    """Does something in a thread as soon as it can be done (while not, it raises LookupError) as the block runs."""
    over, done = threading.Event(), threading.Event()

    def tries() -> None:
        while not over.wait(0.1) and not done.is_set():
            with suppress(LookupError):
                deed()
                done.set()

    thread = threading.Thread(target=tries)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert done.is_set(), "what was to happen meanwhile never happened"


@pytest.fixture
def cluster() -> Iterator[object]:
    """A Ray cluster of two nodes, of one core each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield made
    made.shutdown()


@pytest.mark.slow
def test_a_node_that_is_lost_half_way_costs_nothing_but_time(
    films: Path, one_by_one: dict[str, bytes], tmp_path: Path, cluster: object
):
    second = cluster.add_node(num_cpus=1)  # pyright: ignore[reportAttributeAccessIssue]

    def lose() -> None:
        if not any(tmp_path.glob("work/*/speech.jsonl")):
            raise LookupError
        cluster.remove_node(second, allow_graceful=False)  # pyright: ignore[reportAttributeAccessIssue]

    address = cluster.address  # pyright: ignore[reportAttributeAccessIssue]
    with soon(lose):
        assert describe(films, tmp_path, "--engine", "ray", "--address", address, "-q") == 6
    assert left_in(tmp_path) == one_by_one


def test_what_an_engine_lacks_is_told(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    began = time.monotonic()
    assert describe(films, tmp_path, "--address", "127.0.0.1:1") == 2
    assert "--engine ray" in capsys.readouterr().err
    assert describe(films, tmp_path, "--cast", f"{films}/casts/part0.json") == 2
    assert "--cast-dir" in capsys.readouterr().err
    assert time.monotonic() - began < 60
