"""The extended version's file: pictures held and slowed by the time map, and every other track moved by it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import ffmpeg

from avtool.errors import AvtoolError
from avtool.media.container import FORMATS
from avtool.media.probe import Probe
from avtool.timeline import SECOND, Description
from avtool.tracks import extended, sound, subtitles
from avtool.tracks.extended import Stop
from avtool.tracks.mix import BITRATE
from avtool.tracks.mux import TEXT_TITLE, TITLE, language_code, refuse_input, require_space
from avtool.tracks.timemap import TimeMap
from avtool.workspace import replacing, scratch

log = logging.getLogger(__name__)

X264 = {"c:v": "libx264", "preset": "veryfast", "crf": 18}


class Track(NamedTuple):
    """A file whose first stream of a kind ("a" or "s") goes into the extended version, and what is said of it."""

    path: Path
    kind: str
    language: str | None
    title: str | None
    flags: str = "0"


def write(
    film: Probe,
    mix: Path,
    cues: Sequence[Description],
    stops: Sequence[Stop],
    times: TimeMap,
    language: str,
    path: Path,
) -> None:
    """Write the extended version to `path` (Matroska): `mix` is its described sound, `cues` are on its time.

    The described sound is its default, for whoever opens this file wants it; the film's own sound, subtitles and
    chapters follow, moved by `times`. Raises as `mux.add` does.
    """
    refuse_input(path, film.path)
    require_space(path, film.path.stat().st_size * 2)
    code = language_code(language)
    with scratch(path) as folder, replacing(path) as beside:
        tracks = [Track(mix, "a", code, TITLE, "default+visual_impaired"), *_sounds(film, times, folder)]
        if cues:
            text = folder / "described.srt"
            subtitles.write(cues, text, "srt", language)
            tracks.append(Track(text, "s", code, TEXT_TITLE, "descriptions"))
        tracks += _texts(film, times, folder)
        chapters = folder / "chapters.txt"
        chapters.write_text(_chapters(film, times), encoding="utf-8")
        streams = [_picture(film, stops)]
        streams += [ffmpeg.input(f"file:{track.path}")[f"{track.kind}:0"] for track in tracks]
        options: dict[str, Any] = {"map_metadata": 0, "map_chapters": len(streams)}
        for number, track in enumerate(tracks, 1):
            place = f"{track.kind}:{[one for one in tracks if one.kind == track.kind].index(track)}"
            options[f"disposition:{place}"] = track.flags
            options[f"metadata:s:{place}"] = f"language={track.language or 'und'}"
            options[f"metadata:s:{number}"] = f"title={track.title or ''}"
        written = ffmpeg.output(
            *streams, f"file:{beside}", format="matroska", **{"c:a": "copy", "c:s": "srt"}, **X264, **options
        )
        # What has chapters and no streams cannot be mapped, only named: it is the last input.
        sound.run(written.global_args("-i", f"file:{chapters}"), f"{path.name} cannot be written")


def _picture(film: Probe, stops: Sequence[Stop]) -> Any:
    """The film's pictures on the extended version's time; where it waits, the last frame is repeated."""
    waits = []
    for stop in stops:
        start, added = stop.old.start / SECOND, stop.added / SECOND
        if stop.old.duration:
            waits.append(f"{added}*clip((T-{start})/{stop.old.seconds},0,1)")
        else:
            waits.append(f"{added}*gte(T,{start}-0.0005)")
    later = sound.source(film)[str(film.picture.index)].filter("setpts", f"PTS+({'+'.join(waits)})/TB")
    return later.filter("fps", fps=str(film.picture.frame_rate))


def _sounds(film: Probe, times: TimeMap, folder: Path) -> list[Track]:
    """The film's own audio tracks, as long as the extended version."""
    written = []
    for number, track in enumerate(film.audio):
        layout = sound.layout(track)
        path = folder / f"{number}.m4a"
        blocks = extended.lengthened(sound.blocks(film, track, layout), times, layout)
        sound.encode(
            blocks, layout, path, 0.0, {"format": "ipod", "acodec": "aac", "audio_bitrate": BITRATE[layout]}
        )
        written.append(Track(path, "a", track.language, track.title))
    return written


def _texts(film: Probe, times: TimeMap, folder: Path) -> list[Track]:
    """The film's subtitles as far as they are text, moved."""
    moved = []
    for number, track in enumerate(film.subtitles):
        path = folder / f"{number}.srt"
        whole = ffmpeg.input(f"file:{film.path}", protocol_whitelist="file", format_whitelist=FORMATS)
        try:
            sound.run(whole[str(track.index)].output(f"file:{path}"), "no text", copyts=False)
            cues = subtitles.read(path)
        except AvtoolError:
            log.warning("%s: subtitle track %d is no text and is left out", film.path.name, number)
            continue
        later = [replace(cue, span=span) for cue in cues if (span := times.span(cue.span))]
        subtitles.write(later, path, "srt", track.language or "und")
        flags = [name for name in ("forced", "hearing_impaired") if getattr(track, name)]
        moved.append(Track(path, "s", track.language, track.title, "+".join(flags) or "0"))
    return moved


def _chapters(film: Probe, times: TimeMap) -> str:
    """The film's chapters, moved, in ffmpeg's own metadata format."""
    lines = [";FFMETADATA1"]
    for chapter in film.chapters:
        if span := times.span(chapter.span):
            title = "".join(f"\\{one}" if one in "=;#\\\n" else one for one in chapter.title or "")
            lines += [
                "[CHAPTER]",
                "TIMEBASE=1/1000000",
                f"START={span.start}",
                f"END={span.end}",
                f"title={title}",
            ]
    return "\n".join(lines) + "\n"
