"""What a run says: a bar and a line an epoch on stderr, JSON lines, TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# One object a line: {"step": 12, "epoch": 0, "loss": ...} and, after an evaluation, its metrics.
RECORDS = "log.jsonl"


def records(run: Path) -> list[dict[str, Any]]:
    """The records of a run so far."""
    path = run / RECORDS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Log:
    """Writes a run's records; silent in all processes but the `main` one.

    A run that goes on at `start` forgets what an earlier try recorded from there on.
    """

    def __init__(self, run: Path, start: int, total: int, main: bool):
        self._main = main
        if not main:
            return
        from torch.utils.tensorboard.writer import SummaryWriter

        kept = [record for record in records(run) if record["step"] < start]
        (run / RECORDS).write_text("".join(json.dumps(record) + "\n" for record in kept))
        self._file = (run / RECORDS).open("a", buffering=1)
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=start)
        self._console = Console(stderr=True)
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        self._progress = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._bar = self._progress.add_task("", total=total, completed=start)
        self._progress.start()

    def step(self, step: int, **values: float) -> None:
        """Records one step's values."""
        if self._main:
            self._record(step, values)
            self._progress.update(self._bar, completed=step + 1, description=f"loss {values['loss']:.4f}")

    def epoch(self, step: int, epoch: int, **values: float) -> None:
        """Records and prints what an epoch, whose last step is `step`, came to."""
        if self._main:
            self._record(step, {"epoch": epoch, **values})
            words = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            self._console.print(f"epoch {epoch + 1}  {words}", highlight=False, soft_wrap=True)

    def warning(self, message: str) -> None:
        """Prints a line that a person should see; every process may."""
        (self._console if self._main else Console(stderr=True)).print(
            message, highlight=False, markup=False, soft_wrap=True
        )

    def close(self) -> None:
        if self._main:
            self._progress.stop()
            self._board.close()
            self._file.close()

    def _record(self, step: int, values: dict[str, float]) -> None:
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            if name != "epoch":
                self._board.add_scalar(name, value, step)
