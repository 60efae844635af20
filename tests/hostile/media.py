"""Made-bad films: cut short, bits turned, headers that lie, absurd sizes and times, nested files, playlists."""

from __future__ import annotations

import random
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import ffmpeg

from tests.media import clips

KINDS = {
    "mp4": (clips.X264, "aac", "mov_text"),
    "mov": (clips.MPEG4, "pcm_s16le", None),
    "mkv": (clips.X264, "flac", "srt"),
    "webm": (clips.VP9, "libopus", None),
    "avi": (clips.MPEG4, "pcm_s16le", None),
    "ts": (clips.MPEG2, "mp2", None),
}
# What headers tell, by the bytes before it: boxes of MP4, elements of Matroska, chunks of AVI.
TOLD = (
    b"mvhd", b"tkhd", b"mdhd", b"elst", b"hdlr", b"dref", b"stsd", b"avc1", b"mp4a", b"stts", b"ctts", b"stsc",
    b"stsz", b"stco", b"stss", b"avcC", b"esds", b"moov", b"trak", b"mdat",
    b"\x44\x89", b"\x2a\xd7\xb1", b"\x23\xe3\x83", b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\xb0\x82", b"\xba\x81",
    b"\xb5\x88", b"\x9f\x81", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75",
    b"avih", b"strh", b"strf", b"RIFF", b"idx1", b"movi",
)  # fmt: skip
LIES = (
    b"\xff" * 4,
    b"\0" * 4,
    b"\x7f" + b"\xff" * 3,
    b"\x80" + b"\0" * 3,
    b"\0\0\0\1",
    b"\xff" * 16,
    b"\0" * 16,
)


def bases(folder: Path) -> dict[str, bytes]:
    """One good second of film in each container."""
    words = folder / "words.srt"
    words.write_text("1\n00:00:00,200 --> 00:00:00,900\nHello.\n")
    made = {}
    for kind, (video, audio, text) in KINDS.items():
        streams = [clips.picture(1), clips.beep(1, 0.3)]
        options = {**video, "acodec": audio}
        if text:
            streams.append(ffmpeg.input(str(words)))
            options["scodec"] = text
        made[kind] = clips.write(folder / f"good.{kind}", *streams, **options).read_bytes()
    return made


def damaged(good: dict[str, bytes], seed: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of made-bad films of every container."""
    for kind, content in good.items():
        draw = random.Random(f"{kind} {seed}")
        for number in range(8):
            yield f"cut-{number}.{kind}", content[: draw.randrange(len(content))]
        for number in range(10):
            bad = bytearray(content)
            for _ in range(draw.choice((1, 3, 30, 300))):
                bad[draw.randrange(len(bad))] ^= 1 << draw.randrange(8)
            yield f"flipped-{number}.{kind}", bytes(bad)
        told = [found.end() for tag in TOLD for found in re.finditer(re.escape(tag), content)]
        for number in range(14 if told else 0):
            bad = bytearray(content)
            for _ in range(draw.choice((1, 1, 2, 4))):
                at, lie = draw.choice(told) + draw.choice((0, 0, 4, 8, 12, 20, 24)), draw.choice(LIES)
                bad[at : at + len(lie)] = lie
            yield f"lie-{number}.{kind}", bytes(bad[: len(content)])
        middle = len(content) // 2
        yield f"twice.{kind}", content + content
        yield f"halves-swapped.{kind}", content[middle:] + content[:middle]
        yield f"hole.{kind}", content[: middle // 2] + bytes(middle) + content[middle // 2 + middle :]
        yield f"noise.{kind}", content[:64] + draw.randbytes(50_000)
        yield f"zeros.{kind}", content[:32] + bytes(100_000)


def absurd(folder: Path) -> Iterator[Path]:
    """Sizes, rates and times that no film has."""
    x264 = {**clips.X264, "g": 1, "bf": 0}
    late = {"bsf:v": "setts=ts=N*900000000000"}
    yield clips.write(folder / "a-frame-in-centuries.mkv", clips.picture(0.2), **clips.MPEG4, **late)
    yield clips.write(
        folder / "back-in-time.mkv", clips.picture(1), **x264, **{"bsf:v": "setts=ts=90000-N*40"}
    )
    yield clips.write(folder / "no-time.mkv", clips.picture(1), **x264, **{"bsf:v": "setts=ts=0:duration=0"})
    yield clips.write(folder / "fast.avi", clips.picture(0.01, rate=100_000), **clips.MPEG4)
    yield clips.write(folder / "slow.avi", clips.picture(3, rate=1), **clips.MPEG4, r="1/1000")
    wide = ffmpeg.input("color=s=16000x32:d=0.2", f="lavfi").video
    yield clips.write(folder / "wide.mkv", wide, vcodec="ffv1")
    huge = ffmpeg.input("color=s=15000x11000:d=0.04", f="lavfi").video
    yield clips.write(folder / "huge.mkv", huge, vcodec="png", pix_fmt="gray")
    tiny = ffmpeg.input("color=s=2x2:d=0.2", f="lavfi").video
    yield clips.write(folder / "tiny.mkv", tiny, vcodec="ffv1")
    low = ffmpeg.input("sine=d=1:r=100", f="lavfi").audio
    yield clips.write(folder / "low.mkv", clips.picture(1), low, **clips.X264, acodec="pcm_s16le", ar=100)
    high = ffmpeg.input("sine=d=0.2:r=700000", f="lavfi").audio
    yield clips.write(
        folder / "high.mkv", clips.picture(1), high, **clips.X264, acodec="pcm_s16le", ar=700_000
    )
    many = ffmpeg.input("anullsrc=cl=22.2:d=1", f="lavfi").audio
    yield clips.write(folder / "channels.mkv", clips.picture(1), many, **clips.X264, acodec="pcm_s16le")
    yield clips.write(
        folder / "tracks.mkv",
        clips.picture(0.2),
        *(clips.beep(0.2) for _ in range(60)),
        **clips.X264,
        acodec="flac",
    )
    archive = folder / "archive.mp4"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("film.mp4", bytes(50_000_000))
    yield archive
    box = folder / "boxes.mp4"  # a box in a box in a box
    content = b""
    for _ in range(4000):
        content = struct.pack(">I4s", len(content) + 8, b"moov") + content
    box.write_bytes(struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"isom") + content)
    yield box


def playlists(good: dict[str, bytes], folder: Path, secret: Path, url: str) -> Iterator[Path]:
    """Files that name others: `secret`, which lies outside of `folder`, and `url`. None may be opened."""
    (folder / "part.ts").write_bytes(good["ts"])
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
    keyed = '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=AES-128,URI="{}"\n#EXTINF:1,\npart.ts\n#EXT-X-ENDLIST\n'
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S">'
        '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>"
    )
    forms = {
        "hls": hls, "key": keyed, "dash": dash, "concat": "ffconcat version 1.0\nfile '{}'\nduration 1\n",
        "pls": "[playlist]\nFile1={}\nNumberOfEntries=1\n", "ram": "{}\n", "asx": '<asx><entry><ref href="{}"/></entry></asx>',
        "smil": '<smil><body><video src="{}"/></body></smil>', "sdp": "v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=control:{}\n",
        "edl": "# mpv EDL v0\n{}\n", "meta": ";FFMETADATA1\ntitle={}\n",
    }  # fmt: skip
    names = {"hls": "m3u8", "key": "m3u8", "dash": "mpd", "concat": "ffconcat"}
    for form, text in forms.items():
        for target, where in (("file", secret.as_uri()), ("path", str(secret)), ("url", url)):
            for suffix in (names.get(form, form), "mp4", "ts"):
                path = folder / f"{form}-{target}.{suffix}"
                path.write_text(text.format(where))
                yield path
    moved = good["mp4"].replace(b"url \0\0\0\1", b"url \0\0\0\0")  # media that lie elsewhere
    (folder / "reference.mp4").write_bytes(moved)
    yield folder / "reference.mp4"


def odd_names(secret: Path, url: str) -> list[str]:
    """Names that ffmpeg would take for more than a name."""
    return [
        url, f"concat:{secret}", f"file:{secret}", f"subfile,,start,0,end,9,,:{secret}", f"crypto:{secret}",
        f"async:{url}", f"cache:{url}", f"tee:{secret}", "pipe:0", "-", "fd:0", "lavfi", "/dev/zero",
        "a\nb.mp4", "-y", "%d.png", "x" * 5000,
    ]  # fmt: skip
