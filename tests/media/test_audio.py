"""Sound on the film's clock, whatever the file does."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avtool.errors import UsageError
from avtool.media import audio
from avtool.media.probe import Probe, probe
from avtool.timeline import SECOND, Span
from avtool.tracks import sound
from tests.media import clips
from tests.media.clips import MPEG2, VP9, X264


def heard(film: Probe, track: int | None = None, span: Span | None = None, seconds: float = 30) -> np.ndarray:
    """All blocks in a row, after checking that each begins where the last one ended."""
    whole = span or film.span
    blocks = list(audio.blocks(film, track, span, seconds))
    samples = np.concatenate([block for _, block in blocks])
    lengths = [len(block) for _, block in blocks]
    for n, (time, block) in enumerate(blocks):
        assert abs(time - whole.start - sum(lengths[:n]) * SECOND / audio.RATE) <= 1
        assert block.dtype == np.float32 and block.ndim == 1
    assert len(set(lengths[:-1])) <= 1
    assert len(samples) == round(whole.duration * audio.RATE / SECOND)
    return samples


def beeps(samples: np.ndarray, rate: int = audio.RATE) -> list[tuple[float, float]]:
    """When the tone is on, in seconds."""
    width = rate // 200
    loud = np.abs(samples[: len(samples) // width * width]).reshape(-1, width).max(axis=1) > 0.05
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(int)))
    return [(begin / 200, end / 200) for begin, end in edges.reshape(-1, 2)]


SOUNDS = {
    "aac.mp4": (X264, "aac", {}, 1.0),
    "late.mp4": (X264, "aac", {"itsoffset": 0.84}, 1.84),
    "late.mkv": (X264, "libmp3lame", {"itsoffset": 0.84}, 1.84),
    "opus.webm": (VP9, "libopus", {}, 1.0),
    "pcm.mov": (X264, "pcm_s24le", {}, 1.0),
    "pcm.avi": (X264, "pcm_s16le", {}, 1.0),
    "mp2.ts": (MPEG2, "mp2", {"itsoffset": 0.84}, 1.84),
    "44100.mkv": (X264, "flac", {"rate": 44_100}, 1.0),
    "7.1.mkv": (X264, "flac", {"layout": "7.1"}, 1.0),
}


@pytest.fixture(params=SOUNDS, scope="module")
def sounding(request: pytest.FixtureRequest, folder: Path) -> tuple[Probe, float]:
    video, codec, options, begin = SOUNDS[request.param]
    path = folder / f"sound-{request.param}"
    clips.write(path, clips.picture(), clips.beep(**options), **video, acodec=codec)
    return probe(path), begin


def test_sound_is_where_the_film_has_it(sounding: tuple[Probe, float]) -> None:
    film, begin = sounding
    ((on, off),) = beeps(heard(film))
    assert on == pytest.approx(begin, abs=0.03) and off == pytest.approx(begin + 0.25, abs=0.03)


def test_span_is_cut_from_the_same_clock(sounding: tuple[Probe, float]) -> None:
    film, begin = sounding
    span = Span(round((begin - 0.3) * SECOND), round((begin + 0.6) * SECOND))
    ((on, off),) = beeps(heard(film, span=span))
    assert on == pytest.approx(0.3, abs=0.03) and off == pytest.approx(0.55, abs=0.03)


def test_the_mix_hears_it_at_the_same_time(sounding: tuple[Probe, float]) -> None:
    film, begin = sounding
    layout = sound.layout(film.audio[0])
    samples = np.concatenate(list(sound.blocks(film, film.audio[0], layout)))
    assert samples.shape == (sound.samples(film.duration), film.audio[0].channels)
    ((on, off),) = beeps(samples[:, 0], sound.RATE)
    assert on == pytest.approx(begin, abs=0.03) and off == pytest.approx(begin + 0.25, abs=0.03)


@given(begin=st.integers(0, 1_900_000), length=st.integers(1, 2_000_000), seconds=st.floats(0.05, 3))
@settings(deadline=None, max_examples=30)
def test_blocks_cover_any_span(plain: Path, begin: int, length: int, seconds: float) -> None:
    film = probe(plain)
    span = Span(begin, min(begin + length, film.duration + SECOND))
    samples = np.concatenate(
        [np.zeros(0)] + [block for _, block in audio.blocks(film, span=span, seconds=seconds)]
    )
    assert len(samples) == round(span.duration * audio.RATE / SECOND)
    tone = Span(1_030_000, 1_220_000).clip(span)
    if tone is not None and tone.duration > 5_000:
        inside = samples[(tone.start - begin) * audio.RATE // SECOND :][
            : tone.duration * audio.RATE // SECOND
        ]
        assert np.abs(inside).max() > 0.3


def test_holes_are_silence(folder: Path) -> None:
    """A track whose middle was cut out, its times kept, is still in time after it."""
    holed = clips.beep(6, at=5).filter("aselect", "not(between(t,1,4))")
    film = probe(clips.write(folder / "holed.mkv", clips.picture(6), holed, **X264, acodec="pcm_s16le"))
    ((on, _),) = beeps(heard(film, seconds=1))
    assert on == pytest.approx(5, abs=0.03)


def test_damaged_sound_goes_on(folder: Path) -> None:
    noise = clips.ffmpeg.input("anoisesrc=d=10:a=0.5", f="lavfi").audio
    whole = clips.write(folder / "noise.mkv", clips.picture(10, size=(32, 32)), noise, **X264, acodec="aac")
    film = probe(clips.damage(folder / "damaged-sound.mkv", whole, 0.4, 0.5))
    loud = beeps(heard(film))
    assert loud[0][0] < 0.1 and loud[-1][1] > 9.9
    silent = sum(later[0] - earlier[1] for earlier, later in pairwise(loud))
    assert 0.5 < silent < 5


def test_dialogue_of_surround_sound_leads(folder: Path) -> None:
    """The centre is at two thirds in the mix, left and right together at one third; the rest is left out."""
    for channel, share in enumerate((1 / 6, 1 / 6, 2 / 3, 0, 0, 0)):  # FL FR FC LFE BL BR
        placed = clips.beep(layout="5.1", only=channel)
        film = probe(clips.write(folder / "surround.mkv", clips.picture(), placed, **X264, acodec="flac"))
        assert np.abs(heard(film)).max() == pytest.approx(0.5 * share, abs=0.03)


def test_stereo_is_averaged(folder: Path) -> None:
    for channel, level in ((None, 0.5), (1, 0.25)):
        placed = clips.beep(layout="stereo", only=channel)
        film = probe(clips.write(folder / "stereo.mkv", clips.picture(), placed, **X264, acodec="flac"))
        assert np.abs(heard(film)).max() == pytest.approx(level, abs=0.03)


@pytest.fixture(scope="module")
def many(folder: Path) -> Probe:
    """Three tracks that beep at different times: description first, then the default, then another."""
    path = clips.write(
        folder / "many.mkv",
        clips.picture(),
        *(clips.beep(at=at) for at in (0.2, 0.8, 1.4)),
        **X264,
        **{"acodec": "flac", "disposition:a:0": "visual_impaired", "disposition:a:1": "default"},
        **{"disposition:a:2": "0", "metadata:s:a:2": "language=fra"},
    )
    return probe(path)


@pytest.mark.parametrize(("track", "begin"), [(None, 0.8), (0, 0.2), (1, 0.8), (2, 1.4)])
def test_track_is_chosen(many: Probe, track: int | None, begin: float) -> None:
    ((on, _),) = beeps(heard(many, track=track))
    assert on == pytest.approx(begin, abs=0.03)
    chosen = audio.choose(many, track)
    ((on, _),) = beeps(np.concatenate(list(sound.blocks(many, chosen, "mono")))[:, 0], sound.RATE)
    assert on == pytest.approx(begin, abs=0.03)


@pytest.mark.parametrize("track", [3, -1])
def test_no_such_track(many: Probe, track: int) -> None:
    with pytest.raises(UsageError, match=r"no audio track .* 0: mono, 1: mono, 2: fra mono"):
        audio.blocks(many, track=track)


def test_film_without_sound(folder: Path) -> None:
    film = probe(clips.write(folder / "mute.mp4", clips.picture(), **X264))
    assert list(audio.blocks(film)) == []
    with pytest.raises(UsageError, match="no sound"):
        audio.blocks(film, track=0)


def test_long_silence_is_made_block_by_block(plain: Path) -> None:
    """Ten hours of nothing do not ask for ten hours of memory."""
    film = probe(plain)
    lengths = [len(block) for _, block in audio.blocks(film, span=Span(0, 36_000 * SECOND), seconds=60)]
    assert len(lengths) == 600 and math.fsum(lengths) == 36_000 * audio.RATE
