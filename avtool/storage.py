"""Storage that many machines share, through fsspec: s3, gs, and whatever else it knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from avtool.errors import MissingError, ResourceError, UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

EXTRAS = {"s3": "s3", "gs": "gs"}  # protocols whose package is an extra of avtool


def is_url(place: str | Path | None) -> bool:
    """Whether `place` is reached by a URL rather than a path."""
    return "://" in str(place)


@dataclass(frozen=True, slots=True)
class Store:
    """One folder of a shared storage. Files come and go whole: what is read is what somebody finished writing.

    Every method raises UsageError for a protocol nobody knows, MissingError where its package is not installed, and
    ResourceError where the storage does not answer.
    """

    url: str

    def within(self, name: str) -> Store:
        """The folder `name` inside this one."""
        return Store(f"{self.url.rstrip('/')}/{name}")

    def fetch(self, pattern: str, folder: Path) -> None:
        """Copy the files whose names match `pattern` into the local `folder`."""
        from avtool.workspace import replacing

        with self._opened() as (system, root):
            for remote in system.glob(f"{root}/{pattern}"):
                with replacing(folder / Path(str(remote)).name) as beside:
                    system.get_file(remote, str(beside))

    def keep(self, file: Path) -> None:
        """Copy a local file here."""
        import os
        import socket

        with self._opened() as (system, root):
            beside = f"{root}/.{file.name}.{socket.gethostname()}-{os.getpid()}.part"
            system.makedirs(root, exist_ok=True)
            system.put_file(str(file), beside)
            system.mv(beside, f"{root}/{file.name}")

    def forget(self, pattern: str) -> None:
        """Remove the files whose names match `pattern`."""
        with self._opened() as (system, root):
            for remote in system.glob(f"{root}/{pattern}"):
                with suppress(FileNotFoundError):  # another machine was quicker
                    system.rm_file(str(remote))

    @contextmanager
    def _opened(self) -> Iterator[tuple[AbstractFileSystem, str]]:
        """The file system, and the folder's name on it."""
        from fsspec.core import url_to_fs

        protocol = self.url.partition("://")[0]
        try:
            # Without a cache of listings: what another machine wrote a moment ago must be seen.
            system, root = url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            how = f"pip install 'avtool[{EXTRAS[protocol]}]'" if protocol in EXTRAS else str(error)
            raise MissingError(f"the package for {protocol}:// is missing: {how}") from error
        except ValueError as error:
            raise UsageError(f"--work {self.url}: {error}") from error
        try:
            yield system, root.rstrip("/")
        except (OSError, ValueError) as error:
            raise ResourceError(f"the storage {self.url} does not answer as it should: {error}") from error
