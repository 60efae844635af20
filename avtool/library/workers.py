"""Workers on this machine: processes that live on, each with models loaded once and cores of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.connection import wait as wait_for

from avtool import cores
from avtool.library.order import Done, Unit, perform

MEMORY = 2 << 30  # bytes that a worker may need


class Lost(Exception):
    """A unit's worker is gone, or was ended because the unit took too long."""


def room() -> int:
    """How many workers this machine has cores and memory for."""
    import psutil

    return max(1, min(len(cores.mine()), psutil.virtual_memory().available // MEMORY))


class Workers:
    """An engine: units go in with `submit`, and come out of `wait` as they are done."""

    def __init__(self, count: int) -> None:
        every = cores.mine()
        self._seats = [_Seat(every[number :: max(1, count)] or every) for number in range(count)]
        self._running: dict[Future[Done], _Seat] = {}

    @property
    def free(self) -> int:
        """How many more units can be begun now."""
        return len(self._seats) - len(self._running)

    def submit(self, unit: Unit, limit: float) -> None:
        """Begin a unit, which may take `limit` seconds. There must be a free worker."""
        seat = next(seat for seat in self._seats if seat not in self._running.values())
        seat.unit, seat.deadline = unit, time.monotonic() + limit
        self._running[seat.begin(unit)] = seat

    def wait(self) -> tuple[Unit, Done | Exception]:
        """The next unit that ends, and what it came to; `Lost` where its worker died or was too slow."""
        while True:
            soonest = min(seat.deadline for seat in self._running.values())
            timeout = max(0.0, soonest - time.monotonic())
            ended = wait(self._running, timeout, FIRST_COMPLETED).done
            if not ended:
                for seat in self._running.values():
                    if seat.deadline <= time.monotonic():
                        seat.end()
                continue
            future = ended.pop()
            seat = self._running.pop(future)
            assert seat.unit is not None
            try:
                return seat.unit, future.result()
            except BrokenProcessPool:
                late = seat.deadline <= time.monotonic()
                seat.end()
                return seat.unit, Lost("it took too long" if late else "its worker died")
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the unit's
                return seat.unit, error

    def close(self) -> None:
        """Let the workers go; those that are at a unit are ended."""
        for seat in self._seats:
            seat.end(now=seat in self._running.values())


@dataclass(eq=False)
class _Seat:
    """Where one worker sits: one that dies is followed by a fresh one."""

    cores: Sequence[int]
    unit: Unit | None = None
    deadline: float = 0.0
    _pool: ProcessPoolExecutor | None = field(default=None, repr=False)

    def begin(self, unit: Unit) -> Future[Done]:
        if self._pool is None:
            # Forked, a worker would inherit the threads' locks of what is loaded here, but not the threads.
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, spawn, _sit_down, (self.cores,))
        return self._pool.submit(perform, unit)

    def end(self, now: bool = True) -> None:
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()) if now else []:
                process.kill()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _sit_down(mine: Sequence[int]) -> None:
    """What a worker does first."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, mine)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who hands out the work
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)
