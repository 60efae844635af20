"""The cast file: who the characters are, what narration calls them, and portraits to know them by.

{"cast": [{"name": "Alexander", "actor": "Lin-Manuel Miranda", "images": ["lin.png"],
           "aliases": ["Alex"], "note": "first name only after scene 3"}],
 "pronunciations": {"Siobhan": "shi-VAWN"}}
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from avtool.config import nearest
from avtool.errors import UsageError
from avtool.timeline import from_clock

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class CastMember(BaseModel):
    """One character.

    `name` is what the narration says, `aliases` what else the character is called. `images` are portraits,
    each of this one person's face. Before `known_from` (microseconds; "hh:mm:ss" in the file) narration uses
    `label` ("the woman in the red coat") or no name. `note` is for people only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    images: tuple[Path, ...] = Field(min_length=1)
    actor: Name | None = None
    aliases: tuple[Name, ...] = ()
    note: str | None = None
    known_from: Annotated[int, BeforeValidator(lambda time: from_clock(str(time)))] | None = None
    pronoun: Name | None = None
    label: Name | None = None


class Cast(BaseModel):
    """The cast of one film. No name or alias belongs to two characters.

    `pronunciations` respell words for the voice: {"Siobhan": "shi-VAWN"}.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cast: tuple[CastMember, ...]
    pronunciations: dict[Name, Name] = {}


def load(path: str | Path, allow_outside: bool = False) -> Cast:
    """The cast file at `path`; its image paths, relative to the file, come back absolute.

    Raises UsageError, in one line, where the file is missing or no JSON (with line and column), a key is
    unknown (with the nearest known one), a value does not fit, a name or alias belongs to two characters, or
    an image is missing or, unless `allow_outside`, outside the file's folder, be it by a symbolic link.
    """
    path = Path(path)
    cast = _parse(path)
    _no_name_twice(path, cast)
    members = (
        member.model_copy(
            update={"images": tuple(_image(path, member, image, allow_outside) for image in member.images)}
        )
        for member in cast.cast
    )
    return Cast.model_construct(cast=tuple(members), pronunciations=cast.pronunciations)


def digest(cast: Cast) -> str:
    """Changes when anything that is known of the cast changes, a portrait's pixels included."""
    content = hashlib.sha256()
    for member in cast.cast:
        content.update(member.model_dump_json(exclude={"images"}).encode())
        for image in member.images:
            content.update(hashlib.sha256(image.read_bytes()).digest())
    return content.hexdigest()


def _parse(path: Path) -> Cast:
    try:
        return Cast.model_validate(json.loads(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise UsageError(f"the cast file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8; a cast file is JSON in UTF-8") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except ValidationError as error:
        raise UsageError(f"{path}: {_first_fault(error)}") from error
    except (ValueError, RecursionError) as error:  # a number without end, brackets in brackets
        raise UsageError(f"{path} is no cast file: {error}") from error


def _first_fault(error: ValidationError) -> str:
    """The first thing that is wrong with the file's content: where, and what to do.

    An unknown key comes first: mistyped, it is also why a known one is missing.
    """
    fault = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    match fault["loc"]:
        case ("cast", int(number), *rest):
            where, known = f"character {number + 1}: ", CastMember.model_fields
        case rest:
            where, known = "", Cast.model_fields
    key = ".".join(str(part) for part in rest)
    match fault["type"]:
        case "extra_forbidden":
            return f"{where}unknown key {key!r}{nearest(key, known)}"
        case "missing":
            return f"{where}the key {key!r} is missing"
        case "model_type":
            return f"{where}should be an object with the keys {', '.join(known)}"
        case "tuple_type":
            return f"{where}{key} should be a list"
        case "too_short":
            return f"{where}{key} is empty"
        case _:
            told = fault["msg"].removeprefix("Value error, ")
            return f"{where}{key} = {json.dumps(fault['input'])}: {told[0].lower()}{told[1:]}"


def _no_name_twice(path: Path, cast: Cast) -> None:
    owners: dict[str, tuple[int, CastMember]] = {}
    for number, member in enumerate(cast.cast):
        for name in (member.name, *member.aliases):
            owner, other = owners.setdefault(name.casefold(), (number, member))
            if owner != number:
                raise UsageError(
                    f"{path}: {name!r} is a name or alias of characters {owner + 1} ({other.name}) and "
                    f"{number + 1} ({member.name}); give each its own"
                )


def _image(path: Path, member: CastMember, image: Path, allow_outside: bool) -> Path:
    """The portrait's absolute path, links followed."""
    folder = path.parent.resolve()
    found = (folder / image).resolve()
    if not allow_outside and not found.is_relative_to(folder):
        raise UsageError(
            f"{path}: image {image} of {member.name} lies outside {folder}; move it there or --allow-outside"
        )
    if not found.is_file():
        raise UsageError(f"{path}: image {image} of {member.name} is missing at {found}")
    return found
