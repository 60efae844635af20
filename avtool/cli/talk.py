"""What is said on stderr, how much of it, and in which form."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime

_as_json = False


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level, message = record.levelname.lower(), record.getMessage()
        return _object(level, message, record.created) if _as_json else f"{level}: {message}"


def in_json(wanted: bool) -> None:
    """Whether every line on stderr that is no progress is a JSON object."""
    global _as_json
    _as_json = wanted


def tell(message: str, level: str = "error") -> None:
    """A line about the command as a whole."""
    print(_object(level, message, time.time()) if _as_json else f"avtool: {message}", file=sys.stderr)


def _object(level: str, message: str, at: float) -> str:
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": when, "level": level, "message": message}, ensure_ascii=False)


def talk(quiet: bool, verbose: bool) -> None:
    """Send avtool's own log to stderr, a line a message: errors only, warnings, or everything."""
    log = logging.getLogger("avtool")
    log.setLevel(logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine())
    log.handlers = [handler]
    log.propagate = False
