"""Programs that speak: Piper, espeak-ng, or any command. Each is called as a program and writes WAV files."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from avtool.errors import MissingError, UsageError
from avtool.tracks.files import one_line
from avtool.tracks.sound import failed
from avtool.weights import index, trusted
from avtool.workspace import key

# Piper's length scale by words a minute as `narrate.pace` counts them, at which en_US-joe takes as long for forty
# descriptions (measured; its sounds last whole frames, so the one is not in proportion to the other).
SCALES = {70: 3.5, 91: 2.6, 116: 2.0, 133: 1.7, 159: 1.4, 185: 1.2, 204: 1.0, 213: 0.9, 232: 0.8, 272: 0.7}
ESPEAK = 1.17  # espeak-ng is so much faster than the rate that it is told, by the same measure
EMBEDDED = "piper-en-us-joe"

# What the letters of a language are called in Unicode, for those that are not Latin.
SCRIPTS = {
    "ar": ("ARABIC",), "bg": ("CYRILLIC",), "cmn": ("CJK",), "el": ("GREEK",), "fa": ("ARABIC",),
    "hi": ("DEVANAGARI",), "ja": ("CJK", "HIRAGANA", "KATAKANA"), "ka": ("GEORGIAN",), "kk": ("CYRILLIC",),
    "ko": ("HANGUL",), "ml": ("MALAYALAM",), "ne": ("DEVANAGARI",), "ru": ("CYRILLIC",), "sr": ("CYRILLIC", "LATIN"),
    "te": ("TELUGU",), "uk": ("CYRILLIC",), "zh": ("CJK",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Engine:
    """A voice: `say` writes one WAV file a text into a folder, at so many words a minute.

    `language` is that of the voice where the engine tells it; `digest` changes when its sound does.
    """

    name: str
    digest: str
    language: str | None
    say: Callable[[Sequence[str], float, Path], list[Path]]


def engine(name: str) -> Engine:
    """The voice called `name`: "piper", the .onnx file of a Piper voice, "espeak-ng", "espeak-ng:VOICE", or a
    command with {wav} (the file to write), and {text} (else it reads the text from its input) and {rate}.

    Raises UsageError for a name that is none of these, MissingError where the program is not installed.
    """
    if "{wav}" in name:
        return _command(name)
    if name.endswith(".onnx"):
        model = Path(name)
        if not model.is_file():
            raise UsageError(f"the voice {name} does not exist; give the .onnx file of a Piper voice")
        return _piper(model, hashlib.sha256(model.read_bytes()).hexdigest())
    program, _, variant = name.partition(":")
    if program == "espeak-ng":
        return _espeak(variant or "en")
    if name == "piper":
        return _piper(trusted(EMBEDDED), index()[EMBEDDED].sha256)
    raise UsageError(
        f"no voice is called {name!r}; give piper, a Piper voice's .onnx file, espeak-ng, or a command with {{wav}}"
    )


def unsayable(text: str, language: str | None) -> str | None:
    """Why a voice of `language` cannot say `text`; None where it can."""
    if not any(character.isalnum() for character in text):
        return "it has no words"
    scripts = SCRIPTS.get((language or "").split("-")[0], ("LATIN",)) if language else ()
    for character in text:
        if scripts and character.isalpha() and ord(character) > 127:
            script = unicodedata.name(character, "UNKNOWN").split(" ")[0]
            if script not in (*scripts, "LATIN", "MODIFIER", "MICRO", "FEMININE", "MASCULINE"):
                return f"the voice ({language}) does not read {character!r} ({script.capitalize()})"
    return None


def _piper(model: Path, digest: str) -> Engine:
    if find_spec("piper") is None:
        raise MissingError("the voice Piper is missing: pip install 'avtool[voice]'")
    try:
        config = json.loads(model.with_name(f"{model.name}.json").read_text(encoding="utf-8"))
        language = str(config["espeak"]["voice"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"the voice {model} has no {model.name}.json beside it; get both files") from None

    def say(texts: Sequence[str], rate: float, folder: Path) -> list[Path]:
        script = folder / "texts.txt"
        script.write_text("".join(f"{one_line(text)}\n" for text in texts), encoding="utf-8")
        # Without noise the same text is the same sound in every run, and so is the plan that rests on it.
        scale = np.interp(rate, list(SCALES), list(SCALES.values()))
        options = ["--length-scale", f"{scale:.4f}", "--noise-scale", "0", "--noise-w-scale", "0"]
        _run(
            [sys.executable, "-m", "piper", "-m", str(model), "-i", str(script), "-d", str(folder), *options],
            "Piper",
        )
        return sorted(folder.glob("*.wav"), key=lambda wav: int(wav.stem))  # named by the clock

    return Engine(f"Piper {model.stem}", key(digest, SCALES), language, say)


def _espeak(variant: str) -> Engine:
    program = shutil.which("espeak-ng")
    if program is None:
        raise MissingError("the voice espeak-ng is missing: install espeak-ng with your system's packages")

    def say(texts: Sequence[str], rate: float, folder: Path) -> list[Path]:
        for number, text in enumerate(texts):
            options = [
                "-v",
                variant,
                "-s",
                f"{rate / ESPEAK:.0f}",
                "-w",
                str(folder / f"{number}.wav"),
                "--stdin",
            ]
            _run([program, *options], "espeak-ng", text)
        return [folder / f"{number}.wav" for number in range(len(texts))]

    return Engine(f"espeak-ng {variant}", f"{variant} {ESPEAK}", variant, say)


def _command(template: str) -> Engine:
    try:
        parts = shlex.split(template)
    except ValueError as error:
        raise UsageError(f"the voice command {template!r} does not parse: {error}") from None
    program = shutil.which(parts[0])
    if program is None:
        raise MissingError(f"the voice command's program {parts[0]} is missing; install it or give its path")

    def say(texts: Sequence[str], rate: float, folder: Path) -> list[Path]:
        wavs = [folder / f"{number}.wav" for number in range(len(texts))]
        for text, wav in zip(texts, wavs, strict=True):
            values = {"{text}": text, "{wav}": str(wav), "{rate}": f"{rate:.0f}"}
            filled = [_fill(part, values) for part in parts[1:]]
            _run([program, *filled], parts[0], None if "{text}" in template else text)
        return wavs

    return Engine(template, template, None, say)


def _fill(part: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        part = part.replace(name, value)
    return part


def _run(command: Sequence[str], name: str, text: str | None = None) -> None:
    done = subprocess.run(
        command,
        input=text or "",
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        errors="replace",
        process_group=0,  # Ctrl-C is for avtool, which decides what becomes of the voice
    )
    if done.returncode:
        raise failed(f"the voice {name} failed", done.returncode, done.stderr)
