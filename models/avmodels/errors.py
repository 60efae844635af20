"""Errors for people: one line that says what is wrong, where, and what to do; exit code by kind."""

from __future__ import annotations


class ModelsError(Exception):
    """A fault the user can mend. The message is the whole report; no traceback is shown."""

    exit_code = 1


class ConfigError(ModelsError):
    """A model name, a configuration or an override is wrong."""

    exit_code = 2


class DataError(ModelsError):
    """A list, a clip or a folder of data cannot be used."""

    exit_code = 4


class WeightsError(ModelsError):
    """A checkpoint is missing, unsafe, or belongs to another model."""

    exit_code = 5


class DivergedError(ModelsError):
    """The loss is no longer a number."""

    exit_code = 3


class SpaceError(ModelsError):
    """Out of memory or disk."""

    exit_code = 7
