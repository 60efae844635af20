"""Scripts follow their film to another cut: trailers before, scenes cut out, advertisements in, PAL's speed."""

from __future__ import annotations

from pathlib import Path

import ffmpeg
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from avtool.cli.main import run
from avtool.errors import MediaError
from avtool.media.probe import probe
from avtool.retime import align, retime
from avtool.timeline import SECOND, Description, Span

FILM = Path(__file__).parent.parent / "examples" / "the-quiet-street.mp4"
LENGTH = 90  # seconds


def made(*streams, path: Path, **options) -> Path:
    node = ffmpeg.output(*streams, str(path), **options).global_args("-nostdin", "-v", "error")
    node.run(cmd=get_ffmpeg_exe(), overwrite_output=True)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("retime")


@pytest.fixture(scope="module")
def old(folder: Path) -> Path:
    """The example's sound, and then chords that never come back."""
    chords = "+".join(
        f"0.1*sin(2*PI*t*({110 * n}+{7 * n}*floor(t*1.7)))*gt(sin(t*{n}.3),0)" for n in range(2, 7)
    )
    music = ffmpeg.input(f"aevalsrc='{chords}':s=48000:d=36", f="lavfi").audio
    return made(ffmpeg.concat(ffmpeg.input(str(FILM)).audio, music, v=0, a=1), path=folder / "old.wav")


@pytest.fixture(scope="module")
def cut(folder: Path, old: Path) -> Path:
    """3 s of noise before; 20 s to 32 s cut out; 5 s of a tone put in at 60 s; coarser sound."""

    def part(start: float, end: float):
        return ffmpeg.input(str(old)).audio.filter("atrim", start, end).filter("asetpts", "PTS-STARTPTS")

    noise = ffmpeg.input("anoisesrc=d=3:c=brown:a=0.2:r=48000:seed=1", f="lavfi").audio
    tone = ffmpeg.input("sine=300:d=5:r=48000", f="lavfi").audio
    parts = (noise, part(0, 20), part(32, 60), tone, part(60, LENGTH))
    return made(ffmpeg.concat(*parts, v=0, a=1), path=folder / "cut.mp3", audio_bitrate="64k")


def cue(number: int, start: float) -> Description:
    return Description(
        f"ad-{number:04}", Span(round(start * SECOND), round((start + 1.5) * SECOND)), f"Cue {number}."
    )


def test_cues_follow_to_the_millisecond_and_what_was_cut_out_is_told(old: Path, cut: Path):
    moved = retime([cue(1, 2), cue(2, 18), cue(3, 25), cue(4, 40), cue(5, 70)], old, cut)
    starts = [one.span.start / SECOND for one in moved.cues]
    assert starts == pytest.approx([5, 21, 31, 66], abs=0.04)
    assert all(one.span.duration == 1.5 * SECOND for one in moved.cues)
    assert [one.id for one in moved.lost] == ["ad-0003"]


def test_the_speed_up_of_pal_is_undone(folder: Path, old: Path):
    faster = ffmpeg.input(str(old)).audio.filter("asetrate", "48000*25/24").filter("aresample", 48_000)
    pal = made(faster, path=folder / "pal.wav")
    times = align(probe(old), probe(pal))
    for second in (5, 40, 80):
        time = times.at(second * SECOND)
        assert time is not None
        assert time / SECOND == pytest.approx(second * 24 / 25, abs=0.04)


def test_the_same_film_stays_where_it_is(old: Path):
    ((before, after),) = align(probe(old), probe(old)).pieces
    assert before == after == Span(0, probe(old).duration)


def test_films_without_anything_in_common_are_told(folder: Path, old: Path):
    other = made(ffmpeg.input("anoisesrc=d=40:seed=3", f="lavfi").audio, path=folder / "other.wav")
    with pytest.raises(MediaError, match="no sound in common"):
        align(probe(old), probe(other))


def test_films_without_sound_are_told(folder: Path, old: Path):
    mute = made(ffmpeg.input("color=black:s=64x64:d=1", f="lavfi"), path=folder / "mute.mp4")
    with pytest.raises(MediaError, match="no sound to align by"):
        align(probe(old), probe(mute))


def test_the_command_writes_beside_the_script(
    folder: Path, old: Path, cut: Path, capsys: pytest.CaptureFixture[str]
):
    script = folder / "film.srt"
    script.write_text("1\n00:00:40,000 --> 00:00:41,000\nMara.\n\n2\n00:00:25,000 --> 00:00:26,000\nGone.\n")
    assert run(["retime", str(script), str(old), str(cut), "-o", str(script)]) == 2
    assert "is the input itself" in capsys.readouterr().err
    assert run(["retime", str(script), str(old), str(cut), "-o", str(folder / "a.doc")]) == 2
    assert run(["retime", str(script), str(old), str(cut)]) == 3
    told = capsys.readouterr()
    assert "1 of 2 cues are in no part that cut.mp3 has" in told.err
    assert (
        "00:00:31," in (folder / "film.retimed.srt").read_text()
        or "00:00:30,9" in (folder / "film.retimed.srt").read_text()
    )
