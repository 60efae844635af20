"""ImageNet, or any images with classes, in every layout that is about."""

from __future__ import annotations

from pathlib import Path

from avmodels.data import images, shards, zips
from avmodels.data.images import Picture
from avmodels.errors import DataError


def labelled(root: Path, part: str, classes: int) -> list[Picture]:
    """The images of `root`'s `train` or `val` with the numbers of their classes.

    | layout           | where                                     | class                        |
    |------------------|-------------------------------------------|------------------------------|
    | folders          | part/CLASS/*.JPEG                         | the folders' order by name   |
    | webdataset tars  | part/*.tar, or *part*.tar                 | a `.cls`, or a JSON's `label` |
    | zip              | part.zip, part_map.txt                    | in the map                   |

    Raises DataError where there is none of them, or it does not fit `classes`.
    """
    if (root / f"{part}.zip").exists():
        return zips.labelled(root / f"{part}.zip", classes)
    if tars := tars_of(root, part):
        return shards.labelled(tars, classes)
    if not (root / part).is_dir():
        raise DataError(f"{root} holds neither {part}/CLASS/*, nor {part}/*.tar, nor {part}.zip")
    return images.labelled(root / part, classes)


def unlabelled(root: Path, part: str) -> list[Picture]:
    """The images of `root`'s `train` or `val` in folders of any kind or in tars, whatever their classes.

    Raises DataError where there is none.
    """
    if tars := tars_of(root, part):
        return shards.found(tars)
    return images.found(root / part)


def names(root: Path, part: str) -> list[str]:
    """What the classes are called, in their order: the names of folders, where there are such."""
    folder = root / part
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def tars_of(root: Path, part: str) -> list[Path]:
    """The webdataset tars of a part."""
    return sorted((root / part).glob("*.tar")) or sorted(root.glob(f"*{part}*.tar"))
