"""The film with its description as tracks of its own, flagged so that players find it and nobody gets it unasked."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import ffmpeg
from av.stream import Disposition

from avtool.errors import MediaError, ResourceError, UsageError
from avtool.media.container import FORMATS, opened
from avtool.media.probe import Probe
from avtool.timeline import Description
from avtool.tracks import sound, subtitles
from avtool.tracks.sound import Report
from avtool.workspace import refuse_input, replacing, scratch

MP4 = (".mp4", ".m4v", ".mov")
CONTAINERS = {".mkv": ("matroska", "srt"), **dict.fromkeys(MP4, ("mp4", "mov_text"))}
TITLE, TEXT_TITLE = "Audio Description (synthetic voice)", "Audio Description (text)"
SPARE = 64 << 20  # bytes

# ISO 639-2 of 639-1: what containers hold, for the languages that have open voices.
LANGUAGES = {
    "ar": "ara", "bg": "bul", "ca": "cat", "cs": "ces", "cy": "cym", "da": "dan", "de": "deu", "el": "ell",
    "en": "eng", "es": "spa", "eu": "eus", "fa": "fas", "fi": "fin", "fr": "fra", "he": "heb", "hi": "hin",
    "hu": "hun", "id": "ind", "is": "isl", "it": "ita", "ja": "jpn", "ka": "kat", "kk": "kaz", "ko": "kor",
    "lb": "ltz", "lv": "lav", "ml": "mal", "ne": "nep", "nl": "nld", "no": "nor", "pl": "pol", "pt": "por",
    "ro": "ron", "ru": "rus", "sk": "slk", "sl": "slv", "sq": "sqi", "sr": "srp", "sv": "swe", "sw": "swa",
    "te": "tel", "tr": "tur", "uk": "ukr", "ur": "urd", "vi": "vie", "zh": "zho",
}  # fmt: skip


def language_code(language: str) -> str:
    """The three-letter code of a BCP 47 tag; "und" for a language that is not known here."""
    primary = language.split("-")[0].lower()
    return primary if len(primary) == 3 else LANGUAGES.get(primary, "und")


def container(film: Path) -> str:
    """The end of the described film's name: the film's own where AD can be flagged in it, else Matroska's."""
    return film.suffix.lower() if film.suffix.lower() in CONTAINERS else ".mkv"


def add(
    film: Probe,
    mix: Path,
    cues: Sequence[Description],
    language: str,
    path: Path,
    default: bool = False,
    report: Report | None = None,
) -> None:
    """Write `film` to `path` with `mix` (AAC) as its last audio and `cues` as its last subtitle track.

    Every stream of the film is copied as it is, bit for bit, with its flags; the film's default tracks stay so,
    but for its sound where the description is to be the `default`. What was written is read back. Raises UsageError for a `path` that is the film itself or no container for it,
    ResourceError where the disk has no room, MediaError where the film cannot be muxed or reads back wrong.
    """
    if path.suffix.lower() not in CONTAINERS:
        raise UsageError(
            f"{path}: description can be flagged in {', '.join(CONTAINERS)}; choose one of these"
        )
    refuse_input(path, film.path)
    require_space(path, film.path.stat().st_size + mix.stat().st_size)
    format, text_codec = CONTAINERS[path.suffix.lower()]
    name, text = len(film.audio), len(film.subtitles)
    code = language_code(language)
    with scratch(path) as folder, replacing(path) as beside:
        whole = ffmpeg.input(f"file:{film.path}", protocol_whitelist="file", format_whitelist=FORMATS)
        streams = [*(whole[str(index)] for index in _kept(film)), ffmpeg.input(f"file:{mix}")["a:0"]]
        # MP4 keeps no title of a track: players show its handler's name.
        title = "handler_name=" if format == "mp4" else "title="
        options: dict[str, Any] = {
            f"disposition:a:{name}": "default+visual_impaired" if default else "visual_impaired",
            f"metadata:s:a:{name}": f"language={code}",
            f"metadata:s:{len(streams) - 1}": f"{title}{TITLE}",
        }
        if default:
            options |= {f"disposition:a:{number}": "-default" for number in range(name)}
        if cues:
            words = folder / "description.srt"
            subtitles.write(cues, words, "srt", language)
            streams.append(ffmpeg.input(f"file:{words}")["s:0"])
            options |= {
                f"c:s:{text}": text_codec,
                f"disposition:s:{text}": "descriptions",
                f"metadata:s:s:{text}": f"language={code}",
                f"metadata:s:{len(streams) - 1}": f"{title}{TEXT_TITLE}",
            }
        written = ffmpeg.output(
            *streams, f"file:{beside}", format=format, c="copy", map_metadata=0, map_chapters=0, **options
        )
        failing = f"{film.path.name} cannot be muxed into {path.name} (try .mkv)"
        sound.run(written, failing, copyts=False, report=report)
        if cues and format == "mp4" and not any(one.default for one in film.subtitles):
            _switch_off_last(beside)
        _verify(film, beside, path, code, bool(cues), default)


def require_space(path: Path, size: int) -> None:
    """Raise ResourceError where the disk of `path` has no room for `size` bytes more."""
    folder = next(parent for parent in path.resolve().parents if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise ResourceError(
            f"the disk of {folder} has {free / 1e9:.1f} GB free, {path.name} needs {size / 1e9:.1f}; make room"
        )


def _kept(film: Probe) -> list[int]:
    """The streams that are copied: all but data (timecodes and the like), which few containers take."""
    with opened(film.path) as container:
        return [stream.index for stream in container.streams if stream.type in ("video", "audio", "subtitle")]


def _switch_off_last(path: Path) -> None:
    """Clear the flag "enabled" of an MP4's last track: ffmpeg sets it for the first of a kind, asked or not."""
    with path.open("r+b") as file:
        movie = next(box for box in _boxes(file, 0, path.stat().st_size) if box[0] == b"moov")
        *_, track = (box for box in _boxes(file, *movie[1:]) if box[0] == b"trak")
        header = next(box for box in _boxes(file, *track[1:]) if box[0] == b"tkhd")
        file.seek(header[1] + 3)  # a byte of version, three of flags
        flags = file.read(1)[0]
        file.seek(header[1] + 3)
        file.write(bytes([flags & ~1]))


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes between two places of an MP4 file: type, and where the content begins and ends (ISO 14496-12)."""
    while start < end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            head = 16
        yield kind, start + head, start + size
        start += size or end


def _verify(film: Probe, written: Path, path: Path, code: str, with_text: bool, default: bool) -> None:
    """Read `written` back; MediaError where its tracks are not what was asked for."""
    with opened(written) as container:
        audio, text = container.streams.audio, container.streams.subtitles
        checks = {
            "an audio track is missing": len(audio) == len(film.audio) + 1,
            "the description is not flagged": bool(audio[-1].disposition & Disposition.visual_impaired),
            f"the description is {'not ' if default else ''}the default track": not film.audio
            or bool(audio[-1].disposition & Disposition.default) == default,
            "the description's language is lost": audio[-1].language == code,
            "the film's default track has changed": all(
                bool(one.disposition & Disposition.default) == (before.default and not default)
                for one, before in zip(audio, film.audio, strict=False)
            ),
            "the description as text is not flagged": not with_text
            or bool(text[-1].disposition & Disposition.descriptions),
            "the description as text is a default track": not with_text
            or not text[-1].disposition & Disposition.default,
        }
    for fault, right in checks.items():
        if not right:
            raise MediaError(f"{path} was written, but {fault}; try another container")
