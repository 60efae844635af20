"""Subtitle files: what they say is read as their standards say, and what is written is read back."""

from __future__ import annotations

import re
import subprocess
import unicodedata
from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg
import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool.errors import UsageError
from avtool.timeline import SECOND, Description, Fact, Span
from avtool.tracks import subtitles

LANTERN = Description("ad-0001", Span(12_480_000, 15_120_000), "Mara lifts the lantern.", confidence=0.9)
PLATE = Description("ad-0002", Span(31_000_000, 33_250_000), "On a brass plate: Harbour Office.")
FORMATS = ("srt", "vtt", "ass")


def written(folder: Path, text: str | bytes, name: str = "film.srt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_vtt_as_the_standard_says(tmp_path: Path) -> None:
    text = (
        "\ufeffWEBVTT - some title\nKind: descriptions\r\n\r\nSTYLE\r::cue { color: red }\n\n"
        "NOTE 00:01 is no cue\nof two lines\n\nREGION\nid:fred\n\n"
        "a name\n00:01.500 --> 00:02.000 align:start position:10%\n"
        "<v.loud Mara>Salt &amp; <i>sand</i> &lt;3&nbsp;<00:01.700>now\nand then\n\n"
        "01:00:00.000-->01:00:01.000\nNo name.\n02:00:00.001 --> 02:00:02.000\nNo empty line before.\n"
    )
    cues = subtitles.read(written(tmp_path, text, "film.vtt"))
    assert [(cue.id, cue.span, cue.text) for cue in cues] == [
        ("a name", Span(1_500_000, 2_000_000), "Salt & sand <3 now and then"),
        ("ad-0002", Span(3600 * SECOND, 3601 * SECOND), "No name."),
        ("ad-0003", Span(7200_001_000, 7202 * SECOND), "No empty line before."),
    ]


def test_srt_as_found_in_the_wild(tmp_path: Path) -> None:
    text = (
        "\n1\n00:00:01,000 --> 00:00:02,500 X1:10 X2:20 Y1:1 Y2:2\n{\\an8}<font color=red>Year:</font>\n1984\n\n"
        "7\n0:0:3.5 --> 0:0:4\n<i>Two\n\nparts</i>\n"
        "00:00:05,000 --> 00:00:06,000\nNo number & no end"
    )
    cues = subtitles.read(written(tmp_path, text.replace("\n", "\r\n").encode("utf-16")))
    assert [(cue.span, cue.text) for cue in cues] == [
        (Span(1_000_000, 2_500_000), "Year: 1984"),
        (Span(3_500_000, 4_000_000), "Two parts"),
        (Span(5_000_000, 6_000_000), "No number & no end"),
    ]


@pytest.mark.parametrize("kind", ["v4.00+", "v4.00"])
def test_ass_and_ssa(tmp_path: Path, kind: str) -> None:
    styles = "V4+ Styles" if kind == "v4.00+" else "V4 Styles"
    first = "0" if kind == "v4.00+" else "Marked=0"
    text = (
        f"[Script Info]\nScriptType: {kind}\n\n[{styles}]\n\n[Events]\n"
        f"Dialogue: {first},0:00:31.00,0:00:33.25,AD,describer,0,0,0,,Second,\\Nwith {{\\i1}}commas{{\\i0}}\n"
        f"Comment: {first},0:00:12.48,0:00:15.12,AD,describer,0,0,0,,not said\n"
        f"Dialogue: {first},0:00:12.48,0:00:15.12,AD,describer,0,0,0,,First\n"
    )
    cues = subtitles.read(written(tmp_path, text, "film.ass"))
    assert [(cue.span, cue.text) for cue in cues] == [
        (LANTERN.span, "First"),
        (PLATE.span, "Second, with commas"),
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("1\n00:00:02,000 --> 00:00:01,000\nBack", "line 2: the cue ends before it starts"),
        (
            "1\n00:00:01,000 --> 00:00:02,000\nA\n\n2\n00:61:00,000 --> 01:00:00,000\nB",
            "line 6: expected times",
        ),
        ("1\n-00:00:01,000 --> 00:00:02,000\nBefore zero", "line 2: expected times"),
        ("All work and no play\nmakes Jack\n", "line 1: expected the number of a cue"),
        ("1\n", "line 2: expected a cue's times, found the end"),
        ("WEBVTT\n\n00:01.000 --> 00:02\nShort of digits", "line 3: expected times"),
        ("WEBVTT\n\n00:02.000 --> 00:01.000\nBack", "line 3: the cue ends before it starts"),
        ("WEBVTTX\n\n", "line 1: expected"),
        ("[Script Info]\n\n[Events]\nDialogue: 0,soon,later,AD,,0,0,0,,Hm", "line 4: expected Dialogue"),
        (
            "[Script Info]\n[Events]\nDialogue: 0,0:00:02.00,0:00:01.00,AD,,0,0,0,,Back",
            "ends before it starts",
        ),
        ("[Script Info]\n[V4+ Styles]\nStyle: AD,Arial,large\n[Events]\n", "does not parse as ASS"),
        ("", "is empty"),
        (" \n\n", "is empty"),
        (b"\xff\xfb\x90\x64\x00\x0f\xf0\x00", "line 1: not UTF-8"),
        ("1\n00:00:01,000 --> 00:00:02,000\nOh\n\nL\xe0".encode("cp1252"), "line 5: not UTF-8"),
        (b"\xff\xfe1\x002", "not UTF-16"),
        (b"ftyp\0\0\0\x01isom", "is not a text file"),
    ],
)
def test_what_does_not_parse_is_told_with_its_line(tmp_path: Path, content: str | bytes, told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        subtitles.read(written(tmp_path, content))


def test_missing_folder_and_absurd_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        subtitles.read(tmp_path / "none.srt")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        subtitles.read(tmp_path)
    huge = tmp_path / "huge.srt"
    with huge.open("wb") as file:
        file.truncate(10**10)
    with pytest.raises(UsageError, match="too many for a script"):
        subtitles.read(huge)


@pytest.mark.parametrize("format", FORMATS)
def test_every_file_says_that_it_is_a_machine_draft(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"film.{format}"
    subtitles.write([PLATE, LANTERN], path, format, "en")  # type: ignore[arg-type]
    assert "Audio description (en). Draft by machine, not reviewed." in path.read_text()
    assert [(cue.span, cue.text) for cue in subtitles.read(path)] == [
        (cue.span, cue.text) for cue in (LANTERN, PLATE)
    ]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("format", FORMATS)
def test_the_notice_is_heard_and_seen_by_no_player(tmp_path: Path, format: str) -> None:
    """FFmpeg knows each file by its content, and finds two cues with our words and times and no others."""
    path = tmp_path / "film"
    subtitles.write([LANTERN, PLATE], path, format, "en")  # type: ignore[arg-type]
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    out = subprocess.run([ffmpeg, "-i", path, "-f", "srt", "-"], capture_output=True, check=True, text=True)
    said = re.sub(r"<[^>]*>|\{[^}]*\}", "", out.stdout)
    assert said.split("\n\n")[:2] == [
        "1\n00:00:12,480 --> 00:00:15,120\nMara lifts the lantern.",
        "2\n00:00:31,000 --> 00:00:33,250\nOn a brass plate: Harbour Office.",
    ]
    assert "machine" not in out.stdout
    if format != "vtt":  # pysubs2 misreads identifiers
        loaded = pysubs2.load(str(path))
        assert [line.plaintext for line in loaded.get_text_events()] == [LANTERN.text, PLATE.text]


def test_vtt_is_for_descriptions(tmp_path: Path) -> None:
    path = tmp_path / "film.vtt"
    odd = Description("ad-0003", Span(40_000_000, 41_000_000), "A sign:\n\nA & B --> <b>C</b>")
    subtitles.write([LANTERN, odd], path, "vtt", "en")
    assert path.read_text() == (
        "WEBVTT\n\nNOTE Audio description (en). Draft by machine, not reviewed.\n\n"
        "ad-0001\n00:00:12.480 --> 00:00:15.120\nMara lifts the lantern.\n\n"
        "ad-0003\n00:00:40.000 --> 00:00:41.000\nA sign: A &amp; B --&gt; &lt;b&gt;C&lt;/b&gt;\n"
    )
    assert [(cue.id, cue.text) for cue in subtitles.read(path)] == [
        ("ad-0001", LANTERN.text),
        ("ad-0003", "A sign: A & B --> <b>C</b>"),
    ]


def test_ass_keeps_the_evidence_and_the_style(tmp_path: Path) -> None:
    path = tmp_path / "film.ass"
    fact = Fact("action", "lifts a lantern", 0.87, (12_500_000,))
    cue = Description("ad-0001", Span(12_484_999, 15_115_000), "Mara lifts it {high}.", facts=(fact,))
    subtitles.write([cue], path, "ass", "en")
    lines = path.read_text().splitlines()
    assert (
        "Comment: 0,0:00:12.48,0:00:15.12,AD,evidence,0,0,0,,ad-0001 confidence 1.00: lifts a lantern 0.87"
        in lines
    )
    assert "Dialogue: 0,0:00:12.48,0:00:15.12,AD,describer,0,0,0,,Mara lifts it (high)." in lines
    style = pysubs2.load(str(path)).styles["AD"]
    assert (style.alignment, style.italic, style.primarycolor) == (8, True, pysubs2.Color(255, 255, 0))


def test_what_no_format_can_hold_is_refused(tmp_path: Path) -> None:
    blink = Description("ad-0007", Span(1_000_100, 1_000_300), "Now.")
    with pytest.raises(UsageError, match="ad-0007 lasts 200 microseconds"):
        subtitles.write([blink], tmp_path / "a.srt", "srt", "en")
    night = Description("ad-0008", Span(36_000 * SECOND, 36_001 * SECOND), "Night.")
    with pytest.raises(UsageError, match="ASS cannot hold cue ad-0008"):
        subtitles.write([night], tmp_path / "a.ass", "ass", "en")
    with pytest.raises(UsageError, match="cannot write"):
        subtitles.write([LANTERN], tmp_path, "srt", "en")
    assert list(tmp_path.iterdir()) == []


def clean(text: str) -> str:
    kept = (c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs"))
    return unicodedata.normalize("NFC", re.sub("[\ufffe\uffff]", "", " ".join("".join(kept).split())))


texts = st.text(st.characters(exclude_characters="<>{}\\"), max_size=40)
cues = st.lists(st.tuples(st.integers(0, 4_000_000), st.integers(10_000, 9_000_000), texts), max_size=6)


@given(cues, st.sampled_from(FORMATS))
def test_any_text_and_time_comes_back(
    tmp_path_factory: pytest.TempPathFactory, drawn: list, format: str
) -> None:
    """Words come back in NFC on one line, times to the format's unit, and no cue ends in the next one."""
    cues, at = [], 0
    for number, (pause, length, text) in enumerate(drawn):
        span = Span(at + pause, at + pause + length)
        cues.append(Description(f"ad-{number + 1:04}", span, text))
        at = span.end
    path = tmp_path_factory.getbasetemp() / f"any.{format}"
    subtitles.write(cues, path, format, "en")  # type: ignore[arg-type]
    content = path.read_bytes()
    assert b"\r" not in content and not content.startswith(b"\xef\xbb\xbf")
    assert unicodedata.is_normalized("NFC", content.decode())
    spoken = [cue for cue in cues if clean(cue.text)]
    if format == "srt" and not spoken:
        assert content == b""
        return
    read = subtitles.read(path)
    unit = 10_000 if format == "ass" else 1_000
    for cue, back in zip(spoken, read, strict=True):
        assert back.text == clean(cue.text)
        assert abs(back.span.start - cue.span.start) * 2 <= unit >= abs(back.span.end - cue.span.end) * 2
    assert all(a.span.end <= b.span.start for a, b in pairwise(read))
