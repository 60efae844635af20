"""The film waits where it may, as long as it must, and everything else moves along."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool.media.frames import grab
from avtool.media.probe import probe
from avtool.settings import Settings
from avtool.timeline import SECOND, Description, Shot, Span, Speech
from avtool.tracks import extended, longer, sound
from avtool.tracks.extended import AIR, APART, LONGEST, Stop, lengthened, placed, time_map
from avtool.tracks.fit import Spoken, Unspoken
from avtool.tracks.loudness import Loudness
from avtool.tracks.timemap import Piece, TimeMap
from avtool.tracks.voice import Clip
from tests.media import clips

WHOLE = Span(0, 60 * SECOND)
LOUD = Loudness(-20.0, -3.0, np.full(600, -20.0))
RULES = Settings()


def lacking(start: float, seconds: float, number: int = 1) -> Unspoken:
    at = round(start * SECOND)
    cue = Description(f"ad-{number:04}", Span(at, at + SECOND), "words")
    return Unspoken(cue, "no room", Clip(Path("clip.wav"), round(seconds * SECOND)))


def shots(*cuts: float) -> list[Shot]:
    return [Shot(n, Span(round(cut * SECOND), WHOLE.end), "cut", 1.0) for n, cut in enumerate((0, *cuts))]


def talk(*times: tuple[float, float]) -> list[Speech]:
    return [Speech(Span(round(a * SECOND), round(b * SECOND)), "dialogue", ("vad",), 1.0) for a, b in times]


def planned(
    unspoken: list[Unspoken], speech: list[Speech], cuts: list[Shot], heard: Loudness = LOUD
) -> tuple[list[Stop], list[Unspoken]]:
    return extended.plan(unspoken, [], speech, cuts, heard, WHOLE, RULES)


def test_a_pause_that_is_almost_long_enough_is_stretched():
    ((stop,), left) = planned([lacking(6, 3.5)], talk((0, 5), (8.9, 60)), shots())
    assert not left
    assert stop.old.duration and stop.added == 3.5 * SECOND - stop.old.duration


def test_else_the_film_is_held_at_a_cut_outside_dialogue():
    ((stop,), _) = planned([lacking(6, 5)], talk((0, 5), (7, 60)), shots(4.0, 5.6, 9.0))
    assert stop.old == Span(5_600_000, 5_600_000)
    assert stop.added == 5 * SECOND + 2 * AIR


def test_or_in_silence():
    hush = replace(LOUD, momentary=np.where(np.arange(600) == 65, -60.0, -20.0))
    ((stop,), _) = planned([lacking(6, 5)], talk((0, 5), (8, 60)), shots(), hush)
    assert stop.old.start == 6_400_000


@pytest.mark.parametrize(
    ("unspoken", "why"),
    [
        ([lacking(6, 12)], f"longer than the {LONGEST // SECOND} s"),
        ([lacking(30, 5)], "neither a cut nor silence"),
        ([lacking(6, 5), lacking(9, 5, 2)], f"held less than {APART // SECOND} s away"),
    ],
)
def test_stops_are_short_rare_and_cut_nothing(unspoken: list[Unspoken], why: str):
    *_, (*_, left) = planned(unspoken, talk((0, 5), (7, 8), (10, 60)), shots(5.6, 9.0))
    assert why in left.reason


stops = st.lists(
    st.tuples(st.integers(1, 5 * SECOND), st.integers(0, 3 * SECOND), st.integers(1, 12 * SECOND)), max_size=6
)


@given(stops, st.lists(st.integers(0, 60 * SECOND), min_size=2))
def test_the_time_map_only_adds_and_leads_back(wanted: list, times: list[int]):
    made, at = [], 0
    for pause, length, added in wanted:
        span = Span(at + pause, at + pause + length)
        made.append(Stop(span, added, Spoken(Description("a", span, "a"), Clip(Path("a"), 1), 175)))
        at = span.end
    lengths = time_map(made, WHOLE)
    assert lengths.pieces[-1].new.end == WHOLE.end + sum(stop.added for stop in made)
    moved = [lengths.at(time) for time in sorted(times)]
    for (before, after), (one, other) in zip(pairwise(sorted(times)), pairwise(moved), strict=True):
        assert one is not None and other is not None
        assert other - one >= after - before - 1
        assert abs(float(lengths.back(np.array([one]))[0]) - before) <= 1


def test_what_was_cut_out_is_nowhere():
    times = TimeMap((Piece(Span(0, 10), Span(5, 15)), Piece(Span(20, 30), Span(15, 25))))
    assert [times.at(time) for time in (0, 9, 12, 20, 30, 31)] == [5, 14, None, 15, 25, None]
    assert times.span(Span(8, 22)) == Span(13, 17)
    assert times.span(Span(11, 19)) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("extended")


@pytest.mark.parametrize(
    ("kind", "codec", "kept"), [("mkv", "srt", "srt"), ("mkv", "ass", "ssa"), ("mp4", "mov_text", "srt")]
)
def test_the_longer_film_stands_still_goes_on_and_keeps_its_tracks(
    kind: str, codec: str, kept: str, folder: Path
):
    """Held at frame 50 (2 s) for 3 s; its beep at 4 s comes at 7 s; subtitles and chapters move along."""
    import ffmpeg

    words = folder / "words.srt"
    words.write_text(
        "1\n00:00:01,000 --> 00:00:01,500\nBefore.\n\n2\n00:00:04,000 --> 00:00:05,000\nAfter.\n"
    )
    chapters = folder / "chapters.txt"
    chapters.write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=3000\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=3000\nEND=6000\ntitle=Two=2\n"
    )
    plain = clips.write(
        folder / f"plain.{kind}", clips.picture(6), clips.beep(6, 4.0), ffmpeg.input(str(words)),
        **clips.X264, acodec="aac", scodec=codec,
    )  # fmt: skip
    film = probe(clips.copy(folder / f"film.{kind}", plain, chapters))
    hold = Span(2 * SECOND, 2 * SECOND)
    cue = Description("ad-0001", hold, "Mara lifts the lantern.")
    stop = Stop(hold, 3 * SECOND, Spoken(cue, Clip(folder / "none", 2 * SECOND), 175))
    times = time_map([stop], film.span)
    (said,) = placed([], [stop], times)
    assert said.cue.span == Span(2 * SECOND + AIR, 4 * SECOND + AIR)
    mix = clips.write(folder / "mix.m4a", clips.beep(9, 7.0), acodec="aac")
    out = folder / "longer.mkv"
    longer.write(film, mix, [said.cue], [stop], times, "en", out)
    after = probe(out)
    assert after.duration == pytest.approx(film.duration + 3 * SECOND, abs=80_000)
    numbers = [
        clips.number(frame)
        for frame in grab(after, [time * SECOND // 25 for time in (49, 60, 100, 124, 130)])
    ]
    assert numbers == [49, 49, 49, 49, 55]
    assert [track.default for track in after.audio] == [True, False]
    assert after.audio[0].description
    assert [chapter.span.start for chapter in after.chapters] == [0, 6 * SECOND]
    assert after.chapters[1].title == "Two=2"
    assert [track.codec for track in after.subtitles] == ["srt", kept]
    with av.open(str(out)) as container:
        moved = [
            [round(float(time * packet.time_base), 2) for time in (packet.pts, packet.duration)]
            for packet in container.demux(container.streams.subtitles[1])
            if packet.pts is not None and packet.duration and packet.size
        ]
    assert moved == [[1.0, 0.5], [7.0, 1.0]]
    original = np.concatenate(list(sound.blocks(after, after.audio[1], "mono")))[:, 0]
    loud = np.flatnonzero(np.abs(original) > 0.2)
    assert loud[0] / sound.RATE == pytest.approx(7.0, abs=0.03)


def test_room_goes_on_sounding_while_the_film_is_held():
    room = 0.01 * np.random.default_rng(1).standard_normal((4 * sound.RATE, 2)).astype(np.float32)
    hold = Span(2 * SECOND, 2 * SECOND)
    stop = Stop(hold, 3 * SECOND, Spoken(Description("a", hold, "a"), Clip(Path("a"), 1), 175))
    blocks = (room[first : first + sound.RATE] for first in range(0, len(room), sound.RATE))
    longer_room = np.concatenate(list(lengthened(blocks, time_map([stop], Span(0, 4 * SECOND)), "stereo")))
    assert len(longer_room) == 7 * sound.RATE
    held = longer_room[2 * sound.RATE : 5 * sound.RATE]
    for second in held.reshape(3, -1, 2):
        assert 0.008 < second.std() < 0.012
    assert np.abs(np.diff(longer_room[:, 0])).max() < 0.1, "no click"
    assert (longer_room[5 * sound.RATE :] == room[2 * sound.RATE :]).all()


def test_a_stretched_pause_keeps_its_pitch():
    time = np.arange(4 * sound.RATE) / sound.RATE
    tone = (0.1 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)[:, None]
    pause = Span(SECOND, 3 * SECOND)
    stop = Stop(pause, SECOND // 2, Spoken(Description("a", pause, "a"), Clip(Path("a"), 1), 175))
    blocks = (tone[first : first + sound.RATE] for first in range(0, len(tone), sound.RATE))
    out = np.concatenate(list(lengthened(blocks, time_map([stop], Span(0, 4 * SECOND)), "mono")))[:, 0]
    assert len(out) == 4.5 * sound.RATE
    middle = out[round(1.5 * sound.RATE) : round(2.5 * sound.RATE)]
    assert np.abs(np.fft.rfft(middle)).argmax() == pytest.approx(440, abs=2)
