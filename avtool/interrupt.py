"""Ctrl-C: once finishes the stage under way and stops, twice stops now. Signals are per process, so is this."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_asked = False


@contextmanager
def graceful(tell: Callable[[], None]) -> Iterator[None]:
    """Inside the block the first Ctrl-C only calls `tell`; `safe_point` then stops. The second raises at once."""
    global _asked
    _asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        global _asked
        if _asked:
            raise KeyboardInterrupt
        _asked = True
        tell()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _asked = False


def asked() -> bool:
    """Whether the user asked to stop."""
    return _asked


def safe_point() -> None:
    """Called where everything so far is on disk: stops here if the user asked for it."""
    if _asked:
        raise KeyboardInterrupt
