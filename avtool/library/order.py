"""What is wanted of one film, and what of it is done at a time: a unit, which is a stage of the film."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from avtool.perception import Perception
    from avtool.speak import Voiced
    from avtool.tracks.script import Script

Stage = Literal["opening", "hearing", "sight", "actions", "script"]

# The stages of a film, and those that come before each.
STAGES: dict[Stage, tuple[Stage, ...]] = {
    "opening": (),
    "hearing": ("opening",),
    "sight": ("opening",),
    "actions": ("hearing", "sight"),
    "script": ("actions",),
}


@dataclass(frozen=True, slots=True)
class Order:
    """A film, how it is to be described, and where that goes.

    `asked` are arguments of `open_film`, `files` the tracks by format, `spoken` arguments of `speak` where a voice is
    wanted. `force` does it all again.
    """

    film: Path
    asked: Mapping[str, Any]
    files: Mapping[str, Path]
    spoken: Mapping[str, Any] | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """One stage of one film."""

    order: Order
    stage: Stage


@dataclass(frozen=True, slots=True)
class Done:
    """What a unit came to: how long the film is (microseconds), and how many descriptions were written of it."""

    duration: int
    descriptions: int | None = None
    finished: bool = False  # nothing is left to do for this film


@dataclass(frozen=True, slots=True)
class Delivered:
    """A file that was written, and the hash of what is in it."""

    path: str
    sha256: str


def perform(unit: Unit) -> Done:
    """Do one unit, in whatever process this is. What it computes stays in the film's workspace.

    Raises what `open_film`, `draft` and `speak` raise.
    """
    from avtool.describe import refuse_described
    from avtool.perception import open_film

    order = unit.order
    seen = open_film(order.film, **order.asked)
    done = Done(seen.span.duration)
    match unit.stage:
        case "opening":
            if order.force:
                seen.work.clear()
            else:
                refuse_described(seen.source)
            return Done(seen.span.duration, finished=_delivered(order, seen))
        case "hearing":
            _ = seen.speech
        case "sight":
            seen.see(*seen.sight)
        case "actions":
            _ = seen.actions
        case "script":
            script, voiced = deliver(order, seen)
            files = [*order.files.values(), *(voiced.files if voiced else [])]
            seen.work.save("delivered", _key(order, seen), [Delivered(str(it), _digest(it)) for it in files])
            return Done(seen.span.duration, len(script.descriptions), finished=True)
    return done


def deliver(order: Order, seen: Perception) -> tuple[Script, Voiced | None]:
    """Describe a film that is open, and write what was asked for.

    Raises what `draft`, `write` and `speak` raise.
    """
    from avtool.describe import draft
    from avtool.speak import speak, voice
    from avtool.tracks import write

    if order.spoken is not None:
        voice(seen)  # one that is missing is told before hours of work
    seen.film()  # perceived first, so that the script's own time is told apart
    with seen.taking("script"):
        script = draft(seen, voiced=order.spoken is not None)
        for kind, file in order.files.items():
            write(script, file, kind)
    if order.spoken is None:
        return script, None
    folder = next(iter(order.files.values())).parent
    with seen.taking("voice"):
        return script, speak(script.descriptions, seen, folder, waiting=script.waiting, **order.spoken)


def _delivered(order: Order, seen: Perception) -> bool:
    """Whether every file that was asked for is there as it was written."""
    files = seen.work.load("delivered", _key(order, seen), Delivered)
    return files is not None and all(
        Path(file.path).is_file() and _digest(Path(file.path)) == file.sha256 for file in files
    )


def _key(order: Order, seen: Perception) -> str:
    files = {kind: str(file.absolute()) for kind, file in order.files.items()}
    return seen.key("delivered", seen.script_key(), files, order.spoken)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
