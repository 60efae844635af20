"""Images in one zip file, listed with their classes in a text file beside it."""

from __future__ import annotations

import struct
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from avmodels.data.images import Picture
from avmodels.errors import DataError

# The part of a member's own header before its name; it ends with the lengths of name and extra field.
HEADER = struct.Struct("<26xHH")


def labelled(path: Path, classes: int) -> list[Picture]:
    """The images of PART.zip that PART_map.txt lists, `path/inside.jpg<TAB>class` a line.

    Raises DataError, with the line, for one that is of another form or names no member or class.
    """
    listing = path.with_name(f"{path.stem}_map.txt")
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
        with ZipFile(path) as archive, path.open("rb") as file:
            members = {member.filename: member for member in archive.infolist()}
            pictures = []
            for number, line in enumerate(lines, 1):
                name, _, label = line.partition("\t")
                if name not in members or not label.strip().isdecimal() or int(label) >= classes:
                    raise DataError(
                        f"{listing}:{number}: {line!r} is not a member of {path.name}, a tab, and a class below "
                        f"{classes}"
                    )
                member = members[name]
                if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                    raise DataError(f"{path}: {name} is neither stored nor deflated")
                file.seek(member.header_offset)
                before = HEADER.size + sum(HEADER.unpack(file.read(HEADER.size)))
                start, deflated = member.header_offset + before, member.compress_type == ZIP_DEFLATED
                pictures.append(Picture(path, int(label), start, member.compress_size, deflated, name))
    except (OSError, BadZipFile, UnicodeDecodeError, struct.error) as error:
        raise DataError(f"cannot read {path} and {listing.name}: {error}") from error
    if not pictures:
        raise DataError(f"{listing} lists no images")
    return pictures
