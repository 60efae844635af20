"""What has been computed for a film, on disk: one file a stage, written atomically, resumable.

A stage's file begins with a header that holds its key: a hash of everything the stage depends on (the
film's content, the part looked at, the weights, the options, the keys of the stages it reads). A file whose
key differs is stale and is computed again.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from avtool.errors import ResourceError, UsageError
from avtool.interrupt import safe_point

Record = TypeVar("Record")

# What a system says of a write for which there is no room: on the disk, in a quota, under a limit.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def key(*parts: Any) -> str:
    """A short hash of `parts`, the same on every machine and in every run."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it becomes `path` when the block ends, and is gone if it fails.

    Raises UsageError where the folder cannot be written, ResourceError where the disk is full.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # there is nothing to clean up where nothing could be written
            beside.unlink()


def cannot_write(path: Path, error: OSError) -> UsageError | ResourceError:
    """What to tell of a failed write to `path`."""
    if error.errno in FULL:
        return ResourceError(f"the disk is full: cannot write {path}; free some space and run again")
    return UsageError(
        f"cannot write {path}: {(error.strerror or str(error)).lower()}; choose another place with -o or --work"
    )


def writable(path: Path) -> None:
    """Raises UsageError where `path` could not be written, before hours of work are spent on it."""
    with suppress(_NotReplaced), replacing(path) as beside:
        beside.touch()
        raise _NotReplaced


class _NotReplaced(Exception):
    """Nothing was written: the file stays as it was."""


def folder_of(digest: str, within: str | Path | None = None) -> Path:
    """The workspace of the film with this content digest, one of many `within` a folder (None: the user's cache)."""
    from platformdirs import user_cache_path

    return (Path(within) if within else user_cache_path("avtool") / "films") / digest[:20]


class Workspace:
    """The folder of one film."""

    def __init__(self, folder: Path, force: bool = False) -> None:
        """With `force`, what earlier runs left is not read."""
        self.folder = folder
        self._force = force
        self._fresh: set[str] = set()

    def file(self, stage: str, suffix: str = ".jsonl") -> Path:
        return self.folder / f"{stage}{suffix}"

    def load(self, stage: str, key: str, record: type[Record]) -> list[Record] | None:
        """The stage's records, or None where there are none for this key."""
        if not self.has(stage, key):
            return None
        from pydantic import TypeAdapter

        with self.file(stage).open(encoding="utf-8") as lines:
            next(lines)
            adapter = TypeAdapter(record)
            return [adapter.validate_python(json.loads(line)) for line in lines]

    def save(self, stage: str, key: str, records: Sequence[Any], **made_with: Any) -> None:
        """Write the stage's records (dataclasses), and in the header what made them."""
        header = {"stage": stage, "key": key, **made_with}
        with replacing(self.file(stage)) as part, part.open("w", encoding="utf-8") as file:
            print(json.dumps(header, default=str), file=file)
            for record in records:
                print(json.dumps(dataclasses.asdict(record), ensure_ascii=False, default=str), file=file)
        self._fresh.add(stage)
        safe_point()

    def has(self, stage: str, key: str) -> bool:
        """Whether the stage's file was made for this key."""
        if self._force and stage not in self._fresh:
            return False
        try:
            with self.file(stage).open(encoding="utf-8") as file:
                return json.loads(file.readline()).get("key") == key
        except (OSError, ValueError):
            return False

    def discard(self, stage: str) -> None:
        """Forget the stage's records."""
        self.file(stage).unlink(missing_ok=True)
