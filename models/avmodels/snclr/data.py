"""From image files to the tensors of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from avmodels.data.samples import Sample
from avmodels.errors import DataError
from avmodels.snclr import views
from avmodels.sparseformer.data import Picture, found, read

Reader = Callable[[Picture], list[Sample]]


def labelled(folder: Path, classes: int | None = None) -> list[Picture]:
    """The images of `folder`/CLASS/*, classes numbered by name. Raises DataError where there are none, or not
    `classes`."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not names or classes not in (None, len(names)):
        wanted = "the network has" if classes else "there must be one at least, of"
        raise DataError(f"{folder} has {len(names)} folders of classes; {wanted} {classes or 'any'} classes")
    return [
        Picture(picture.path, label) for label, name in enumerate(names) for picture in found(folder / name)
    ]


def pair_reader(side: int, area: float) -> Reader:
    """Reads an image as two views, (3, side, side) each."""
    first, second = views.pair(side, area)

    def sample(picture: Picture) -> list[Sample]:
        image = read(picture.path)
        return [{"view1": first(image), "view2": second(image)}]

    return sample


def training_reader(side: int, area: float) -> Reader:
    """Reads a random part of an image, (3, side, side), with its label."""
    transform = views.crop(side, area)
    return lambda picture: [{"image": transform(read(picture.path)), "label": picture.label}]


def test_reader(side: int) -> Reader:
    """Reads the middle of an image, (3, side, side), with its label."""
    transform = views.middle(side)
    return lambda picture: [{"image": transform(read(picture.path)), "label": picture.label}]
