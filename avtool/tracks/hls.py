"""The described film for HTTP Live Streaming (RFC 8216): the description as an alternative audio rendition."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import ffmpeg

from avtool.errors import MediaError, UsageError
from avtool.media.container import FORMATS
from avtool.media.probe import AudioStream, Probe
from avtool.timeline import SECOND, Description
from avtool.tracks import sound, webvtt
from avtool.tracks.files import notice
from avtool.tracks.mux import LANGUAGES
from avtool.tracks.sound import Report
from avtool.workspace import scratch

PICTURE, SOUND = ("h264", "hevc"), ("aac", "ac3", "eac3")  # what Apple's authoring rules let into fMP4
DESCRIBES = "public.accessibility.describes-video"
AUDIO_GROUP, TEXT_GROUP = "group_sound", "text"
SEGMENT = 6  # seconds, as Apple's authoring rules ask


def write(
    film: Probe,
    stream: AudioStream | None,
    mix: Path,
    cues: Sequence[Description],
    language: str,
    folder: Path,
    report: Report | None = None,
) -> None:
    """Write `film` with `mix` (AAC) and `cues` to `folder`; its master playlist is master.m3u8.

    Pictures are copied, sound that HLS does not take becomes AAC. Raises UsageError as `require_streamable` does,
    MediaError where ffmpeg fails, ResourceError where the disk is full.
    """
    require_streamable(film, folder)
    with scratch(folder) as part:
        beside = part / folder.name
        beside.mkdir()
        _segment(film, stream, mix, beside, report)
        _write_text(film, cues, language, beside)
        master = beside / "master.m3u8"
        master.write_text(
            _signalled(master.read_text(), film, stream, language, bool(cues)), encoding="utf-8"
        )
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(beside, folder)


def require_streamable(film: Probe, folder: Path) -> None:
    """Raise UsageError where the pictures cannot be streamed as they are, or `folder` holds something else."""
    if film.picture.codec not in PICTURE:
        raise UsageError(
            f"{film.path}: HLS takes H.264 and HEVC, not {film.picture.codec}; convert the film first"
        )
    if folder.exists() and not (folder / "master.m3u8").is_file():
        raise UsageError(
            f"{folder} exists and is no stream of avtool's; move it or choose another place with -o"
        )


def _segment(film: Probe, stream: AudioStream | None, mix: Path, folder: Path, report: Report | None) -> None:
    whole = ffmpeg.input(f"file:{film.path}", protocol_whitelist="file", format_whitelist=FORMATS)
    tracks = [whole[str(film.picture.index)]]
    renditions = ["v:0,agroup:sound,name:picture"]
    if stream:
        tracks.append(whole[str(stream.index)])
        renditions.append("a:0,agroup:sound,name:main")
    tracks.append(ffmpeg.input(f"file:{mix}")["a:0"])
    renditions.append(f"a:{len(tracks) - 2},agroup:sound,name:described")
    recode = {"c:a:0": "aac"} if stream and stream.codec not in SOUND else {}
    written = ffmpeg.output(
        *tracks,
        f"{folder}/%v.m3u8",
        format="hls",
        c="copy",
        hls_time=SEGMENT,
        hls_playlist_type="vod",
        hls_segment_type="fmp4",
        hls_flags="single_file",
        var_stream_map=" ".join(renditions),
        master_pl_name="master.m3u8",
        **recode,
    )
    sound.run(written, f"{film.path} cannot be cut into segments", copyts=False, report=report)


def _write_text(film: Probe, cues: Sequence[Description], language: str, folder: Path) -> None:
    """The description as text: one WebVTT segment as long as the film, and its playlist."""
    if not cues:
        return
    (folder / "described.vtt").write_text(webvtt.compose(cues, notice(language)), encoding="utf-8")
    seconds = film.duration / SECOND
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{-(-film.duration // SECOND)}",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        f"#EXTINF:{seconds:.6f},",
        "described.vtt",
        "#EXT-X-ENDLIST",
    ]
    (folder / "described-text.m3u8").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _signalled(master: str, film: Probe, stream: AudioStream | None, language: str, with_text: bool) -> str:
    """ffmpeg's master playlist with renditions as players look for them: names, languages, characteristics."""
    told = next((line for line in master.splitlines() if line.startswith("#EXT-X-STREAM-INF:")), None)
    if told is None:
        raise MediaError(f"{film.path} cannot be streamed: ffmpeg wrote no variant")
    layout = sound.CHANNELS[sound.layout(stream)]
    tags = {three: two for two, three in LANGUAGES.items()}  # the playlist's are of BCP 47: the shortest
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if stream:
        lines.append(
            _media(
                "AUDIO",
                AUDIO_GROUP,
                "Original",
                tags.get(stream.language or "", stream.language),
                "main",
                True,
                None,
                stream.channels,
            )
        )
    lines.append(
        _media("AUDIO", AUDIO_GROUP, "Audio Description", language, "described", False, DESCRIBES, layout)
    )
    if with_text:
        lines.append(
            _media(
                "SUBTITLES",
                TEXT_GROUP,
                "Audio Description (text)",
                language,
                "described-text",
                False,
                DESCRIBES,
            )
        )
        told += f',SUBTITLES="{TEXT_GROUP}"'
    return "\n".join([*lines, told, "picture.m3u8", ""])


def _media(
    kind: str,
    group: str,
    name: str,
    language: str | None,
    playlist: str,
    default: bool,
    characteristics: str | None,
    channels: int | None = None,
) -> str:
    """One EXT-X-MEDIA line. AUTOSELECT lets a player choose it by the listener's own settings."""
    attributes = [
        f"TYPE={kind}",
        f'GROUP-ID="{group}"',
        f'NAME="{name}"',
        *([f'LANGUAGE="{language}"'] if language else []),
        f"DEFAULT={'YES' if default else 'NO'}",
        "AUTOSELECT=YES",
        *([f'CHARACTERISTICS="{characteristics}"'] if characteristics else []),
        *([f'CHANNELS="{channels}"'] if channels else []),
        f'URI="{playlist}.m3u8"',
    ]
    return "#EXT-X-MEDIA:" + ",".join(attributes)
