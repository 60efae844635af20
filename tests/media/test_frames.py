"""What perceivers are shown, and when, on every odd kind of film."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avtool.errors import MediaError
from avtool.media import frames
from avtool.media.display import Screen
from avtool.media.probe import probe
from avtool.timeline import SECOND, Span
from tests.media import clips
from tests.media.clips import FRAME, MPEG2, MPEG4, VP9, X264, X265, Watcher

# How each clip is made, and when its picture begins (microseconds on the film's clock).
Maker = Callable[[Path], Path]
KINDS: dict[str, tuple[Maker, int]] = {}


def kind(name: str, start: int = 0) -> Callable[[Maker], Maker]:
    def add(make: Maker) -> Maker:
        KINDS[name] = make, start
        return make

    return add


def simple(name: str, **options: object) -> None:
    KINDS[name] = lambda path: clips.write(path, clips.picture(), clips.beep(), **options), 0


simple("h264.mp4", **X264, acodec="aac")
simple("h264.mov", **X264, acodec="pcm_s16le")
simple("h264.mkv", **X264, acodec="flac")
simple("h264.avi", **X264, acodec="pcm_s16le")
simple("mpeg4.avi", **MPEG4, acodec="pcm_s16le")
simple("vp9.webm", **VP9, acodec="libopus")
simple("10-bit.mp4", **X265, pix_fmt="yuv420p10le", acodec="aac")
simple("10-bit.mkv", **(X264 | {"pix_fmt": "yuv422p10le"}), acodec="aac")
simple("fragmented.mp4", **X264, an=None, movflags="+frag_keyframe+empty_moov+negative_cts_offsets")
simple("mpeg2.ts", **MPEG2, an=None)  # its clock begins at 1.4 s


@kind("raw.h264")
def raw(path: Path) -> Path:
    return clips.write(path, clips.picture(), **X264)


@kind("no-duration.webm")
def no_duration(path: Path) -> Path:
    return clips.write(path, clips.picture(), **VP9, live=1)


@kind("odd-size.mkv")
def odd_size(path: Path) -> Path:
    return clips.write(path, clips.picture(size=(97, 161)), **(X264 | {"pix_fmt": "yuv444p"}))


@kind("late-sound.mp4")
def late_sound(path: Path) -> Path:
    return clips.write(path, clips.picture(), clips.beep(itsoffset=0.84), **X264, acodec="pcm_s16le", f="mov")


@kind("late-picture.mp4", start=840_000)
def late_picture(path: Path) -> Path:
    return clips.write(path, clips.picture(itsoffset=0.84), clips.beep(), **X264, acodec="aac")


@kind("late-picture.mkv", start=840_000)
def late_picture_mkv(path: Path) -> Path:
    return clips.write(path, clips.picture(itsoffset=0.84), clips.beep(), **X264, acodec="aac")


@kind("late-picture.ts", start=840_000 + 10_021)
def late_picture_ts(path: Path) -> Path:
    # Its clock begins at 1.4 s, with the 481 samples that MP2 needs before the first.
    return clips.write(path, clips.picture(itsoffset=0.84), clips.beep(), **X264, acodec="mp2")


@kind("no-edit-list.mp4", start=FRAME)
def no_edit_list(path: Path) -> Path:
    # Without an edit list the reordering of B-frames delays the picture after the sound.
    return clips.write(
        path, clips.picture(), clips.beep(), **(X264 | {"bf": 1}), acodec="aac", use_editlist=0
    )


@pytest.fixture(params=KINDS, scope="module")
def odd(request: pytest.FixtureRequest, folder: Path) -> tuple[Path, int]:
    make, start = KINDS[request.param]
    return make(folder / request.param), start


def test_every_frame_at_its_time(odd: tuple[Path, int]) -> None:
    path, start = odd
    everything = Watcher(gray=True)
    unreadable = frames.show(probe(path), [everything])
    assert everything.numbers == list(range(50))
    assert np.abs(np.array(everything.times) - (start + np.arange(50) * FRAME)).max() <= 1_000
    assert unreadable == []


def test_span_shows_only_its_frames(odd: tuple[Path, int]) -> None:
    path, start = odd
    some = Watcher()
    frames.show(probe(path), [some], Span(start + 30 * FRAME - 5_000, start + 35 * FRAME - 5_000))
    assert some.numbers == [30, 31, 32, 33, 34]


def test_grab_by_time(odd: tuple[Path, int]) -> None:
    path, start = odd
    film = probe(path)
    times = [start + n * FRAME + FRAME // 2 for n in (40, 3, 22)]
    grabbed = frames.grab(film, [*times, 0])
    assert grabbed.shape == (4, film.picture.height, film.picture.width, 3)
    assert [clips.number(frame) for frame in grabbed] == [40, 3, 22, 0]


def test_frames_that_an_edit_list_hides(folder: Path, plain: Path) -> None:
    """A cut without re-encoding begins at a key frame; its edit list hides what comes before the cut."""
    path = folder / "trimmed.mp4"
    clips.copy(path, plain, ss=15 * FRAME / SECOND)
    watcher = Watcher()
    assert frames.show(probe(path), [watcher]) == []
    assert watcher.numbers == list(range(15, 50))
    assert watcher.times == [n * FRAME for n in range(35)]
    assert [clips.number(frame) for frame in frames.grab(probe(path), [0, 20 * FRAME])] == [15, 35]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_variable_frame_rate(folder: Path, container: str) -> None:
    kept = [n for n in range(50) if n < 10 or n % 7 == 0 or n > 40]
    picture = clips.picture().filter("select", "+".join(f"eq(n,{n})" for n in kept))
    path = clips.write(folder / f"variable.{container}", picture, **X264, fps_mode="vfr")
    film = probe(path)
    everything, coarse = Watcher(), Watcher(fps=4)
    assert frames.show(film, [everything, coarse]) == []
    assert film.picture.variable
    assert everything.numbers == kept
    assert everything.times == [n * FRAME for n in kept]
    # The first frame at or after each quarter second, and none twice.
    expected = sorted({next(n for n in kept if n * 4 >= grid * 25) for grid in range(8)})
    assert coarse.numbers == expected
    assert clips.number(frames.grab(film, [34 * FRAME])[0]) == 28


@given(fps=st.floats(0.5, 60), begin=st.integers(0, 60), length=st.integers(1, 60))
@settings(deadline=None, max_examples=25)
def test_grid(plain: Path, fps: float, begin: int, length: int) -> None:
    """Whatever rate is asked for, what is shown is the span's first frame, then the first of each grid time."""
    span = Span(begin * FRAME // 2, (begin + length) * FRAME // 2)
    watcher = Watcher(fps, size=(12, 20), gray=True)
    frames.show(probe(plain), [watcher], span)
    shown, due = [], 0
    for n in range(50):
        if n * FRAME in span and n * FRAME + 1_000 >= due * SECOND / fps:
            shown.append(n * FRAME)
            due = int((n * FRAME + 1_000) * fps / SECOND) + 1
    assert watcher.times == shown


def test_each_perceiver_gets_what_it_asked_for(plain: Path) -> None:
    watchers = [
        Watcher(),
        Watcher(size=(27, 48)),
        Watcher(size=(90, 160), gray=True),
        Watcher(fps=5, size=(48, 80)),
        Watcher(fps=5, size=(48, 80)),
    ]
    heard: list[int] = []
    frames.show(probe(plain), watchers, progress=heard.append)
    assert [watcher.frames[0].shape for watcher in watchers] == [
        (96, 160, 3),
        (27, 48, 3),
        (90, 160),
        (48, 80, 3),
        (48, 80, 3),
    ]
    assert [len(watcher.times) for watcher in watchers] == [50, 50, 50, 10, 10]
    assert all(watcher.numbers == [time // FRAME for time in watcher.times] for watcher in watchers)
    assert heard == sorted(heard) and heard[-1] == probe(plain).duration


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_phone(folder: Path, plain: Path, degrees: int) -> None:
    film = probe(clips.copy(folder / f"turned-{degrees}.mp4", plain, display_rotation=degrees))
    shape = (96, 160) if degrees == 180 else (160, 96)
    assert (film.picture.height, film.picture.width) == shape
    assert (film.picture.coded_height, film.picture.coded_width) == (96, 160)
    watcher, small = Watcher(), Watcher(size=(60, 40), gray=True)
    frames.show(film, [watcher, small])
    grabbed = frames.grab(film, [10 * FRAME])
    assert watcher.frames[0].shape == grabbed[0].shape == (*shape, 3)
    assert small.frames[0].shape == (60, 40)
    for frame in (watcher.frames[10], grabbed[0]):
        assert clips.number(np.rot90(frame, -degrees // 90)) == 10
    small_upright = np.rot90(small.frames[10], -degrees // 90)
    assert clips.number(small_upright) == 10


def test_wide_and_tall_pixels(folder: Path) -> None:
    wide = clips.write(folder / "wide.mp4", clips.picture().filter("setsar", "16/11"), **X264)
    tall = clips.write(folder / "tall.mkv", clips.picture().filter("setsar", "8/9"), **X264)
    for path, shape in ((wide, (96, 233, 3)), (tall, (108, 160, 3))):
        watcher = Watcher()
        frames.show(probe(path), [watcher])
        assert watcher.frames[0].shape == frames.grab(probe(path), [0])[0].shape == shape
        assert watcher.numbers == list(range(50))


def test_interlaced_is_woven_into_whole_frames(folder: Path) -> None:
    # A white bar runs right: in interlaced frames its edges are combed.
    source = "color=black:s=160x96:r=50:d=2,format=gray,geq=lum='if(between(X,N,N+20),235,16)'"
    moving = clips.ffmpeg.input(source, f="lavfi").video.filter("interlace")
    film = probe(clips.write(folder / "interlaced.ts", moving, **MPEG2, flags="+ilme+ildct"))
    assert film.picture.interlaced
    watcher = Watcher(gray=True)
    frames.show(film, [watcher])
    assert watcher.times == [n * FRAME for n in range(50)]
    inner = np.stack(watcher.frames)[5:-5, 8:-8].astype(int)
    combs = np.abs(2 * inner[:, 1:-1] - inner[:, :-2] - inner[:, 2:]) > 200
    assert combs.mean() < 0.002
    assert np.abs(frames.grab(film, [20 * FRAME])[0].mean(axis=2) - watcher.frames[20]).mean() < 4


@pytest.mark.parametrize(("transfer", "white"), [("smpte2084", 0.5807), ("arib-std-b67", 0.75)])
def test_hdr_is_shown_in_standard_range(folder: Path, transfer: str, white: float) -> None:
    """Black stays black, diffuse white (203 cd/m2 in BT.2408) comes out bright, and nothing clips below it."""
    level = f"64+876*{white}*X/W"
    source = f"color=black:s=160x96:r=25:d=0.4,format=yuv420p10le,geq=lum='{level}':cb=512:cr=512"
    tags = {"color_primaries": "bt2020", "color_trc": transfer, "colorspace": "bt2020nc"}
    made = X265 | {
        "x265-params": f"log-level=error:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
    }
    ramp = clips.ffmpeg.input(source, f="lavfi").video
    film = probe(clips.write(folder / f"{transfer}.mp4", ramp, **made, **tags, pix_fmt="yuv420p10le"))
    assert film.picture.hdr == ("PQ" if transfer == "smpte2084" else "HLG")
    assert film.picture.bit_depth == 10
    colour, gray = Watcher(), Watcher(gray=True)
    frames.show(film, [colour, gray])
    row = colour.frames[5][48].astype(int)
    assert row[2].max() <= 8 and 205 <= row[-2].min() <= row[-2].max() <= 240
    assert (np.diff(row.mean(axis=1)) > -2).all()
    assert np.abs(row - row.mean(axis=1, keepdims=True)).max() <= 4  # gray stays gray
    assert np.abs(gray.frames[5][48] - row.mean(axis=1)).max() <= 3
    assert np.abs(frames.grab(film, [200_000])[0][48] - row).max() <= 3


def test_colours_of_both_matrices(folder: Path) -> None:
    """Unmarked pictures are BT.601 when small and BT.709 when HD, as players take them."""
    for height, matrix in ((96, "bt601"), (720, "bt709")):
        source = clips.ffmpeg.input(f"color=0xC04020:s=160x{height}:r=25:d=0.2,format=gbrp", f="lavfi").video
        converted = source.filter("scale", out_color_matrix=matrix).filter("format", "yuv444p")
        unmarked = converted.filter("setparams", colorspace="unknown")
        path = clips.write(folder / f"{matrix}.mkv", unmarked, **(X264 | {"pix_fmt": "yuv444p", "qp": 1}))
        watcher = Watcher()
        frames.show(probe(path), [watcher])
        assert np.abs(watcher.frames[0].astype(int) - [0xC0, 0x40, 0x20]).max() <= 4


def test_small_sizes_average_large_pictures(folder: Path) -> None:
    """A picture of noise shrinks to its mean, and an edge stays where it is."""
    source = "color=black:s=1280x720:r=25:d=0.08,format=gray,geq=lum='if(lt(X,640),16,16+random(1)*219)'"
    large = clips.ffmpeg.input(source, f="lavfi").video
    path = clips.write(folder / "noise.mkv", large, **(X264 | {"qp": 4}))
    small, gray = Watcher(size=(27, 48)), Watcher(size=(27, 48), gray=True)
    frames.show(probe(path), [small, gray])
    for frame in (small.frames[0].mean(axis=2), gray.frames[0]):
        row = frame.mean(axis=0)
        assert row[:24].max() < 20 and row[24:].min() > 100
        assert frame[:, 25:].std() < 20  # one pixel in 26 x 26 would vary by 74


def test_one_frame(folder: Path) -> None:
    film = probe(clips.write(folder / "one.mp4", clips.picture(seconds=0.04), **X264))
    watcher = Watcher()
    assert frames.show(film, [watcher]) == []
    assert (watcher.times, watcher.numbers) == ([0], [0])
    assert clips.number(frames.grab(film, [film.duration])[0]) == 0


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_damage_in_the_middle_is_told_and_passed(folder: Path, container: str) -> None:
    whole = clips.write(folder / f"whole.{container}", clips.picture(10), **X264)
    film = probe(clips.damage(folder / f"damaged.{container}", whole, 0.4, 0.55))
    watcher = Watcher()
    unreadable = frames.show(film, [watcher])
    assert watcher.numbers == [time // FRAME % 256 for time in watcher.times]
    assert watcher.times[-1] == 249 * FRAME
    missing = [n * FRAME for n in range(250) if n * FRAME not in watcher.times]
    assert 10 < len(missing) < 125
    # Frames lost just before a fault are not told on their own.
    assert all(any(time in span.grow(5 * FRAME, 0) for span in unreadable) for time in missing)
    assert sum(span.duration for span in unreadable) < 5 * SECOND


def test_film_cut_short_is_told(folder: Path) -> None:
    whole = clips.write(folder / "whole.mkv", clips.picture(10), **X264)
    cut = folder / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    watcher = Watcher()
    unreadable = frames.show(probe(cut), [watcher])
    assert unreadable == [Span(watcher.times[-1] + FRAME, 10 * SECOND)]


def test_a_perceiver_that_fails_stops_the_reading(plain: Path) -> None:
    class Failing(Watcher):
        def see(self, times: np.ndarray, frames: np.ndarray) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        frames.show(probe(plain), [Failing()])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reading")]


def test_reading_waits_for_slow_perceivers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow a perceiver is, few frames are held for it."""
    large = clips.picture(6).filter("scale", 1280, 720, flags="neighbor")
    film = probe(clips.write(folder / "large.mkv", large, **X264))
    converted: list[int] = []

    def show(screen: Screen, frame: object, size: object, gray: bool) -> np.ndarray:
        converted.append(len(converted))
        return np.zeros((720, 1280, 3), np.uint8)

    class Slow(Watcher):
        def see(self, times: np.ndarray, frames: np.ndarray) -> None:
            threading.Event().wait(0.1)
            held.append(converted[-1] + 1 - len(self.times))
            self.times.extend(times)

    held: list[int] = []
    slow = Slow()
    monkeypatch.setattr(Screen, "show", show)
    frames.show(film, [slow])
    assert len(slow.times) == 150
    assert max(held) * 720 * 1280 * 3 < 120 << 20


def test_film_without_picture(folder: Path) -> None:
    film = probe(clips.write(folder / "sound.mp4", clips.beep(), acodec="aac"))
    for look in (lambda: frames.show(film, [Watcher()]), lambda: frames.grab(film, [0])):
        with pytest.raises(MediaError, match="no picture"):
            look()
