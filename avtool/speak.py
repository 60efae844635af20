"""A script spoken: timed texts and their film in, narration, described mix and described film out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avtool.media.probe import AudioStream
    from avtool.perception import Perception
    from avtool.timeline import Description
    from avtool.tracks.fit import Spoken, Unspoken
    from avtool.tracks.loudness import Levels
    from avtool.tracks.mix import Measured
    from avtool.tracks.voice import Voice

log = logging.getLogger(__name__)

ENDS = {"narration": "ad.flac", "curve": "ad-gain.json", "script": "ad-voiced.ttml", "mix": "ad-mix.m4a"}
LATER = "ad-extended.vtt"


@dataclass(frozen=True, slots=True)
class Voiced:
    """What was said and what was not, the files that were written, and the mixes as measured afterwards.

    `held` is said in the extended version alone, where the film waits for it.
    """

    spoken: list[Spoken]
    unspoken: list[Unspoken]
    mixes: list[Measured]
    files: list[Path]
    held: list[Spoken] = field(default_factory=list)


def speak(
    cues: Sequence[Description],
    seen: Perception,
    folder: Path,
    *,
    waiting: Sequence[Description] = (),
    source: Path | None = None,
    audio_track: int | None = None,
    mux: bool = False,
    hls: bool = False,
    extended: bool = False,
    default: bool = False,
) -> Voiced:
    """Say `cues` over the film of `seen` and write to `folder` the narration, the gain curve and the described mix.

    With `mux` also the film with the description as tracks of its own, where `default` the one that players take
    unasked; with `hls` the same for streaming, with
    `extended` a longer version of the film that waits for what found no room, and for `waiting`, the first of it
    first. `source` is the script's own file, which is not written over.

    Raises UsageError for a text or a setting that cannot be, MissingError where the voice is not installed,
    MediaError where the film's sound cannot be read, ResourceError where the disk is full.
    """
    from avtool.interrupt import safe_point
    from avtool.media import audio
    from avtool.tracks import ducking, fit, loudness, mix, receiver, sound
    from avtool.tracks import hls as streaming
    from avtool.tracks import mux as muxing
    from avtool.workspace import refuse_input

    film, settings = seen.source, seen.settings
    stream = audio.choose(film, audio_track)
    layout = sound.layout(stream)
    names = {kind: _named(seen, folder, end) for kind, end in ENDS.items()}
    segments = folder / f"{film.path.stem}.hls"
    muxed = folder / f"{film.path.stem}.described{muxing.container(film.path)}"
    for path in (*names.values(), _named(seen, folder, LATER)):
        refuse_input(path, film.path, *([source] if source else []))
    if hls:
        streaming.require_streamable(film, segments)
    muxing.require_space(muxed, film.duration // 40 + (mux + hls) * film.path.stat().st_size)

    narrator = voice(seen)
    speech = seen.speech if stream else []
    spoken, unspoken = fit.fit(cues, narrator, speech, seen.span, settings)
    said = [one.cue for one in spoken]
    clips = [one.clip for one in spoken]
    dialogue = [one.span for one in speech if one.kind == "dialogue"]
    programme = loudness.measure(
        sound.programme(film, stream, layout),
        f"the sound of {film.path} cannot be decoded",
        seen.report("measuring"),
    )
    levels = loudness.levels(programme, dialogue, settings.loudness)
    ducks = ducking.duck([cue.span for cue in said], levels)

    mix.narration(film.duration, clips, ducks, levels.narration, names["narration"])
    receiver.write_curve(ducks, names["narration"].name, names["curve"])
    receiver.write_script(
        said, ducks, names["narration"].name, narrator.engine.name, settings.language, names["script"]
    )
    measured = mix.described(
        lambda: sound.told(sound.blocks(film, stream, layout), seen.report("mixing")),
        layout,
        clips,
        ducks,
        levels,
        names["mix"],
    )
    safe_point()
    voiced = Voiced(spoken, unspoken, [measured], list(names.values()))
    if mux:
        muxing.add(film, names["mix"], said, settings.language, muxed, default, seen.report("muxing"))
        voiced.files.append(muxed)
        safe_point()
    if hls:
        report = seen.report("cutting into segments")
        streaming.write(film, stream, names["mix"], said, settings.language, segments, report)
        voiced.files.append(segments / "master.m3u8")
        safe_point()
    if not extended:
        return voiced
    held = narrator.say([cue.text for cue in waiting], settings.rate)
    late = [fit.Unspoken(cue, "no pause to say it in", held[cue.text]) for cue in waiting]
    return _extend(voiced, late, seen, stream, levels, folder)


def _extend(
    voiced: Voiced,
    late: Sequence[Unspoken],
    seen: Perception,
    stream: AudioStream | None,
    levels: Levels,
    folder: Path,
) -> Voiced:
    """`voiced` with the extended version, if what it left out or `late` asks for one."""
    from avtool.tracks import ducking, files, longer, mix, sound, timemap, webvtt
    from avtool.tracks import extended as extending

    film, settings = seen.source, seen.settings
    speech = seen.speech if stream else []
    stops, left = extending.plan(
        [*voiced.unspoken, *late], voiced.spoken, speech, seen.shots, levels.programme, seen.span, settings
    )
    if not stops:
        log.warning(
            "%s has no extended version: nothing waits for one, or none could be held", film.path.name
        )
        return replace(voiced, unspoken=left)
    times = extending.time_map(stops, film.span)
    spoken = extending.placed(voiced.spoken, stops, times)
    said, clips = [one.cue for one in spoken], [one.clip for one in spoken]
    layout = sound.layout(stream)
    later = replace(
        levels,
        programme=extending.heard(levels.programme, times),
        dialogue=[span for one in levels.dialogue if (span := times.span(one))],
    )
    path = folder / f"{film.path.stem}.extended.mkv"
    script = _named(seen, folder, LATER)
    moved = folder / f"{film.path.stem}.timemap.json"
    sounding = path.with_suffix(".m4a")
    measured = mix.described(
        lambda: sound.told(
            extending.lengthened(sound.blocks(film, stream, layout), times, layout),
            seen.report("mixing the extended version"),
        ),
        layout,
        clips,
        ducking.duck([cue.span for cue in said], later),
        later,
        sounding,
    )
    report = seen.report("writing the extended version")
    longer.write(film, sounding, said, stops, times, settings.language, path, report)
    files.save(script, webvtt.compose(said, extending.notice(stops, settings.language)))
    timemap.write(times, moved)
    return Voiced(
        voiced.spoken,
        left,
        [*voiced.mixes, measured],
        [*voiced.files, path, sounding, script, moved],
        [stop.spoken for stop in stops],
    )


def _named(seen: Perception, folder: Path, end: str) -> Path:
    return folder / f"{seen.source.path.stem}.{seen.settings.language}.{end}"


def voice(seen: Perception) -> Voice:
    """The narrator's voice, as the settings name it and the cast file tells it to pronounce.

    What it said of this film before is kept in the film's workspace.
    """
    from avtool.tracks.engines import engine
    from avtool.tracks.voice import Voice

    pronunciations = seen.cast.pronunciations if seen.cast else {}
    report = seen.report("speaking")
    return Voice(
        engine(seen.settings.voice),
        seen.work.folder / "voice",
        pronunciations,
        lambda share: report(round(share * seen.span.duration)),
    )
