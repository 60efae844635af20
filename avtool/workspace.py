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
import re
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from avtool.errors import ResourceError, UsageError
from avtool.interrupt import safe_point
from avtool.storage import Store, is_url

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

    What a process that was killed left beside `path` goes as well. Raises UsageError where the folder cannot be
    written, ResourceError where the disk is full.
    """
    beside = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # there is nothing to clean up where nothing could be written
            beside.unlink()


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A folder beside `path` for what is needed only while `path` is made; it is gone when the block ends.

    Raises UsageError where it cannot be made, ResourceError where the disk is full.
    """
    parts = path.with_name(f"{path.name}.parts")
    folder = _beside(parts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(parts)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _beside(path: Path) -> Path:
    """Where this process writes what is to become `path`."""
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.part")


def _sweep(path: Path) -> None:
    """Remove what processes of this machine that are no more were writing to become `path`."""
    left = re.compile(rf"\.{re.escape(path.name)}\.{re.escape(socket.gethostname())}-(\d+)\.part")
    for entry in os.scandir(path.parent):
        if (found := left.fullmatch(entry.name)) and not _alive(int(found[1])):
            if entry.is_dir():
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with suppress(OSError):
                    os.unlink(entry.path)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


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


def refuse_input(path: Path, *inputs: Path) -> None:
    """Raise UsageError where `path` is one of `inputs`: nothing is read from and written to the same file."""
    for one in inputs:
        if path.resolve() == one.resolve() or (path.exists() and path.samefile(one)):
            raise UsageError(f"the output {path} is the input itself; choose another place with -o")


class _NotReplaced(Exception):
    """Nothing was written: the file stays as it was."""


def workspace(digest: str, within: str | Path | None = None, force: bool = False) -> Workspace:
    """The workspace of the film with this content digest, one of many `within` a folder (None: the user's cache).

    `within` may be the URL of a storage that machines share; this one then works on a copy of what it needs.
    """
    name = digest[:20]
    shared = Store(str(within)).within(name) if is_url(within) else None
    return Workspace(local(within) / name, force, shared)


def local(within: str | Path | None = None) -> Path:
    """The folder of this machine that holds the workspaces `within` a folder or URL."""
    from platformdirs import user_cache_path

    if is_url(within):
        return user_cache_path("avtool") / "shared" / key(within)
    return Path(within) if within else user_cache_path("avtool") / "films"


class Workspace:
    """The folder of one film."""

    def __init__(self, folder: Path, force: bool = False, shared: Store | None = None) -> None:
        """With `force`, what earlier runs left is not read. What is saved is kept in `shared` too, and what others
        saved there is read from it."""
        self.folder = folder
        self._force = force
        self._shared = shared
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
        if self._shared:
            # The records last: their header vouches for the stage's other files.
            for path in sorted(self.folder.glob(f"{stage}.*"), key=lambda path: path.suffix == ".jsonl"):
                self._shared.keep(path)
        self._fresh.add(stage)
        safe_point()

    def has(self, stage: str, key: str) -> bool:
        """Whether the stage's file was made for this key."""
        if self._force and stage not in self._fresh:
            return False
        if not self._made_for(stage, key) and self._shared:
            self._shared.fetch(f"{stage}.*", self.folder)
        return self._made_for(stage, key)

    def _made_for(self, stage: str, key: str) -> bool:
        try:
            with self.file(stage).open(encoding="utf-8") as file:
                return json.loads(file.readline()).get("key") == key
        except (OSError, ValueError):
            return False

    def clear(self) -> None:
        """Forget the records of every stage."""
        for path in self.folder.glob("*.jsonl"):
            path.unlink(missing_ok=True)
        if self._shared:
            self._shared.forget("*.jsonl")

    def discard(self, stage: str) -> None:
        """Forget the stage's records."""
        self.file(stage).unlink(missing_ok=True)
        if self._shared:
            self._shared.forget(self.file(stage).name)
