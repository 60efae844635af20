"""Opening a film's file: local media only, and one clear line where it cannot be read."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.logging
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError
from av.stream import Stream

from avtool.errors import MediaError

MICROSECONDS = Fraction(1, 1_000_000)

# Containers that hold their own media. Playlists (hls, dash, concat, sdp ...) are left out: they name other
# files or hosts, and avtool reads the file it was given and nothing else.
FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,mxf_opatom,gxf,nut,ivf,dv,rm,wtv,"
    "h264,hevc,vvc,obu,m4v,vc1,yuv4mpegpipe,gif,apng,mp3,wav,w64,flac,aac,ac3,eac3,aiff,caf,au"
)
_READ_ERRORS_IN_A_ROW = 50  # then the rest of the file is given up


def opened(path: Path) -> InputContainer:
    """The container in `path`, to be closed by the caller (it is a context manager).

    Raises MediaError where the file is missing, not media, cut short, or a playlist.
    """
    _require_file(path)
    # Other packages (torchvision) turn PyAV's log on: a decoder's thread then waits for Python to tell of a fault, while
    # Python, clearing the decoder away, waits for the thread.
    av.logging.set_level(None)
    try:
        # "file:" keeps names such as "concat:x" files; the white lists keep the media inside this file.
        # What files say of themselves is not always text.
        allowed = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
        return av.open(f"file:{path}", options=allowed, metadata_errors="replace")
    except ArgumentError as error:
        raise MediaError(f"{path} is a playlist or no film format; give the film file itself") from error
    except (FFmpegError, OSError) as error:
        raise MediaError(f"{path} {_why_unreadable(path)}") from error


def packets(container: InputContainer, streams: Iterable[Stream]) -> Iterator[av.Packet]:
    """The packets of `streams` to the end of the file, going on after stretches that cannot be read."""
    streams, failures = tuple(streams), 0
    reading = container.demux(streams)
    while failures < _READ_ERRORS_IN_A_ROW:
        try:
            packet = next(reading)
        except StopIteration:
            return
        except FFmpegError:
            failures += 1
            reading = container.demux(streams)
        except IndexError:
            return  # PyAV's own end of a file in which damage conjured up new streams
        else:
            if packet.size:
                failures = 0
                yield packet


def _require_file(path: Path) -> None:
    """Raise MediaError unless `path` is a readable file with something in it."""
    if path.is_dir():
        raise MediaError(f"{path} is a folder; name a film inside it")
    if not path.exists():
        if re.match(r"\w{2,}:/", str(path)):
            raise MediaError(f"{path} is no local file; download the film first")
        raise MediaError(f"{path} does not exist{nearest(path)}")
    if not path.is_file():
        raise MediaError(f"{path} is not an ordinary file; give the film as a file")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise MediaError(f"{path} is empty (0 bytes); copy or record it again")
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror}") from error


def nearest(path: Path) -> str:
    """What a missing `path` may have meant, to end a message with."""
    if not path.parent.is_dir():
        return f" (neither does the folder {path.parent})"
    names = {entry.name.lower(): entry.name for entry in path.parent.iterdir() if entry.is_file()}
    close = difflib.get_close_matches(path.name.lower(), names, n=1)
    return f"; did you mean {path.with_name(names[close[0]])}?" if close else ""


def _why_unreadable(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4096)
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"skip", b"free"):
        return "is cut short or damaged: its index (moov) is missing; copy or record it again"
    if not any(byte < 9 for byte in head):
        return "is a text, not a film"
    return "is damaged or no film; check that it plays, or copy it again"
