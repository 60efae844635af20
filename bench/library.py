"""What a library costs: `python bench/library.py [--json FILE]`.

Films are cut from the example and looped. Three ratios: how much more two workers get done than one (a core each),
how the cost of a film-hour grows with a film's length, and what the engine adds to a bare loop over the same units in
one worker's place.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ffmpeg
from imageio_ffmpeg import get_ffmpeg_exe

from avtool import cores
from avtool.library.order import STAGES, Order, Unit, perform
from avtool.library.run import Aside, work_through
from avtool.library.workers import Workers
from avtool.settings import Settings

EXAMPLE = Path(__file__).parents[1] / "examples" / "the-quiet-street.mp4"
FILMS, SECONDS = 6, 20  # of the library that workers share
LENGTHS = (1, 10, 60)  # minutes


def cut(path: Path, start: float, seconds: float) -> Path:
    """`seconds` of the example from `start` on, as small as a preview copy; it begins anew when it ends."""
    film = ffmpeg.input(str(EXAMPLE), stream_loop=-1, ss=start)
    film.output(str(path), t=seconds, vf="scale=640:-2", preset="veryfast").run(
        cmd=get_ffmpeg_exe(), quiet=True
    )
    return path


def orders(films: Sequence[Path], place: Path) -> list[Order]:
    asked: dict[str, Any] = {"settings": Settings(), "work": place / "work"}
    return [Order(film, asked, {"srt": place / f"{film.stem}.srt"}) for film in films]


def timed(films: Sequence[Path], place: Path, workers: int) -> float:
    """Seconds of working through `films`, each worker warm: it has described a film before."""
    engine = Workers(workers)
    try:
        warm = orders(films[:workers], place / "warm")
        work_through(warm, engine, Aside(place / "aside.json"))
        began = time.perf_counter()
        done = work_through(orders(films, place), engine, Aside(place / "aside.json"))
        took = time.perf_counter() - began
    finally:
        engine.close()
    assert all(outcome.state == "described" for outcome in done), [outcome.reason for outcome in done]
    return took


def bare(films: Sequence[Path], place: Path) -> float:
    """Seconds of the same units in a plain loop on one core, warm too."""
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores.mine()[:1])
    try:
        for order in orders(films[:1], place / "warm"):
            for stage in STAGES:
                perform(Unit(order, stage))
        began = time.perf_counter()
        for order in orders(films, place):
            for stage in STAGES:
                perform(Unit(order, stage))
        return time.perf_counter() - began
    finally:
        os.sched_setaffinity(0, every)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--lengths", action="store_true", help="only the cost of a film-hour, which takes longest"
    )
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    numbers: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if options.lengths:
            for minutes in LENGTHS:
                film = cut(place / f"{minutes}.mp4", 0, 60 * minutes)
                took = timed([film], place / str(minutes), 1)
                numbers[f"core_seconds_a_film_second_{minutes}_min"] = took / (60 * minutes)
            costs = list(numbers.values())
            numbers["dearest_over_cheapest_length"] = max(costs) / min(costs)
        else:
            films = [cut(place / f"{number}.mp4", 5 * number, SECONDS) for number in range(FILMS)]
            one, two = (timed(films, place / f"{count}-workers", count) for count in (1, 2))
            loop = bare(films, place / "bare")
            numbers = {
                "seconds_one_worker": one,
                "seconds_two_workers": two,
                "seconds_bare_loop": loop,
                "two_workers_over_one": one / two,
                "engine_over_bare_loop": one / loop,
            }
    for name, number in numbers.items():
        print(f"{name:40} {number:.3f}")
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
