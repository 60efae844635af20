"""Every made-bad input with what avtool is asked to do with it."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.hostile import media, texts, weights
from tests.media import clips

SEED = 7


@dataclass(frozen=True, slots=True)
class Case:
    """A name and a command line; "decode", "checkpoint" and "portrait" are the runner's own words, the others are avtool's."""

    kind: str
    name: str
    command: tuple[str, ...]
    folder: Path  # where it is run


@dataclass(frozen=True, slots=True)
class Grounds:
    """The inputs' folder, and what no input may reach: a file outside of it, a port, a file that code would make."""

    inside: Path
    secret: Path
    url: str
    marker: Path


def grounds(folder: Path, url: str) -> Grounds:
    """`folder` laid out. The file outside is a pipe that nobody writes to: who opens it waits until he is stopped."""
    inside, outside = folder / "inside", folder / "outside"
    for one in (inside, outside):
        one.mkdir()
    secret = outside / "secret.png"
    os.mkfifo(secret)
    return Grounds(inside, secret, url, folder / "executed")


def cases(at: Grounds) -> Iterator[Case]:
    """Every case, its files written. The same seed writes the same files."""
    yield from _films(at)
    yield from _texts(at)
    yield from _weights(at)


def _films(at: Grounds) -> Iterator[Case]:
    folder = at.inside / "films"
    folder.mkdir()
    good = media.bases(folder)
    paths = [_written(folder, *one) for one in media.damaged(good, SEED)]
    paths += [*media.absurd(folder), *media.playlists(good, folder, at.secret, at.url)]
    for path in paths:
        for verb in ("probe", "decode"):
            yield Case("media", f"{verb} {path.name}", (verb, str(path)), folder)
    for name in media.odd_names(at.secret, at.url):
        yield Case("media", f"probe {name[:30]!r}", ("probe", "--", name), folder)


def _texts(at: Grounds) -> Iterator[Case]:
    folder = at.inside / "texts"
    folder.mkdir()
    good = texts.good_scripts(folder)
    film = clips.write(folder / "film.mp4", clips.picture(1), clips.beep(1), **clips.X264, acodec="aac")
    for name, content in texts.scripts(good, SEED, at.secret, at.url):
        path = _written(folder, name, content)
        yield Case("script", f"check {name}", ("check", str(path), "-q"), folder)
        if path.suffix == ".json":
            command = ("report", str(path), str(film), "-o", str(folder / "report.html"))
            yield Case("script", f"report {name}", command, folder)
    castles = folder / "casts"
    castles.mkdir()
    (castles / "link.png").symlink_to(at.secret)
    for name, content in texts.casts(SEED, at.secret, at.url):
        path = _written(castles, name, content)
        work = str(folder / "work")
        command = ("describe", str(film), "--cast", str(path), "--dry-run", "--work", work)
        yield Case("cast", f"cast {name}", command, folder)
    for name, content in texts.settings(SEED):
        home = folder / "settings" / name
        home.mkdir(parents=True)
        (home / "avtool.toml").write_bytes(content)
        yield Case("settings", f"settings {name}", ("config", "show"), home)


def _weights(at: Grounds) -> Iterator[Case]:
    folder = at.inside / "weights"
    folder.mkdir()
    for name, content in weights.checkpoints(SEED, at.marker, at.secret):
        path = _written(folder, name, content)
        yield Case("checkpoint", f"read {name}", ("checkpoint", str(path)), folder)
        if name.startswith(("call-system", "good", "cut")):
            command = ("weights", "import", "evad/tiny", str(path), "-o", str(folder / "out.safetensors"))
            yield Case("checkpoint", f"import {name}", command, folder)
    script = _written(folder, "script.srt", b"1\n00:00:00,100 --> 00:00:00,900\nA cat.\n")
    film = shutil.copy(at.inside / "texts" / "film.mp4", folder)
    for name, content in weights.networks(at.secret):
        path = _written(folder, name, content)
        _written(folder, f"{name}.json", b'{"espeak": {"voice": "en"}, "audio": {"sample_rate": 22050}}')
        command = (
            "voice",
            str(script),
            str(film),
            "--voice",
            str(path),
            "-o",
            str(folder),
            "--work",
            str(folder / "w"),
        )
        yield Case("network", f"voice {name}", command, folder)
    for name, content in weights.pictures(SEED):
        path = _written(folder, name, content)
        yield Case("picture", f"portrait {name}", ("portrait", str(path)), folder)


def _written(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def thinned(every: list[Case], step: int) -> list[Case]:
    """One in `step` of each kind, chosen by the seed."""
    draw = random.Random(SEED)
    kinds = dict.fromkeys(case.kind for case in every)
    chosen = []
    for kind in kinds:
        some = [case for case in every if case.kind == kind]
        chosen += draw.sample(some, -(-len(some) // step))
    return chosen
