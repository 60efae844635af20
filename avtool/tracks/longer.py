"""The extended version's file: pictures held and slowed by the time map, and every other track moved by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ffmpeg

from avtool.media.probe import Probe
from avtool.timeline import SECOND, Description
from avtool.tracks import extended, sound, subtitles
from avtool.tracks.extended import Stop
from avtool.tracks.mix import BITRATE
from avtool.tracks.mux import TEXT_TITLE, TITLE, language_code, require_space
from avtool.tracks.sound import Report
from avtool.tracks.timemap import TimeMap
from avtool.workspace import refuse_input, replacing, scratch

COPY = {"c": "copy"}
X264 = {"c:v": "libx264", "preset": "veryfast", "crf": 18}


class Track(NamedTuple):
    """A stream of a kind ("a" or "s") that goes into the extended version, and what is said of it.

    `coded` are ffmpeg's options for it.
    """

    stream: Any
    kind: str
    language: str | None
    title: str | None
    flags: str
    coded: Mapping[str, str]


def write(
    film: Probe,
    mix: Path,
    cues: Sequence[Description],
    stops: Sequence[Stop],
    times: TimeMap,
    language: str,
    path: Path,
    report: Report | None = None,
) -> None:
    """Write the extended version to `path` (Matroska): `mix` is its described sound, `cues` are on its time.

    The described sound is its default, for whoever opens this file wants it; the film's own sound, subtitles and
    chapters follow, moved by `times`. Raises as `mux.add` does.
    """
    refuse_input(path, film.path)
    require_space(path, film.path.stat().st_size * 2)
    code = language_code(language)
    with scratch(path) as folder, replacing(path) as beside:
        described = ffmpeg.input(f"file:{mix}")["a:0"]
        tracks = [Track(described, "a", code, TITLE, "default+visual_impaired", COPY)]
        tracks += _sounds(film, times, folder)
        if cues:
            text = folder / "described.srt"
            subtitles.write(cues, text, "srt", language)
            told = ffmpeg.input(f"file:{text}")["s:0"]
            tracks.append(Track(told, "s", code, TEXT_TITLE, "descriptions", COPY))
        inputs = 1 + len(tracks)
        tracks += _texts(film, stops)
        chapters = folder / "chapters.txt"
        chapters.write_text(_chapters(film, times), encoding="utf-8")
        options: dict[str, Any] = {"map_metadata": 0, "map_chapters": inputs}
        for number, track in enumerate(tracks, 1):
            place = f"{track.kind}:{[one for one in tracks if one.kind == track.kind].index(track)}"
            options[f"disposition:{place}"] = track.flags
            options[f"metadata:s:{place}"] = f"language={track.language or 'und'}"
            options[f"metadata:s:{number}"] = f"title={track.title or ''}"
            options |= {f"{name}:{place}": value for name, value in track.coded.items()}
        streams = [_picture(film, stops), *(track.stream for track in tracks)]
        written = ffmpeg.output(*streams, f"file:{beside}", format="matroska", **X264, **options)
        # What has chapters and no streams cannot be mapped, only named: it is the last input.
        sound.run(
            written.global_args("-i", f"file:{chapters}"), f"{path.name} cannot be written", report=report
        )


def _later(time: str, stops: Sequence[Stop]) -> str:
    """How many seconds later what was at `time` comes, both expressions of ffmpeg's in seconds."""
    waits = []
    for stop in stops:
        start, added = stop.old.start / SECOND, stop.added / SECOND
        if stop.old.duration:
            waits.append(f"{added}*clip(({time}-{start})/{stop.old.seconds},0,1)")
        else:
            waits.append(f"{added}*gte({time},{start}-0.0005)")
    return "+".join(waits)


def _picture(film: Probe, stops: Sequence[Stop]) -> Any:
    """The film's pictures on the extended version's time; where it waits, the last frame is repeated."""
    later = sound.source(film)[str(film.picture.index)].filter("setpts", f"PTS+({_later('T', stops)})/TB")
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
        written.append(
            Track(ffmpeg.input(f"file:{path}")["a:0"], "a", track.language, track.title, "0", COPY)
        )
    return written


def _texts(film: Probe, stops: Sequence[Stop]) -> list[Track]:
    """The film's subtitles, words and pictures alike, their packets moved."""
    begin, end = _later("TS*TB", stops), _later("(TS+DURATION)*TB", stops)
    moving = f"setts=ts=TS+({begin})/TB:duration=DURATION+({end}-({begin}))/TB".replace(",", "\\,")
    return [
        Track(
            sound.source(film)[str(track.index)],
            "s",
            track.language,
            track.title,
            "+".join(name for name in ("forced", "hearing_impaired") if getattr(track, name)) or "0",
            {"c": "srt" if track.codec == "mov_text" else "copy", "bsf": moving},  # Matroska has no mov_text
        )
        for track in film.subtitles
    ]


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
