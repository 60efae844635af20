"""Working through a library: every film comes to an end, in the order of its stages, whatever its units do."""

from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool import interrupt
from avtool.errors import MediaError, ResourceError
from avtool.library.order import STAGES, Done, Order, Stage, Unit
from avtool.library.run import AGAIN, TRIES, Aside, Outcome, work_through
from avtool.library.workers import Lost
from avtool.timeline import SECOND

Ends = Done | Exception


class Bench:
    """An engine whose units end as they are told to, the last begun first."""

    def __init__(self, workers: int, end: Callable[[Unit, int], Ends]) -> None:
        self._workers = workers
        self._end = end
        self._running: deque[Unit] = deque()
        self.begun: list[tuple[Path, Stage]] = []

    @property
    def free(self) -> int:
        return self._workers - len(self._running)

    def submit(self, unit: Unit, limit: float) -> None:
        assert self.free > 0 and limit > 0
        self._running.append(unit)
        self.begun.append((unit.order.film, unit.stage))

    def wait(self) -> tuple[Unit, Ends]:
        unit = self._running.pop()
        return unit, self._end(unit, self.begun.count((unit.order.film, unit.stage)))

    def close(self) -> None:
        pass


def well(unit: Unit, _: int) -> Done:
    last = unit.stage == "script"
    return Done(60 * SECOND, descriptions=5 if last else None, finished=last)


def orders(count: int) -> list[Order]:
    return [Order(Path(f"{number}.mp4"), {}, {}) for number in range(count)]


def through(bench: Bench, count: int, folder: Path) -> list[Outcome]:
    return work_through(orders(count), bench, Aside(folder / "set-aside.json"))


def test_every_stage_follows_what_it_needs(tmp_path: Path):
    bench = Bench(3, well)
    outcomes = through(bench, 4, tmp_path)
    assert [(it.state, it.descriptions, it.duration) for it in outcomes] == [("described", 5, 60.0)] * 4
    assert len(set(bench.begun)) == len(bench.begun) == 4 * len(STAGES)
    for film, stage in bench.begun:
        before = bench.begun[: bench.begun.index((film, stage))]
        assert all((film, need) in before for need in STAGES[stage])


def test_a_film_begun_is_finished_first(tmp_path: Path):
    bench = Bench(1, well)
    through(bench, 3, tmp_path)
    assert [film for film, _ in bench.begun] == sorted(film for film, _ in bench.begun)


@pytest.mark.parametrize(
    ("error", "state", "begun"),
    [
        (MediaError("no film"), "failed", 1),
        (ResourceError("no room"), "failed", AGAIN),
        (ZeroDivisionError("a bug"), "failed", AGAIN),
        (Lost("its worker died"), "set aside", TRIES),
    ],
)
def test_what_fails_is_tried_as_often_as_it_may_help(
    tmp_path: Path, error: Exception, state: str, begun: int
):
    bench = Bench(
        2,
        lambda unit, n: error if (str(unit.order.film), unit.stage) == ("1.mp4", "sight") else well(unit, n),
    )
    outcomes = through(bench, 3, tmp_path)
    assert [it.state for it in outcomes] == ["described", state, "described"]
    assert str(error) in outcomes[1].reason or repr(error) in outcomes[1].reason
    assert bench.begun.count((Path("1.mp4"), "sight")) == begun
    assert (Path("1.mp4"), "script") not in bench.begun


def test_a_second_try_may_do(tmp_path: Path):
    bench = Bench(2, lambda unit, n: Lost("its worker died") if n < TRIES else well(unit, n))
    assert all(it.state == "described" for it in through(bench, 2, tmp_path))


def test_poison_is_not_tasted_again_until_the_film_changes(tmp_path: Path):
    film = tmp_path / "poison.mp4"
    film.write_bytes(b"poison")
    order, books = Order(film, {}, {}), tmp_path / "set-aside.json"
    [poisoned] = work_through([order], Bench(1, lambda *_: Lost("its worker died")), Aside(books))
    bench = Bench(1, well)
    [again] = work_through([order], bench, Aside(books))
    assert (again.state, bench.begun) == ("set aside", [])
    assert poisoned.reason in again.reason and "--force" in again.reason
    [forced] = work_through([Order(film, {}, {}, force=True)], bench, Aside(books))
    film.write_bytes(b"mended film")
    [mended] = work_through([order], bench, Aside(books))
    assert forced.state == mended.state == "described"


def test_what_is_finished_is_not_begun(tmp_path: Path):
    bench = Bench(2, lambda unit, _: Done(SECOND, finished=True))
    outcomes = through(bench, 2, tmp_path)
    assert [it.state for it in outcomes] == ["finished before"] * 2 and len(bench.begun) == 2


def test_ctrl_c_lets_what_is_under_way_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def end(unit: Unit, _: int) -> Done:
        monkeypatch.setattr(interrupt, "_asked", True)
        return well(unit, _)

    bench = Bench(2, end)
    with pytest.raises(KeyboardInterrupt):
        through(bench, 5, tmp_path)
    assert len(bench.begun) == 2


@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.lists(st.sampled_from(["well", "lost", "media", "bug", "room"]), min_size=1, max_size=40),
)
def test_every_film_comes_to_an_end(
    tmp_path_factory: pytest.TempPathFactory, workers: int, films: int, ends: list[str]
):
    fates = deque(ends)
    errors = {"lost": Lost("x"), "media": MediaError("x"), "bug": ValueError("x"), "room": ResourceError("x")}

    def end(unit: Unit, n: int) -> Ends:
        fates.rotate()
        return errors.get(fates[0]) or well(unit, n)

    told: list[tuple[int, int]] = []
    bench = Bench(workers, end)
    folder = tmp_path_factory.mktemp("books")
    outcomes = work_through(
        orders(films), bench, Aside(folder / "aside.json"), lambda *done: told.append(done)
    )
    assert all(it.over for it in outcomes)
    assert told == sorted(told) and told[-1][0] == told[-1][1] == films * len(STAGES)
    assert all(bool(it.reason) != it.good for it in outcomes)
