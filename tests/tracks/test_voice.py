"""What the narrator's voice writes: real speech, level and clean, kept, and refusals in words."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from avtool.errors import MediaError, MissingError, UsageError
from avtool.timeline import SECOND
from avtool.tracks.engines import EMBEDDED, engine, unsayable
from avtool.tracks.loudness import REFERENCE, level
from avtool.tracks.voice import Voice
from avtool.weights import where

LANTERN = "Mara lifts the lantern and looks along the quay."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("voice")


@pytest.fixture(scope="module")
def piper(folder: Path) -> Voice:
    return Voice(engine("piper"), folder, {"Siobhan": "shi-VAWN", "Ng": "ing"})


def test_speech_is_level_trimmed_and_below_its_peak(piper: Voice):
    texts = [LANTERN, "Night.", "A caption: Monday, eight in the morning."]
    clips = piper.say(texts, 175)
    assert list(clips) == texts
    for clip in clips.values():
        sound = clip.read()
        assert abs(level(sound) - REFERENCE) < 0.5
        assert np.abs(sound).max() <= 10 ** (-3 / 20)
        assert np.abs(sound[: len(sound) // 10]).max() > 0.003, "it begins with its first sound"
        assert clip.duration == len(sound) * SECOND // 48_000
    assert 2 * SECOND < clips[LANTERN].duration < 4 * SECOND


def test_a_faster_rate_is_shorter_in_proportion(piper: Voice):
    usual, fast = (piper.say([LANTERN], rate)[LANTERN].duration for rate in (175, 230))
    assert 0.68 < fast / usual < 0.84


def test_the_same_text_is_said_once_and_the_same_in_every_run(piper: Voice, tmp_path: Path):
    clip = piper.say([LANTERN], 175)[LANTERN]
    written = clip.path.stat().st_mtime_ns
    assert piper.say([LANTERN], 175)[LANTERN].path.stat().st_mtime_ns == written
    again = Voice(engine("piper"), tmp_path).say([LANTERN], 175)[LANTERN]
    assert again.path.read_bytes() == clip.path.read_bytes()


def test_names_are_respelled_as_whole_words(piper: Voice):
    assert piper.spelled("Siobhan and Ng meet Siobhan's aunt Ngaio.") == (
        "shi-VAWN and ing meet shi-VAWN's aunt Ngaio."
    )


def test_brackets_of_a_script_are_no_phonemes(piper: Voice):
    assert "[[" not in piper.spelled("He reads: [[stop]].")


@pytest.mark.parametrize(
    ("text", "language", "why"),
    [
        ("…", "en-us", "it has no words"),
        ("🎵 🎵", "en-us", "it has no words"),
        ("A sign: 你好", "en-us", "does not read '你'"),
        ("Вход", "en-us", "does not read 'В'"),
        ("Вход", "ru", None),
        ("你好", "cmn", None),
        ("Café Ængus, 1984", "en-us", None),
        ("Вход", None, None),
    ],
)
def test_what_a_voice_cannot_say_is_known_before(text: str, language: str | None, why: str | None):
    reason = unsayable(text, language)
    assert (reason is None) == (why is None)
    assert why is None or why in (reason or "")


def test_any_command_is_a_voice(tmp_path: Path):
    program = tmp_path / "say.py"
    program.write_text(
        "import math, struct, sys, wave\n"
        "file = wave.open(sys.argv[1], 'wb')\n"
        "file.setparams((2, 2, 44100, 0, 'NONE', ''))\n"
        "n = 441 * int(sys.argv[2]) // 2 * len(sys.stdin.read().split())\n"
        "file.writeframes(b''.join(struct.pack('<hh', *[int(9000 * math.sin(i / 20))] * 2) for i in range(n)))\n"
    )
    voice = Voice(engine(f"{sys.executable} {program} {{wav}} {{rate}}"), tmp_path)
    clip = voice.say(["one two"], 100)["one two"]
    assert clip.duration == pytest.approx(SECOND, rel=0.03)
    assert abs(level(clip.read()) - REFERENCE) < 0.1


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("pipr", UsageError, "no voice is called 'pipr'"),
        ("missing.onnx", UsageError, "does not exist"),
        ("no-such-program {wav}", MissingError, "no-such-program is missing"),
        ("'unbalanced {wav}", UsageError, "does not parse"),
    ],
)
def test_a_voice_that_is_not_there_is_told(name: str, error: type[Exception], told: str):
    with pytest.raises(error, match=told):
        engine(name)


def test_espeak_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MissingError, match="install espeak-ng"):
        engine("espeak-ng:de")


@pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="NO ESPEAK-NG: install it (apt-get install espeak-ng)"
)
def test_espeak_speaks_other_languages_at_the_rate(tmp_path: Path):
    voice = Voice(engine("espeak-ng:de"), tmp_path)
    text = "Mara hebt die Laterne und schaut den Kai entlang."
    usual, fast = (voice.say([text], rate)[text] for rate in (150, 225))
    assert abs(level(usual.read()) - REFERENCE) < 0.5
    assert fast.duration / usual.duration == pytest.approx(150 / 225, abs=0.1)


def test_any_voice_of_pipers_is_its_two_files(tmp_path: Path):
    """The embedded voice under another name, as one that was downloaded: it speaks by its own configuration."""
    name = "en_GB-other.onnx"
    (tmp_path / name).symlink_to(where(EMBEDDED))
    with pytest.raises(UsageError, match=f"has no {name}.json beside it"):
        engine(str(tmp_path / name))
    (tmp_path / f"{name}.json").symlink_to(where(EMBEDDED).with_name(f"{where(EMBEDDED).name}.json"))
    found = engine(str(tmp_path / name))
    assert (found.name, found.language) == ("Piper en_GB-other", "en-us")
    assert Voice(found, tmp_path).say([LANTERN], 175)[LANTERN].duration > 2 * SECOND


def test_a_command_that_fails_or_writes_nothing_is_told(tmp_path: Path):
    failing = Voice(engine(f"{sys.executable} -c 'import sys; sys.exit(\"no licence\")' {{wav}}"), tmp_path)
    with pytest.raises(MediaError, match="failed: no licence"):
        failing.say(["a"], 175)
    idle = Voice(engine(f"{sys.executable} -c pass {{wav}}"), tmp_path)
    with pytest.raises(MediaError, match="no sound that can be read"):
        idle.say(["a"], 175)
