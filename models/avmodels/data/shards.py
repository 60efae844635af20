"""Images in tar files, as webdataset keeps them, found by number.

Knowing where every image lies, the order of training is drawn over all of them and cut among processes and
workers: each image is read exactly once an epoch, which streaming whole tars cannot promise.
"""

from __future__ import annotations

import json
import sys
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath

from torchvision.datasets.folder import IMG_EXTENSIONS

from avmodels.data.images import Picture
from avmodels.errors import DataError

KINDS = tuple(suffix.removeprefix(".") for suffix in IMG_EXTENSIONS)


def labelled(tars: list[Path], classes: int) -> list[Picture]:
    """The images of some tar files, their class in a `.cls` beside them or under `label` in a `.json`.

    A tar that breaks off gives what stands before the break; that, and samples that lack image or class, are told
    on standard error. Raises DataError where a class is not below `classes`, or no tar holds anything.
    """
    pictures = [picture for path in tars for picture in of_tar(path)]
    if not pictures:
        raise DataError(f"{tars[0]} and its like hold no images with classes")
    for picture in pictures:
        if not 0 <= picture.label < classes:
            raise DataError(
                f"{picture}: class {picture.label}, but the network has {classes} (0 to {classes - 1})"
            )
    return pictures


def found(tars: list[Path]) -> list[Picture]:
    """The images of some tar files, those without a class too (-1). Raises DataError where there is none."""
    pictures = [picture for path in tars for picture in of_tar(path, classes=False)]
    if not pictures:
        raise DataError(f"{tars[0]} and its like hold no images")
    return pictures


def of_tar(path: Path, classes: bool = True) -> Iterator[Picture]:
    """The images of one tar, in its order; with `classes`, those that have one."""
    lacking = 0
    try:
        with tarfile.open(path, "r:") as archive:
            files = (member for member in archive if member.isfile())
            for _, members in groupby(files, key=lambda member: key_and_kind(member.name)[0]):
                by_kind = {key_and_kind(member.name)[1]: member for member in members}
                picture = sample(path, archive, by_kind, classes)
                lacking += picture is None
                if picture is not None:
                    yield picture
    except (tarfile.TarError, OSError) as error:
        print(f"skipped: the rest of {path}: {error}", file=sys.stderr)
    if lacking:
        print(
            f"skipped: {lacking} samples of {path} without an image{' or a class' if classes else ''}",
            file=sys.stderr,
        )


def sample(
    path: Path, archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], classes: bool
) -> Picture | None:
    """The image and class that members of one key make, by kind; None where the image lacks, or with `classes`
    either."""
    image = next((members[kind] for kind in KINDS if kind in members), None)
    label = class_of(archive, members)
    if image is None or (classes and label is None):
        return None
    label = -1 if label is None else label
    return Picture(path, label, image.offset_data, image.size, member=image.name)


def class_of(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> int | None:
    """The class a sample states; None where it does not."""
    try:
        if "cls" in members:
            return int(text_of(archive, members["cls"]))
        return int(json.loads(text_of(archive, members["json"]))["label"])
    except (KeyError, TypeError, ValueError):
        return None


def text_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """What a member holds, as text."""
    file = archive.extractfile(member)
    return file.read().decode("utf-8", errors="replace") if file is not None else ""


def key_and_kind(name: str) -> tuple[str, str]:
    """A member's name up to the first dot of its last part, and the rest in lower case."""
    path = PurePosixPath(name)
    stem, _, kind = path.name.partition(".")
    return str(path.with_name(stem)) if stem else name, kind.lower()
