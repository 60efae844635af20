"""The narrator's voice: texts to clips of clean, level speech, each said once and kept."""

from __future__ import annotations

import hashlib
import re
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avtool.errors import MediaError
from avtool.interrupt import safe_point
from avtool.timeline import SECOND
from avtool.tracks.engines import Engine
from avtool.tracks.files import one_line
from avtool.tracks.loudness import REFERENCE, level
from avtool.tracks.sound import RATE
from avtool.workspace import replacing, scratch

SILENCE = 10 ** (-45 / 20)  # of a clip's peak: quieter ends are cut off (spec 3.1)
EDGE = RATE // 100  # samples kept beyond the first and last that are heard: consonants begin softly
BATCH = 64  # texts that an engine is given at a time: to start one takes as long as a sentence or two
LOUDEST = 10 ** (-3 / 20)  # peak of a clip (spec 5.2)


@dataclass(frozen=True, slots=True)
class Clip:
    """A text said: mono 16-bit at `RATE`, at the loudness `REFERENCE`, from its first sound to its last."""

    path: Path
    duration: int  # microseconds

    def read(self) -> np.ndarray:
        """The clip's samples, float32 (samples,)."""
        with wave.open(str(self.path)) as file:
            return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


class Voice:
    """An engine with its pronunciations, and a folder where what it said is kept."""

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        pronunciations: Mapping[str, str] | None = None,
        report: Callable[[float], None] = lambda share: None,
    ) -> None:
        """`pronunciations` tell how words are to be said: {"Siobhan": "shi-VAWN"}; `report` is told the share of
        what is asked for that has been said."""
        self.engine = engine
        self._folder = folder
        self._pronunciations = dict(pronunciations or {})
        self._report = report

    def say(self, texts: Sequence[str], rate: float) -> dict[str, Clip]:
        """A clip of each of `texts` at `rate` words a minute.

        Raises MediaError where the engine fails, ResourceError where the disk is full.
        """
        files = {text: self._folder / f"{self._key(text, rate)}.wav" for text in texts}
        missing = [text for text, file in files.items() if not file.is_file()]
        self._folder.mkdir(parents=True, exist_ok=True)
        for first in range(0, len(missing), BATCH):
            batch = missing[first : first + BATCH]
            with scratch(self._folder / "said") as raw:
                said = self.engine.say([self.spelled(text) for text in batch], rate, raw)
                if len(said) != len(batch):
                    raise MediaError(
                        f"the voice {self.engine.name} said {len(said)} of {len(batch)} texts, from {batch[0]!r} on"
                    )
                for text, wav in zip(batch, said, strict=True):
                    _write(_clean(wav, text), files[text])
            self._report((first + len(batch)) / len(missing))
            safe_point()
        return {text: Clip(file, _duration(file)) for text, file in files.items()}

    def spelled(self, text: str) -> str:
        """`text` as the engine is given it: on one line, words respelled that have a pronunciation."""
        text = one_line(text).replace("[[", "(").replace("]]", ")")  # would be phonemes to Piper
        if not self._pronunciations:
            return text
        longest = sorted(self._pronunciations, key=len, reverse=True)
        pattern = rf"\b(?:{'|'.join(map(re.escape, longest))})\b"
        return re.sub(pattern, lambda found: self._pronunciations[found[0]], text)

    def _key(self, text: str, rate: float) -> str:
        content = f"{self.engine.name}\n{self.engine.digest}\n{rate:.1f}\n{self.spelled(text)}"
        return hashlib.sha256(content.encode()).hexdigest()[:24]


def _clean(wav: Path, text: str) -> np.ndarray:
    """What the engine wrote, made fit to mix: mono at `RATE`, de-essed, trimmed, at `REFERENCE` loudness."""
    sound = _decoded(wav)
    heard = np.flatnonzero(np.abs(sound) > SILENCE * max(float(np.abs(sound).max(initial=0)), 1e-4))
    if not len(heard):
        raise MediaError(f"the voice wrote silence for {text!r}; say it in other words")
    sound = sound[max(0, heard[0] - EDGE) : heard[-1] + EDGE]
    sound = sound * 10 ** ((REFERENCE - level(sound)) / 20)
    # Few voices have such peaks; those are rounded off.
    return np.tanh(sound / LOUDEST) * LOUDEST if np.abs(sound).max() > LOUDEST else sound


def _decoded(wav: Path) -> np.ndarray:
    """The sound of a file as mono float32 at `RATE`, sibilants softened."""
    from av.error import FFmpegError
    from av.filter import Graph

    from avtool.media.container import opened

    try:
        with opened(wav) as container:
            stream = container.streams.audio[0]
            graph = Graph()
            graph.link_nodes(
                graph.add_abuffer(template=stream),
                graph.add("deesser", "i=0.3"),
                graph.add("aformat", f"sample_fmts=flt:sample_rates={RATE}:channel_layouts=mono"),
                graph.add("abuffersink"),
            ).configure()
            pieces = []
            for frame in container.decode(stream):
                graph.push(frame)
                pieces += _pulled(graph)
            graph.push(None)
            pieces += _pulled(graph)
    except (FFmpegError, MediaError, OSError, IndexError) as error:
        raise MediaError(f"the voice wrote no sound that can be read: {error}") from None
    return np.concatenate([np.zeros(0, np.float32), *pieces])


def _pulled(graph) -> list[np.ndarray]:
    from av.error import BlockingIOError, EOFError

    pieces = []
    while True:
        try:
            pieces.append(graph.pull().to_ndarray()[0])
        except (BlockingIOError, EOFError):
            return pieces


def _write(sound: np.ndarray, path: Path) -> None:
    with replacing(path) as beside, wave.open(str(beside), "wb") as file:
        file.setparams((1, 2, RATE, len(sound), "NONE", ""))
        file.writeframes((sound * 32767).round().astype("<i2").tobytes())


def _duration(path: Path) -> int:
    with wave.open(str(path)) as file:
        return file.getnframes() * SECOND // RATE
