"""Workers on many machines, by Ray: it places the units and keeps the processes, each with models loaded once."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from avtool.errors import MissingError, UsageError
from avtool.library.order import Done, Stage, Unit, perform
from avtool.library.workers import Lost

# What runs networks that a GPU helps; reading and the embedded senses are made for the CPU.
ON_GPU: set[Stage] = {"actions"}
AHEAD = 2  # units a core that Ray is given ahead, so that no core waits for the next


class Cluster:
    """An engine as `Workers` is one. All machines must reach the films, the results and the workspaces by one name."""

    def __init__(self, address: str | None) -> None:
        """Join the cluster at `address`, or begin one on this machine.

        Raises MissingError where Ray is not installed, UsageError where nothing answers at the address.
        """
        try:
            import ray
            import ray.exceptions
        except ModuleNotFoundError as error:
            raise MissingError("Ray is missing: pip install 'avtool[ray]'") from error

        self._ray = ray
        self._errors = ray.exceptions
        try:
            ray.init(
                address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False
            )
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            raise UsageError(f"--address {address}: no Ray cluster answers there ({error})") from error
        # A unit that is lost comes back to us, who count how often.
        self._perform: Any = ray.remote(max_retries=0)(perform)
        self._running: dict[Any, _Under] = {}

    @property
    def free(self) -> int:
        """How many more units can be begun now."""
        return AHEAD * round(self._ray.cluster_resources().get("CPU", 0)) - len(self._running)

    def submit(self, unit: Unit, limit: float) -> None:
        """Begin a unit, which may take `limit` seconds once it runs."""
        gpu = unit.stage in ON_GPU and self._ray.cluster_resources().get("GPU", 0) >= 1
        placed = self._perform.options(num_cpus=1, num_gpus=int(gpu), scheduling_strategy="SPREAD")
        self._running[placed.remote(unit)] = _Under(unit, time.monotonic() + AHEAD * limit)

    def wait(self) -> tuple[Unit, Done | Exception]:
        """The next unit that ends, and what it came to; `Lost` where its worker died or was too slow."""
        errors = self._errors
        while True:
            soonest = min(under.deadline for under in self._running.values())
            timeout = max(0.1, soonest - time.monotonic())
            ended, _ = self._ray.wait([*self._running], num_returns=1, timeout=timeout)
            if not ended:
                for reference, under in self._running.items():
                    if under.deadline <= time.monotonic():
                        self._ray.cancel(reference, force=True)
                continue
            under = self._running.pop(ended[0])
            try:
                return under.unit, self._ray.get(ended[0])
            except errors.TaskCancelledError:
                return under.unit, Lost("it took too long")
            except errors.RayTaskError as error:
                return under.unit, error.cause
            except errors.RayError as error:
                return under.unit, Lost(f"its worker died ({type(error).__name__})")

    def close(self) -> None:
        """Leave the cluster; what runs there for us is ended."""
        self._ray.shutdown()


@dataclass(frozen=True, slots=True)
class _Under:
    """A unit under way."""

    unit: Unit
    deadline: float
