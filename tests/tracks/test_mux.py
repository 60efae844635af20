"""The described film: everything of the film as it was, one audio and one text track more, flagged and not default."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

import av
import pytest
from av.stream import Disposition
from imageio_ffmpeg import get_ffmpeg_exe

from avtool.errors import MediaError, ResourceError, UsageError
from avtool.media.probe import probe
from avtool.timeline import SECOND, Description, Span
from avtool.tracks import hls, mux
from tests.media import clips

CUES = [Description("ad-0001", Span(SECOND, 2 * SECOND), "Mara lifts the lantern.")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mux")


@pytest.fixture(scope="module")
def mix(folder: Path) -> Path:
    return clips.write(folder / "mix.m4a", clips.beep(3, 1.5, "stereo"), acodec="aac")


@pytest.fixture(scope="module", params=["mp4", "mkv"])
def film(request: pytest.FixtureRequest, folder: Path) -> Path:
    """Two audio tracks, the second the default, and a subtitle track."""
    words = folder / "words.srt"
    words.write_text("1\n00:00:00,500 --> 00:00:01,000\nHello.\n")
    import ffmpeg

    return clips.write(
        folder / f"film.{request.param}",
        clips.picture(3),
        clips.beep(3, 1.0),
        clips.beep(3, 2.0),
        ffmpeg.input(str(words)),
        **clips.X264,
        acodec="aac",
        scodec="mov_text" if request.param == "mp4" else "srt",
        **{"disposition:a:0": 0, "disposition:a:1": "default", "metadata:s:a:1": "language=fra"},
    )


def hashes(path: Path, count: int) -> list[str]:
    """A hash of the packets of each of the first `count` streams of sound and picture."""
    done = subprocess.run(
        [get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:v", "-map", "0:a", "-c", "copy",
         "-f", "streamhash", "-hash", "md5", "-"], capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()[:count]


def times(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return sorted(
            round(packet.pts * packet.time_base * 1000)
            for packet in container.demux(stream)
            if packet.pts is not None
        )


def test_the_description_is_flagged_and_the_film_is_as_it_was(film: Path, mix: Path, folder: Path):
    out = folder / f"described{film.suffix}"
    mux.add(probe(film), mix, CUES, "en-GB", out)
    assert hashes(out, 3) == hashes(film, 3)
    assert times(out) == times(film)
    with av.open(str(out)) as container:
        first, second, described = container.streams.audio
        assert described.disposition & Disposition.visual_impaired
        assert not described.disposition & Disposition.default
        assert not first.disposition & Disposition.default
        assert second.disposition & Disposition.default
        assert (second.language, described.language) == ("fra", "eng")
        _, text = container.streams.subtitles
        assert text.disposition & Disposition.descriptions
        assert not text.disposition & Disposition.default
        assert text.language == "eng"
        named = described.metadata.get("title") or described.metadata.get("handler_name")
        assert named == "Audio Description (synthetic voice)"
    assert probe(out).described


def test_the_description_is_the_default_where_that_is_asked_for(film: Path, mix: Path, folder: Path):
    out = folder / f"asked{film.suffix}"
    mux.add(probe(film), mix, CUES, "en", out, default=True)
    assert hashes(out, 3) == hashes(film, 3)
    assert [track.default for track in probe(out).audio] == [False, False, True]
    assert probe(out).audio[2].description


def test_the_only_text_track_of_an_mp4_is_not_switched_on(mix: Path, folder: Path):
    plain = clips.write(folder / "plain.mp4", clips.picture(3), clips.beep(3), **clips.X264, acodec="aac")
    mux.add(probe(plain), mix, CUES, "en", folder / "one.mp4")
    with av.open(str(folder / "one.mp4")) as container:
        (text,) = container.streams.subtitles
        assert not text.disposition & Disposition.default


def test_sound_that_mp4_cannot_hold_is_told(mix: Path, folder: Path):
    odd = clips.write(folder / "odd.mkv", clips.picture(3), clips.beep(3), **clips.X264, acodec="wavpack")
    with pytest.raises(MediaError, match="try .mkv"):
        mux.add(probe(odd), mix, CUES, "en", folder / "odd.mp4")
    assert not (folder / "odd.mp4").exists()


def test_a_film_is_never_written_over(film: Path, mix: Path, folder: Path):
    link = folder / f"link{film.suffix}"
    link.unlink(missing_ok=True)
    link.symlink_to(film)
    for path in (film, link):
        with pytest.raises(UsageError, match="is the input itself"):
            mux.add(probe(film), mix, CUES, "en", path)


def test_containers_that_cannot_flag_it_are_refused(film: Path, mix: Path, folder: Path):
    with pytest.raises(UsageError, match=r"flagged in .mkv, .mp4"):
        mux.add(probe(film), mix, CUES, "en", folder / "film.avi")


def test_a_disk_without_room_is_told_before(
    film: Path, mix: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ResourceError, match="make room"):
        mux.add(probe(film), mix, CUES, "en", folder / "full.mkv")
    assert not (folder / "full.mkv").exists()


@pytest.mark.parametrize(
    ("language", "code"), [("en-GB", "eng"), ("de", "deu"), ("fra", "fra"), ("x", "und")]
)
def test_languages_have_three_letters_in_a_container(language: str, code: str):
    assert mux.language_code(language) == code


def test_streaming_signals_the_description(film: Path, mix: Path, folder: Path):
    source, out = probe(film), folder / "stream"
    hls.write(source, source.audio[1], mix, CUES, "en", out)
    master = (out / "master.m3u8").read_text().splitlines()
    media = [line for line in master if line.startswith("#EXT-X-MEDIA:")]
    main, described, text = media
    for line in (described, text):
        assert 'CHARACTERISTICS="public.accessibility.describes-video"' in line
        assert "DEFAULT=NO,AUTOSELECT=YES" in line
    assert "DEFAULT=YES" in main and 'LANGUAGE="fr"' in main
    (variant,) = [line for line in master if line.startswith("#EXT-X-STREAM-INF:")]
    group = described.split('GROUP-ID="')[1].split('"')[0]
    assert f'AUDIO="{group}"' in variant and f'GROUP-ID="{group}"' in main
    with av.open(str(out / "master.m3u8")) as container:
        assert [stream.type for stream in container.streams].count("audio") == 2
        assert container.duration == pytest.approx(3 * SECOND, abs=0.1 * SECOND)
    hls.write(source, source.audio[1], mix, CUES, "en", out)  # a second time over the first
    hls.write(source, source.audio[0], mix, CUES, "en", out)
    (main, *_) = re.findall(r"#EXT-X-MEDIA:.*", (out / "master.m3u8").read_text())
    assert "LANGUAGE" not in main, "a language that nobody told is none"


def test_a_folder_of_something_else_is_no_place_for_a_stream(film: Path, mix: Path, folder: Path):
    (folder / "letters").mkdir(exist_ok=True)
    (folder / "letters" / "one.txt").touch()
    with pytest.raises(UsageError, match="is no stream of avtool's"):
        hls.write(probe(film), None, mix, CUES, "en", folder / "letters")
    assert (folder / "letters" / "one.txt").exists()


def test_pictures_that_cannot_be_streamed_are_refused(mix: Path, folder: Path):
    path = clips.write(folder / "old.mkv", clips.picture(1), **clips.MPEG2)
    with pytest.raises(UsageError, match="HLS takes H.264 and HEVC, not mpeg2video"):
        hls.write(probe(path), None, mix, CUES, "en", folder / "old.hls")
