"""From image files to the tensors of a recipe."""

from __future__ import annotations

from collections.abc import Callable

from avmodels.data.images import Picture, read
from avmodels.data.samples import Sample
from avmodels.snclr import views

Reader = Callable[[Picture], list[Sample]]


def pair_reader(side: int, area: float) -> Reader:
    """Reads an image as two views, (3, side, side) each."""
    first, second = views.pair(side, area)

    def sample(picture: Picture) -> list[Sample]:
        image = read(picture)
        return [{"view1": first(image), "view2": second(image)}]

    return sample


def training_reader(side: int, area: float) -> Reader:
    """Reads a random part of an image, (3, side, side), with its label."""
    transform = views.crop(side, area)
    return lambda picture: [{"image": transform(read(picture)), "label": picture.label}]


def test_reader(side: int) -> Reader:
    """Reads the middle of an image, (3, side, side), with its label."""
    transform = views.middle(side)
    return lambda picture: [{"image": transform(read(picture)), "label": picture.label}]
