"""What a probe tells of a file, and what bad files get."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from avtool.errors import MediaError
from avtool.media.probe import Chapter, probe
from avtool.timeline import SECOND, Span
from tests.media import clips
from tests.media.clips import MPEG2, X264, X265


def test_plain_film(plain: Path) -> None:
    film = probe(plain)
    assert film.path == plain and "mp4" in film.container
    assert film.span == Span(0, 2 * SECOND) and film.origin == 0
    video = film.picture
    assert (video.codec, video.width, video.height, video.bit_depth) == ("h264", 160, 96, 8)
    assert (video.frame_rate, video.variable) == (Fraction(25), False)
    assert (video.rotation, video.pixel_aspect, video.interlaced, video.hdr) == (0, 1, False, None)
    assert (video.start, video.duration) == (0, 2 * SECOND)
    (sound,) = film.audio
    assert (sound.codec, sound.channels, sound.layout, sound.sample_rate) == ("aac", 1, "mono", 48_000)
    assert (sound.start, sound.duration, sound.default) == (0, 2 * SECOND, True)
    assert (film.subtitles, film.chapters, film.described) == ((), (), False)


def test_clock_begins_with_the_first_stream(folder: Path) -> None:
    path = folder / "clock.ts"
    film = probe(clips.write(path, clips.picture(itsoffset=0.84), clips.beep(), **MPEG2, acodec="mp2"))
    assert film.origin == pytest.approx(1.4 * SECOND, abs=20_000)
    assert film.audio[0].start == 0
    assert film.picture.start == pytest.approx(
        840_000 + 10_021, abs=100
    )  # MP2 begins 481 samples before the sound
    assert film.duration == pytest.approx(2_850_000, abs=1_000)


def test_picture_geometry_and_depth(folder: Path) -> None:
    deep = X265 | {"pix_fmt": "yuv420p10le"}
    path = clips.write(folder / "deep.mkv", clips.picture().filter("setsar", "64/45"), **deep)
    video = probe(path).picture
    assert (video.width, video.height) == (228, 96)
    assert (video.coded_width, video.coded_height, video.bit_depth) == (160, 96, 10)
    assert video.pixel_aspect == Fraction(64, 45)


def test_fields(folder: Path) -> None:
    woven = clips.picture(rate=50).filter("interlace")
    options = MPEG2 | {"flags": "+ilme+ildct"}
    assert probe(clips.write(folder / "fields.mkv", woven, **options)).picture.interlaced


def test_streams_chapters_and_description(folder: Path) -> None:
    marks = folder / "marks.txt"
    marks.write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=800\ntitle=The house\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=800\nEND=2000\n"
    )
    lines = folder / "lines.srt"
    lines.write_text("1\n00:00:00,500 --> 00:00:01,500\nHello.\n")
    streams = clips.write(
        folder / "streams.mkv",
        clips.picture(),
        clips.beep(layout="5.1"),
        clips.beep(layout="stereo"),
        clips.ffmpeg.input(str(lines))["s"],
        **X264,
        **{
            "acodec": "flac",
            "scodec": "srt",
            "metadata:s:a:0": "language=eng",
            "metadata:s:a:1": "title=English audio description",
            "disposition:a:0": "default",
            "disposition:a:1": "0",
            "metadata:s:s:0": "language=nor",
            "disposition:s:0": "hearing_impaired",
        },
    )
    film = probe(clips.copy(folder / "rich.mkv", streams, chapters=marks))
    assert [(sound.layout, sound.language, sound.default) for sound in film.audio] == [
        ("5.1", "eng", True),
        ("stereo", None, False),
    ]
    assert [sound.description for sound in film.audio] == [False, True] and film.described
    (subtitle,) = film.subtitles
    assert (subtitle.codec, subtitle.language, subtitle.description) == ("srt", "nor", False)
    assert subtitle.hearing_impaired and not subtitle.forced
    assert film.chapters == (
        Chapter(Span(0, 800_000), "The house"),
        Chapter(Span(800_000, 2_000_000), None),
    )


@pytest.mark.parametrize(
    ("container", "tag", "described"),
    [
        ("mp4", {"disposition:a:0": "visual_impaired"}, True),
        ("mkv", {"disposition:a:0": "visual_impaired"}, True),
        ("mkv", {"metadata:s:a:0": "title=Stereo AD"}, True),
        ("mkv", {"metadata:s:a:0": "title=Audiodescription"}, True),
        ("mkv", {"metadata:s:a:0": "title=Director's ad-libs"}, False),
        ("mkv", {"disposition:a:0": "hearing_impaired"}, False),
    ],
)
def test_description_track_is_seen(
    folder: Path, container: str, tag: dict[str, str], described: bool
) -> None:
    path = folder / f"described.{container}"
    clips.write(path, clips.picture(0.2), clips.beep(0.2), **X264, acodec="aac", **tag)
    assert probe(path).described is described


def test_cover_art_is_no_picture(folder: Path) -> None:
    cover = clips.picture(0.04)
    path = clips.write(
        folder / "album.mp4",
        clips.beep(),
        cover,
        acodec="aac",
        vcodec="png",
        **{"disposition:v:0": "attached_pic"},
    )
    film = probe(path)
    assert film.video is None and len(film.audio) == 1


def test_digest_tells_films_apart(folder: Path, plain: Path) -> None:
    moved = folder / "moved elsewhere.mp4"
    moved.write_bytes(plain.read_bytes())
    assert probe(moved).digest == probe(plain).digest
    other = clips.write(folder / "other.mp4", clips.picture(1.96), clips.beep(), **X264, acodec="aac")
    assert probe(other).digest != probe(plain).digest


def test_probing_loads_nothing_heavy() -> None:
    """Every command probes first: what it imports is paid for each time."""
    code = "import sys, avtool.media.probe; print([m for m in ('numpy', 'torch', 'cv2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def missing(folder: Path, plain: Path) -> Path:
    return folder / "plian.mp4"


def nowhere(folder: Path, plain: Path) -> Path:
    return folder / "absent" / "film.mp4"


def directory(folder: Path, plain: Path) -> Path:
    (folder / "season").mkdir(exist_ok=True)
    return folder / "season"


def empty(folder: Path, plain: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path, plain: Path) -> Path:
    (folder / "text.mp4").write_text("A film of words.\n" * 50)
    return folder / "text.mp4"


def truncated(folder: Path, plain: Path) -> Path:
    content = plain.read_bytes()
    (folder / "truncated.mp4").write_bytes(content[: content.index(b"moov") - 4])
    return folder / "truncated.mp4"


def noise(folder: Path, plain: Path) -> Path:
    (folder / "noise.mp4").write_bytes(bytes(range(256)) * 64)
    return folder / "noise.mp4"


def playlist(folder: Path, plain: Path) -> Path:
    path = folder / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:2,\n{plain.name}\n#EXT-X-ENDLIST\n")
    return path


def joined(folder: Path, plain: Path) -> Path:
    path = folder / "joined.ffconcat"
    path.write_text(f"ffconcat version 1.0\nfile {plain.name}\n")
    return path


def remote(folder: Path, plain: Path) -> Path:
    return Path("https://example.org/film.mp4")


def no_decoder(folder: Path, plain: Path) -> Path:
    name = bytes(7) + b"\x01"  # follows the codec's in a sample description
    content = plain.read_bytes().replace(b"avc1" + name, b"zzzz" + name)
    (folder / "no-decoder.mp4").write_bytes(content)
    return folder / "no-decoder.mp4"


def no_frames(folder: Path, plain: Path) -> Path:
    return clips.write(folder / "no-frames.avi", clips.picture(), vcodec="mpeg4", t=0)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (missing, r"plian.mp4 does not exist; did you mean .*plain.mp4\?"),
        (nowhere, "neither does the folder"),
        (directory, "is a folder; name a film inside it"),
        (empty, "is empty"),
        (text, "is a text, not a film"),
        (truncated, r"index \(moov\) is missing"),
        (noise, "damaged or no film"),
        (playlist, "give the film file itself"),
        (joined, "give the film file itself"),
        (remote, "no local file"),
        (no_decoder, "no decoder for its picture"),
        (no_frames, "no picture that can be decoded"),
    ],
)
def test_bad_input_gets_one_clear_line(
    folder: Path, plain: Path, make: Callable[[Path, Path], Path], told: str
) -> None:
    with pytest.raises(MediaError, match=told) as refused:
        probe(make(folder, plain))
    assert "\n" not in str(refused.value) and refused.value.exit_code == 4


def test_names_that_look_like_protocols_are_files(
    folder: Path, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    Path("concat:plain.mp4").write_bytes(plain.read_bytes())
    assert probe("concat:plain.mp4").duration == probe(plain).duration


def test_a_film_may_not_pull_in_other_files(folder: Path, plain: Path) -> None:
    """A playlist in a film's clothes is refused; it would show any file that its writer names."""
    secret = clips.write(folder / "secret.ts", clips.picture(), **MPEG2)
    disguised = folder / "disguised.mp4"
    disguised.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n")
    with pytest.raises(MediaError):
        probe(disguised)
