"""Image files of any mode, and folders of them."""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torchvision.datasets.folder import IMG_EXTENSIONS

from avmodels.data.clips import UnreadableError
from avmodels.errors import DataError


@dataclass(frozen=True, slots=True)
class Picture:
    """An image and the number of its class, -1 where it has none.

    With a `size`, `path` is an archive that holds the image's bytes there from `offset` on, `deflated` or not, and
    `member` is its name inside.
    """

    path: Path
    label: int = -1
    offset: int = 0
    size: int = 0
    deflated: bool = False
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    def bytes(self) -> bytes:
        """The encoded image. Raises OSError and zlib.error."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            held = file.read(self.size or -1)
        return zlib.decompress(held, -zlib.MAX_WBITS) if self.deflated else held


def found(folder: Path) -> list[Picture]:
    """All images at or below a folder, in order of path. Raises DataError where there is none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMG_EXTENSIONS)
    if not paths:
        raise DataError(f"there are no images in {folder}")
    return [Picture(path) for path in paths]


def labelled(folder: Path, classes: int | None = None) -> list[Picture]:
    """The images of `folder`/CLASS/*, classes numbered by name.

    Raises DataError where there are no folders of classes, or not `classes` of them, or one is empty.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not names:
        raise DataError(f"there are no folders of classes in {folder}")
    if classes not in (None, len(names)):
        raise DataError(f"{folder} has {len(names)} folders of classes, the network {classes} classes")
    return [
        Picture(picture.path, label) for label, name in enumerate(names) for picture in found(folder / name)
    ]


def read(picture: Picture) -> Image.Image:
    """An image of any mode as upright RGB; 16 bits are scaled to 8, alpha is left out.

    Raises UnreadableError for one that is missing, broken, cut short or too large to be meant well.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(picture.bytes())) as file:
                image = ImageOps.exif_transpose(file)
                image.load()
                if image.mode.startswith("I"):
                    image = Image.fromarray(
                        (np.asarray(image, np.float32) / 257).clip(0, 255).astype(np.uint8)
                    )
                return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, zlib.error, Image.DecompressionBombError, Warning) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UnreadableError(
            f"{picture} cannot be read as an image: {' '.join(str(why).split())}"
        ) from error
