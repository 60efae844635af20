"""Errors for people: one line that says what is wrong, where, and what to do; exit code by kind."""

from __future__ import annotations


class AvtoolError(Exception):
    """A fault the user can mend. The message is the whole report; no traceback is shown."""

    exit_code = 1


class UsageError(AvtoolError):
    """The command line, a configuration, a cast file or a script is wrong."""

    exit_code = 2


class Findings(AvtoolError):
    """A check found errors, or a threshold was not met."""

    exit_code = 3


class MediaError(AvtoolError):
    """An input medium cannot be read."""

    exit_code = 4


class MissingError(AvtoolError):
    """A weight or an optional dependency is missing; the message is the command that gets it."""

    exit_code = 5


class PartialError(AvtoolError):
    """Some inputs failed; the others are done."""

    exit_code = 6


class ResourceError(AvtoolError):
    """Out of memory or disk."""

    exit_code = 7
