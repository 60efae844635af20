"""Captioned pictures in tar files, as img2dataset and webdataset leave them."""

from __future__ import annotations

import json
import sys
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from avmodels.errors import DataError

PICTURES = ("jpg", "jpeg", "png", "webp")


class Place(NamedTuple):
    """Where a picture's bytes are; with `size` 0 the whole file."""

    path: Path
    offset: int = 0
    size: int = 0

    def read(self) -> bytes:
        """The bytes. Raises OSError."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size or -1)


class Row(NamedTuple):
    """A picture's name in the tag index, where it is, and its caption."""

    name: str
    place: Place
    caption: str


def tar_rows(folder: Path) -> Iterator[Row]:
    """The captioned pictures of a folder's tar files, named by the `url` of their JSON, else by their member's name.

    A tar that breaks off gives what stands before the break; that, samples without a picture or caption, and gaps in
    the tars' numbers are told on standard error. Raises DataError where there are no tar files.
    """
    tars = sorted(folder.glob("*.tar"))
    if not tars:
        raise DataError(f"{folder} holds neither captions.csv nor tar files")
    numbers = {int(path.stem) for path in tars if path.stem.isdecimal()}
    missing = max(numbers) - min(numbers) + 1 - len(numbers) if numbers else 0
    if missing:
        told = f"{min(numbers):05}.tar to {max(numbers):05}.tar of {folder}"
        print(f"missing: {missing} tar files from {told}", file=sys.stderr)
    for path in tars:
        lacking = 0
        try:
            with tarfile.open(path, "r:") as archive:
                files = (member for member in archive if member.isfile())
                for _, members in groupby(files, key=lambda member: key_and_kind(member.name)[0]):
                    row = sample(path, archive, list(members))
                    lacking += row is None
                    if row is not None:
                        yield row
        except (tarfile.TarError, OSError) as error:
            print(f"skipped: the rest of {path}: {error}", file=sys.stderr)
        if lacking:
            print(f"skipped: {lacking} samples of {path} without a picture or a caption", file=sys.stderr)


def sample(path: Path, archive: tarfile.TarFile, members: list[tarfile.TarInfo]) -> Row | None:
    """The picture and caption that members of one key make; None where one of them lacks."""
    kinds = {key_and_kind(member.name)[1]: member for member in members}
    picture = next((kinds[kind] for kind in PICTURES if kind in kinds), None)
    facts = text_of(archive, kinds.get("json"))
    try:
        about = json.loads(facts) if facts else {}
    except json.JSONDecodeError:
        about = {}
    about = about if isinstance(about, dict) else {}
    caption = text_of(archive, kinds.get("txt")) or str(about.get("caption") or "")
    if picture is None or not caption.strip():
        return None
    place = Place(path, picture.offset_data, picture.size)
    return Row(str(about.get("url") or picture.name), place, caption.strip())


def text_of(archive: tarfile.TarFile, member: tarfile.TarInfo | None) -> str:
    """What a member holds, as text; nothing for none."""
    file = archive.extractfile(member) if member is not None else None
    return file.read().decode("utf-8", errors="replace") if file is not None else ""


def key_and_kind(name: str) -> tuple[str, str]:
    """A member's name up to the first dot of its last part, and the rest in lower case."""
    path = PurePosixPath(name)
    stem, _, kind = path.name.partition(".")
    return str(path.with_name(stem)) if stem else name, kind.lower()
