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
    tars = sorted((root / part).glob("*.tar")) or sorted(root.glob(f"*{part}*.tar"))
    if tars:
        return shards.labelled(tars, classes)
    if not (root / part).is_dir():
        raise DataError(f"{root} holds neither {part}/CLASS/*, nor {part}/*.tar, nor {part}.zip")
    return images.labelled(root / part, classes)
