"""What every stage of a film took: kept in its workspace, and told to OpenTelemetry where an endpoint is set."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

LEDGER = "stats.jsonl"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"  # of OpenTelemetry's own specification


@dataclass(frozen=True, slots=True)
class Taken:
    """What one stage took: seconds, processor seconds of the whole process meanwhile, and its peak memory in MB."""

    film: str
    stage: str
    film_seconds: float
    began: float  # seconds since 1970
    seconds: float
    processor: float
    peak: float
    host: str


@contextmanager
def taking(folder: Path, film: Path, stage: str, film_seconds: float) -> Iterator[None]:
    """Notes in the workspace `folder` what the block takes; what fails is not noted."""
    began, clock, processor = time.time(), time.perf_counter(), time.process_time()
    _forget_peak()
    with _span(film, stage):
        yield
    taken = Taken(
        str(film),
        stage,
        film_seconds,
        began,
        time.perf_counter() - clock,
        time.process_time() - processor,
        _peak(),
        socket.gethostname(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(OSError), (folder / LEDGER).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(taken)) + "\n")


def read(work: Path) -> list[Taken]:
    """What the stages took of the film whose workspace `work` is, or of all films whose workspaces it holds."""
    found = []
    for path in sorted([*work.glob(LEDGER), *work.glob(f"*/{LEDGER}")]):
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, TypeError):  # a line that was cut off
                found.append(Taken(**json.loads(line)))
    return sorted(found, key=lambda taken: taken.began)


def _forget_peak() -> None:
    """Let the peak of memory begin anew, where Linux allows it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """The peak of memory in MB."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import psutil

    return psutil.Process().memory_info().rss / (1 << 20)


@contextmanager
def _span(film: Path, stage: str) -> Iterator[None]:
    tracer = _tracer()
    if tracer is None:
        yield
        return
    with tracer.start_as_current_span(stage, attributes={"avtool.film": str(film)}):
        yield


@cache
def _tracer() -> Tracer | None:
    """OpenTelemetry's, once its endpoint is set; None otherwise: nothing is told to anybody by default."""
    if not os.environ.get(ENDPOINT):
        return None
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named: dict[str, Any] = {"service.name": "avtool"}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return trace.get_tracer("avtool")
