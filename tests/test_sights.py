"""Finding the picture of a sound, by a network trained here on colours that sing."""

from __future__ import annotations

import json
import wave
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avmodels import run as models
from avmodels import zoo
from avmodels.data import toy_events
from avmodels.speed_coaug.config import Sound
from avtool import sights
from avtool.cli.main import run
from avtool.media.probe import probe
from avtool.perceive import sounds
from avtool.perception import open_film
from avtool.timeline import SECOND, Shot, Span

EXAMPLE = Path(__file__).parents[1] / "examples" / "the-quiet-street.mp4"
RATE = toy_events.SAMPLE_RATE
# What a colour sounds like, in hertz.
PITCH = {(210, 40, 40): 220, (40, 200, 40): 880, (50, 60, 220): 3520}
RED, GREEN, BLUE = PITCH
SECONDS = 3  # of a scene


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def picture(colour: tuple[int, int, int], seconds: int, draw: np.random.Generator) -> np.ndarray:
    """A still picture about so coloured, (T, 64, 64, 3) uint8."""
    still = np.array(colour) + draw.normal(0, 12, 3) + draw.normal(0, 12, (64, 64, 1))
    return np.repeat(still.clip(0, 255).astype(np.uint8)[None], seconds * toy_events.RATE, axis=0)


def tone(colour: tuple[int, int, int], seconds: int, draw: np.random.Generator) -> np.ndarray:
    """The colour's tone in some hiss, (n,) float32."""
    time = np.arange(seconds * RATE) / RATE
    hertz = PITCH[colour] * 2 ** draw.uniform(-0.2, 0.2)
    hiss = 0.01 * draw.standard_normal(len(time))
    return (draw.uniform(0.2, 0.6) * (np.sin(2 * np.pi * hertz * time) + hiss)).astype(np.float32)


def film(path: Path, scenes: list[tuple], sounds: list[tuple | None]) -> Path:
    """A film of scenes of some colours, heard with the tones of others, or silent."""
    draw = np.random.default_rng(7)
    pictures = np.concatenate([picture(colour, SECONDS, draw) for colour in scenes])
    waves = [
        np.zeros(SECONDS * RATE, np.float32) if colour is None else tone(colour, SECONDS, draw)
        for colour in sounds
    ]
    toy_events.write(path, pictures, np.concatenate(waves))
    return path


def save(path: Path, sound: np.ndarray, channels: int = 1, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.repeat(sound, channels) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that know which colour sings how high."""
    folder = tmp_path_factory.mktemp("trained")
    draw = np.random.default_rng(0)
    (folder / "data").mkdir()
    for number in range(24):
        colour = list(PITCH)[number % 3]
        toy_events.write(folder / f"data/{number:02}.mp4", picture(colour, 2, draw), tone(colour, 2, draw))
    tiny = ("data.frames=4", "data.speeds=[1, 5/4]", "training.epochs=8", "training.workers=0")
    models.train(sights.SYSTEM, zoo.load(sights.SYSTEM, "tiny", tiny), folder / "data", folder / "run")
    return folder / "run/model.safetensors"


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes, each with its own tone; the last is silent."""
    scenes = [RED, GREEN, BLUE, GREEN, RED, BLUE]
    return film(tmp_path_factory.mktemp("film") / "colours.mp4", scenes, [*scenes[:-1], None])


@pytest.fixture
def network(trained: Path) -> sights.Network:
    return sights.load(trained)


def colour_of(path: Path) -> int:
    from PIL import Image

    return int(np.asarray(Image.open(path).convert("RGB")).mean((0, 1)).argmax())


def test_a_sound_finds_what_makes_it(
    trained: Path, colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, colour in enumerate(PITCH):
        sound = save(
            tmp_path / f"{number}.wav", tone(colour, 2, np.random.default_rng(1)), channels=2, rate=RATE
        )
        command = ["find", str(colours), "--sound", str(sound), "--weights", str(trained), "--json"]
        assert run(command) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["query"] == sound.name
        moments = answer["moments"]
        assert len(moments) == 6
        assert [colour_of(Path(moment["thumbnail"])) for moment in moments[:2]] == [number, number]


def test_vectors_are_kept_until_the_weights_change(
    network: sights.Network, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sights.match(open_film(colours), network)
    monkeypatch.setattr(sights, "Looking", None)
    again = sights.match(open_film(colours), network)
    assert again.clips == first.clips
    np.testing.assert_array_equal(again.sounds, first.sounds)
    with pytest.raises(TypeError):
        sights.match(open_film(colours), replace(network, digest="another"))


def test_silence_has_no_vector(network: sights.Network, colours: Path) -> None:
    found = sights.match(open_film(colours), network)
    begins = SECONDS * 5 * SECOND
    for clip, sight, sound in zip(found.clips, found.sights, found.sounds, strict=True):
        assert np.linalg.norm(sight) == pytest.approx(1, abs=1e-5)
        if clip.audible:
            assert np.linalg.norm(sound) == pytest.approx(1, abs=1e-5)
        else:
            assert clip.span.start >= begins and not sound.any()
    assert {clip.shot for clip in found.clips if not clip.audible}


def test_what_is_seen_is_told_from_what_is_not(trained: Path, tmp_path: Path) -> None:
    scenes = [RED, GREEN, BLUE] * 3
    heard = [RED, GREEN, BLUE, RED, GREEN, BLUE, GREEN, RED, None]
    seen = open_film(film(tmp_path / "film.mp4", scenes, heard))
    assert seen.sounds == []  # no weights are imported
    models.import_weights(f"{sights.SYSTEM}/{sights.VARIANTS[0]}", trained, settings=("model.size=tiny",))
    told = sounds.judge(sights.match(seen, sights.load(trained)), seen.shots, [])
    starts = [shot.span.start for shot in seen.shots]
    assert len(starts) == len(scenes)
    wrong = [one for one in told if one.seen != (scenes[one.shot] == heard[one.shot])]
    assert not wrong
    assert {one.shot for one in told if one.seen} == {0, 1, 2, 3, 4, 5}
    unseen = [one for one in told if not one.seen]
    assert {one.shot for one in unseen} == {6, 7}
    for one in unseen:
        shown = next(shot for shot in seen.shots if one.like and one.like.start in shot.span)
        assert scenes[shown.index] == heard[one.shot]


@given(st.lists(st.integers(1, 7 * SECOND), min_size=1, max_size=6))
def test_pieces_cover_the_shots(durations: list[int]) -> None:
    limits = np.cumsum([0, *durations]).tolist()
    shots = [Shot(n, Span(*pair), "cut", 1.0) for n, pair in enumerate(pairwise(limits))]
    config = zoo.load(sights.SYSTEM, "tiny")
    found = sights.pieces(shots, config.data, 25.0)
    assert [clip.span.start for clip in found] == [0, *(clip.span.end for clip in found[:-1])]
    assert found[-1].span.end == limits[-1]
    _, least = sights.shown(config.data, 25.0)
    assert all(clip.span.duration >= min(least, shots[clip.shot].span.duration) for clip in found)


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(0, 9 * SECOND), min_size=1, max_size=9), st.sampled_from([8000, 16000, 24000]))
def test_sounds_are_cut_around_their_moments(colours: Path, middles: list[int], rate: int) -> None:
    how = Sound(seconds=Fraction(1, 2), rate=rate, high=4000)
    whole = np.concatenate([block for _, block in sights.audio.blocks(probe(colours), rate=rate)])
    around = np.pad(whole, rate)
    for middle, piece in zip(sorted(middles), sights.cut(probe(colours), sorted(middles), how), strict=True):
        first = round(middle * rate / SECOND) - rate // 4 + rate
        np.testing.assert_allclose(piece, around[first : first + rate // 2], atol=0.02)


def test_a_sound_that_cannot_be_looked_for_says_why(
    trained: Path, colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(*arguments: str) -> tuple[int, str]:
        code = run(["find", *arguments])
        return code, capsys.readouterr().err.strip()

    sound = str(save(tmp_path / "red.wav", tone(RED, 1, np.random.default_rng(1))))
    code, line = tell(str(colours), "--sound", sound)
    assert code == 5 and "avtool weights import speed-coaug/k400-pretrain" in line
    code, line = tell(str(colours), "--sound", str(tmp_path / "rad.wav"), "--weights", str(trained))
    assert code == 4 and "red.wav" in line
    silent = save(tmp_path / "silent.wav", np.zeros(RATE, np.float32))
    code, line = tell(str(colours), "--sound", str(silent), "--weights", str(trained))
    assert code == 4 and "is silent" in line
    (tmp_path / "words.wav").write_text("no sound")
    code, line = tell(str(colours), "--sound", str(tmp_path / "words.wav"), "--weights", str(trained))
    assert code == 4 and "words.wav" in line
    code, line = tell("--sound", sound, "--weights", str(trained))
    assert code == 2 and "FILM --sound CLIP" in line
    code, line = tell(sound, "--sound", sound, "--weights", str(trained))
    assert code == 4 and "no picture" in line
    code, line = tell(str(colours))
    assert code == 2 and "FILM --sound CLIP" in line
    code, line = tell(str(colours), "--sound", sound, "--weights", "k300-pretrain")
    assert code == 2 and "k400-pretrain" in line
