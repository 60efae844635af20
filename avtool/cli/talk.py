"""How much is said on stderr."""

from __future__ import annotations

import logging
import sys


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname.lower()}: {record.getMessage()}"


def talk(quiet: bool, verbose: bool) -> None:
    """Send avtool's own log to stderr, a line a message: errors only, warnings, or everything."""
    log = logging.getLogger("avtool")
    log.setLevel(logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine())
    log.handlers = [handler]
    log.propagate = False
