"""Coverage-guided fuzzing (atheris) of avtool's own parsers, for a bounded time.

    uv run python -m tests.hostile.fuzz                  every parser, 20 s each
    uv run python -m tests.hostile.fuzz srt --seconds 600

A parser may refuse what it is given with an error for people; anything else that it raises is a finding, and so is
an input that takes it over a minute. Linux on x86-64, for which atheris has wheels.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

SECONDS = 20
SLOW = 60  # seconds of the clock for one input: a machine may have other work
MEMORY = 2048  # megabytes


def _script(suffix: str) -> Callable[[Path], object]:
    def parse(path: Path) -> object:
        from avtool.tracks import subtitles

        return subtitles.read(path.rename(path.with_suffix(f".{suffix}")))

    return parse


def _cast(path: Path) -> object:
    from avtool import cast

    return cast.load(path)


def _settings(path: Path) -> object:
    from avtool import config

    path.rename(path.with_name(config.FILE))
    return config.resolve(start=path.parent, environment={})


def _clips(path: Path) -> object:
    from avmodels.data import lists

    return lists.pretraining_list(path)


def _ava(path: Path) -> object:
    from avmodels.evad import ava

    return ava.read_boxes(path, scored=True)


def _labels(path: Path) -> object:
    from avmodels.evad import ava

    return ava.read_labels(path)


def _pickle(path: Path) -> object:
    from avmodels.engine import weights

    return weights.read(path, "evad")


PARSERS: dict[str, Callable[[Path], object]] = {
    "srt": _script("srt"), "vtt": _script("vtt"), "ass": _script("ass"), "ttml": _script("ttml"),
    "json": _script("json"), "cast": _cast, "settings": _settings, "clips": _clips, "ava": _ava, "labels": _labels,
    "pickle": _pickle,
}  # fmt: skip


def attempt(name: str, content: bytes, folder: Path) -> None:
    """Give `content` to a parser. Raises what it should not have raised."""
    from avmodels.errors import ModelsError
    from avtool.errors import AvtoolError

    for left in folder.iterdir():
        left.unlink()
    path = folder / "input"
    path.write_bytes(content)
    try:
        PARSERS[name](path)
    except (AvtoolError, ModelsError):
        pass


def seeds(name: str) -> list[bytes]:
    """Inputs to begin with: good ones, and those that were trouble once."""
    from tests.hostile import texts, weights

    match name:
        case "srt" | "vtt" | "ass" | "ttml" | "json":
            with tempfile.TemporaryDirectory() as folder:
                return [texts.good_scripts(Path(folder))[name]]
        case "cast":
            return [
                b'{"cast": [{"name": "Mara", "images": [], "known_from": "00:01:00"}], "pronunciations": {"A": "b"}}'
            ]
        case "settings":
            return [b'preset = "film"\nrate = 175\nlanguage = "en"\n']
        case "clips":
            return [b"a.mp4 0 -1\nb c 1 25\n"]
        case "ava":
            return [b"vid,0902,0.1,0.2,0.9,0.95,12,0.8\nvid,0903,0,0,1,1,80,0.1\n"]
        case "labels":
            return [b'item {\n  name: "bend/bow"\n  id: 1\n}\nlabel {\n  name: "sit"\n  label_id: 11\n}\n']
        case _:
            with tempfile.TemporaryDirectory() as folder:
                marker = Path(folder) / "marker"
                made = weights.checkpoints(1, marker, marker)
                return [content for found, content in made if found.startswith(("good.pth", "call-eval"))]


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one parser; libFuzzer ends the process, with another code than 0 where it found something."""
    import atheris  # pyright: ignore[reportMissingImports] - it has wheels for Linux on x86-64 alone

    with atheris.instrument_imports(  # pyright: ignore[reportAttributeAccessIssue]
        include=["avtool", "avmodels"], enable_loader_override=False
    ):
        import avtool.cast
        import avtool.config
        import avtool.tracks.subtitles  # noqa: F401

    root = Path(tempfile.mkdtemp())
    known, folder = root / "seeds", root / "now"
    known.mkdir()
    folder.mkdir()
    for number, content in enumerate(seeds(name)):
        (known / str(number)).write_bytes(content)
    limits = [
        f"-max_total_time={seconds}",
        f"-timeout={SLOW}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={root}/",
    ]
    atheris.Setup(
        [name, *limits, "-max_len=4096", "-seed=7", str(known)], lambda data: attempt(name, data, folder)
    )
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*PARSERS, []], metavar="PARSER", help=", ".join(PARSERS))
    parser.add_argument("--seconds", type=int, default=SECONDS)
    asked = parser.parse_args()
    if len(asked.names) == 1:
        fuzz(asked.names[0], asked.seconds)
    found = []
    for name in asked.names or PARSERS:  # libFuzzer wants a process for each
        command = [sys.executable, "-m", "tests.hostile.fuzz", name, "--seconds", str(asked.seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        runs = [line for line in done.stderr.splitlines() if line.startswith(("Done", "#"))]
        print(
            f"{name}: {'FOUND SOMETHING' if done.returncode else 'nothing found'} ({runs[-1] if runs else ''})",
            flush=True,
        )
        if done.returncode:
            found.append(name)
            print(done.stderr[-3000:], flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
