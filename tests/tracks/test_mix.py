"""The described mix of real files: as loud as asked for, measured afterwards; dialogue untouched; in step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import ffmpeg
import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from avtool.media.probe import probe
from avtool.timeline import SECOND, Span
from avtool.tracks import ducking, loudness, mix, sound
from avtool.tracks.ducking import Duck
from avtool.tracks.voice import Clip
from tests.media import clips
from tests.tracks.voices import toned

SAID = [Span(2 * SECOND, 3 * SECOND), Span(6 * SECOND, 7 * SECOND)]
BEEP = 4.0  # seconds
RATE = sound.RATE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mix")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Clip:
    return toned(folder / "voice").say(["three words here"], 180)["three words here"]


@dataclass(frozen=True)
class Mixed:
    measured: mix.Measured
    sound: np.ndarray  # float32 (channels, samples)
    ducks: list[Duck]


def mixed(path: Path, clip: Clip, folder: Path, target: str = "ebu") -> Mixed:
    """The film at `path` with `clip` at both of `SAID`, its beep taken for dialogue."""
    film = probe(path)
    stream = film.audio[0] if film.audio else None
    layout = sound.layout(stream)
    dialogue = [Span(round(BEEP * SECOND), round((BEEP + 0.25) * SECOND))]
    programme = loudness.measure(sound.programme(film, stream, layout), "no sound")
    levels = loudness.levels(programme, dialogue, target)
    ducks = ducking.duck([Span(span.start, span.start + clip.duration) for span in SAID], levels)
    measured = mix.described(
        lambda: sound.blocks(film, stream, layout), layout, [clip, clip], ducks, levels, folder / "mix.m4a"
    )
    raw = ffmpeg.input(str(measured.path)).output("pipe:", format="f32le").global_args("-v", "error")
    out, _ = raw.run(cmd=get_ffmpeg_exe(), capture_stdout=True)
    return Mixed(measured, np.frombuffer(out, np.float32).reshape(-1, sound.CHANNELS[layout]).T, ducks)


def beginning(track: np.ndarray, frequency: float) -> float:
    """Seconds at which a tone of `frequency` first sounds in `track` (samples,)."""
    size = RATE // 100
    window = np.exp(-2j * np.pi * frequency * np.arange(size) / RATE)
    levels = np.abs(track[: len(track) // size * size].reshape(-1, size) @ window) / size
    return float(np.flatnonzero(levels > 0.3 * levels.max())[0] * size / RATE)


@pytest.mark.parametrize(
    ("layout", "rate"),
    [("mono", 44_100), ("stereo", 48_000), ("stereo", 96_000), ("5.1", 48_000), ("7.1", 48_000)],
)
def test_any_sound_is_mixed_to_the_target_and_in_step(layout: str, rate: int, clip: Clip, folder: Path):
    path = folder / f"{layout}-{rate}.mkv"
    clips.write(path, clips.picture(9), clips.beep(9, BEEP, layout, rate=rate), **clips.X264, acodec="flac")
    made = mixed(path, clip, folder)
    assert abs(made.measured.loudness - -23) <= 0.5
    assert made.measured.peak <= -1
    assert made.measured.meets
    assert len(made.sound) == sound.CHANNELS[layout]
    assert made.sound.shape[1] / RATE == pytest.approx(9, abs=0.05)
    surround = layout in ("5.1", "7.1")
    centre = made.sound[sound.CENTRE if surround else 0]
    assert beginning(centre, 1000) == pytest.approx(BEEP, abs=0.02)
    assert beginning(centre, 300) == pytest.approx(2.0, abs=0.02)
    if surround:
        sides = np.delete(made.sound, sound.CENTRE, axis=0)
        assert np.abs(sides[:, 2 * RATE + 9600 : 3 * RATE - 9600]).max() < 0.01, (
            "narration is in the centre alone"
        )


def test_no_narration_during_dialogue(clip: Clip, folder: Path):
    path = clips.write(
        folder / "plain.mkv", clips.picture(9), clips.beep(9, BEEP, "stereo"), **clips.X264, acodec="flac"
    )
    film = probe(path)
    made = mixed(path, clip, folder)
    before = np.concatenate(list(sound.blocks(film, film.audio[0], "stereo"))).T
    inside = slice(round((BEEP + 0.02) * RATE), round((BEEP + 0.23) * RATE))
    gain = float(np.abs(made.sound[0, inside]).max() / np.abs(before[0, inside]).max())
    assert np.abs(made.sound[0, inside] - gain * before[0, inside]).max() < 0.05 * gain


def test_a_film_without_sound_gets_a_narration_at_the_target(clip: Clip, folder: Path):
    path = clips.write(folder / "mute.mp4", clips.picture(9), **clips.X264)
    made = mixed(path, clip, folder)
    assert abs(made.measured.loudness - -23) <= 0.5
    assert len(made.sound) == 1


def test_sound_that_drifts_keeps_to_its_timestamps(clip: Clip, folder: Path):
    """The second half of the sound is stamped half a second late."""
    drifting = clips.beep(9, 7.0).filter("asetpts", "PTS+gte(T,5)*0.5/TB")
    path = clips.write(
        folder / "drift.mkv", clips.picture(9), drifting, **clips.X264, acodec="flac", fps_mode="passthrough"
    )
    made = mixed(path, clip, folder)
    assert beginning(made.sound[0], 1000) == pytest.approx(7.5, abs=0.04)


@pytest.mark.parametrize("target", ["atsc", "netflix", "web", "programme"])
def test_presets_are_met(target: str, clip: Clip, folder: Path):
    path = clips.write(folder / f"{target}.mkv", clips.beep(9, BEEP, "stereo"), acodec="flac")
    made = mixed(path, clip, folder, target)
    wanted = loudness.TARGETS.get(target)
    assert made.measured.meets
    if wanted:
        assert made.measured.target == wanted


def test_narration_alone_is_as_long_as_the_film_and_silent_between(clip: Clip, folder: Path):
    ducks = [Duck(Span(span.start, span.start + clip.duration), 9.0, 0.0) for span in SAID]
    path = folder / "narration.flac"
    mix.narration(9 * SECOND, [clip, clip], ducks, -23.0, path)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    heard = np.concatenate(frames).astype(np.float32) / 32768
    assert len(heard) == 9 * RATE
    assert loudness.level(heard[2 * RATE : 2 * RATE + len(clip.read())]) == pytest.approx(-23, abs=0.2)
    assert not heard[: 2 * RATE].any() and not heard[4 * RATE : 6 * RATE].any()
