"""Working through a library: every film's units in their order, what fails tried elsewhere, what is poison set aside."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from avtool import interrupt
from avtool.errors import AvtoolError, ResourceError
from avtool.library.order import STAGES, Done, Order, Stage, Unit
from avtool.library.workers import Lost
from avtool.timeline import SECOND
from avtool.workspace import replacing

TRIES = 3  # of a unit whose worker dies: it may be the machine, but three machines are no accident
AGAIN = 2  # tries of a unit that fails in a way nobody foresaw, or for want of memory or disk
OPENING = 120.0  # seconds that opening a film may take at most
SLOWEST = 30.0  # and every second of film in every other unit

Tell = Callable[[int, int], None]  # (units done, units in all)


class Engine(Protocol):
    """Where units run."""

    @property
    def free(self) -> int: ...
    def submit(self, unit: Unit, limit: float) -> None: ...
    def wait(self) -> tuple[Unit, Done | Exception]: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class Outcome:
    """What became of one film. `duration` and `took` are in seconds; `took` is from its first unit to its last."""

    order: Order
    state: Literal["waiting", "described", "finished before", "failed", "set aside"] = "waiting"
    reason: str = ""
    duration: float = 0.0
    took: float = 0.0
    descriptions: int | None = None
    done: set[Stage] = field(default_factory=set)
    began: float | None = None

    @property
    def over(self) -> bool:
        return self.state != "waiting"

    @property
    def good(self) -> bool:
        return self.state in ("described", "finished before")


def work_through(
    orders: Sequence[Order], engine: Engine, aside: Aside, tell: Tell | None = None
) -> list[Outcome]:
    """Do every order on `engine`. One film's failure is its own.

    Raises KeyboardInterrupt when asked to stop, once the units under way are done.
    """
    outcomes = {order.film: Outcome(order) for order in orders}
    ready = deque(Unit(order, "opening") for order in orders if not _set_aside(outcomes[order.film], aside))
    tries: dict[tuple[Path, Stage], int] = {}
    running = 0
    while ready or running:
        while ready and engine.free > 0 and not interrupt.asked():
            unit = ready.popleft()
            outcome = outcomes[unit.order.film]
            if outcome.over:  # another of its units failed meanwhile
                continue
            outcome.began = outcome.began or time.monotonic()
            engine.submit(unit, OPENING + SLOWEST * outcome.duration)
            running += 1
        if not running:
            interrupt.safe_point()
            continue
        unit, end = engine.wait()
        running -= 1
        outcome = outcomes[unit.order.film]
        if isinstance(end, Done):
            ready.extendleft(_after(outcome, unit.stage, end))  # a film begun is finished first
        elif not outcome.over:
            which = unit.order.film, unit.stage
            tries[which] = tries.get(which, 0) + 1
            if tries[which] < _tries(end):
                ready.append(unit)
            else:
                _fail(outcome, end, aside)
        if tell:
            films = outcomes.values()
            tell(sum(len(STAGES) if it.over else len(it.done) for it in films), len(STAGES) * len(films))
    return list(outcomes.values())


def _after(outcome: Outcome, stage: Stage, done: Done) -> list[Unit]:
    """Note that a stage is done; the units that can follow."""
    outcome.done.add(stage)
    outcome.duration = done.duration / SECOND
    assert outcome.began is not None
    outcome.took = time.monotonic() - outcome.began
    if done.finished and not outcome.over:
        outcome.state = "finished before" if stage == "opening" else "described"
        outcome.descriptions = done.descriptions
    if outcome.over:
        return []
    return [
        Unit(outcome.order, one)
        for one, needs in STAGES.items()
        if stage in needs and outcome.done.issuperset(needs)
    ]


def _tries(error: Exception) -> int:
    match error:
        case Lost():
            return TRIES
        case AvtoolError() if not isinstance(error, ResourceError):
            return 1  # it says what is wrong with the film or the order: the same everywhere
        case _:
            return AGAIN


def _fail(outcome: Outcome, error: Exception, aside: Aside) -> None:
    outcome.state, outcome.reason = "failed", str(error)
    if isinstance(error, Lost):
        outcome.state, outcome.reason = "set aside", f"{error}, {TRIES} times"
        aside.put(outcome.order.film, outcome.reason)
    elif not isinstance(error, AvtoolError):
        outcome.reason = f"unexpected error, a bug of avtool: {error!r}"


def _set_aside(outcome: Outcome, aside: Aside) -> bool:
    reason = None if outcome.order.force else aside.why(outcome.order.film)
    if reason is not None:
        outcome.state, outcome.reason = "set aside", f"{reason}; --force tries again"
    return reason is not None


class Aside:
    """The films that kill their workers, on disk, so that the next run does not die of them again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._reasons: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._reasons = {}

    def why(self, film: Path) -> str | None:
        """Why the film was set aside; None where it was not, or has changed since."""
        return self._reasons.get(_as_it_is(film))

    def put(self, film: Path, reason: str) -> None:
        """Set the film aside, as it is now."""
        self._reasons[_as_it_is(film)] = reason
        with replacing(self._path) as beside:
            beside.write_text(json.dumps(self._reasons, indent=1), encoding="utf-8")


def _as_it_is(film: Path) -> str:
    try:
        state = film.stat()
    except OSError:
        return str(film.absolute())
    return f"{film.absolute()} {state.st_size} {state.st_mtime_ns}"
