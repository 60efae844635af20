"""A script spoken: timed texts and their film in, narration, described mix and described film out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avtool.perception import Perception
    from avtool.timeline import Description
    from avtool.tracks.fit import Spoken, Unspoken
    from avtool.tracks.loudness import Loudness, Target
    from avtool.tracks.mix import Measured
    from avtool.tracks.voice import Voice


@dataclass(frozen=True, slots=True)
class Voiced:
    """What was said and what was not, the files that were written, and the mix as measured afterwards."""

    spoken: list[Spoken]
    unspoken: list[Unspoken]
    mix: Measured
    files: list[Path]


def speak(
    cues: Sequence[Description],
    seen: Perception,
    folder: Path,
    *,
    audio_track: int | None = None,
    mux: bool = False,
    hls: bool = False,
) -> Voiced:
    """Say `cues` over the film of `seen` and write to `folder` the narration, the gain curve and the described mix.

    With `mux` also the film with the description as tracks of its own, with `hls` the same for streaming.

    Raises UsageError for a text or a setting that cannot be, MissingError where the voice is not installed,
    MediaError where the film's sound cannot be read, ResourceError where the disk is full.
    """
    from avtool.media import audio
    from avtool.tracks import ducking, fit, loudness, mix, receiver, sound
    from avtool.tracks import hls as streaming
    from avtool.tracks import mux as muxing

    film, settings = seen.source, seen.settings
    stream = audio.choose(film, audio_track)
    names = {kind: folder / f"{film.path.stem}.{settings.language}.{end}" for kind, end in OUTPUTS.items()}
    described_film = folder / f"{film.path.stem}.described{muxing.container(film.path)}"
    muxing.require_space(described_film, film.duration // 40 + (mux + hls) * film.path.stat().st_size)

    narrator = voice(seen)
    speech = seen.speech if stream else []
    spoken, unspoken = fit.fit(cues, narrator, speech, seen.span, settings)
    dialogue = [one.span for one in speech if one.kind == "dialogue"]
    programme = loudness.measure(
        sound.programme(film, stream, sound.layout(stream)), f"the sound of {film.path} cannot be decoded"
    )
    level = narration_level(programme, dialogue)
    clips = [one.clip for one in spoken]
    said = [one.cue for one in spoken]
    ducks = ducking.duck([cue.span for cue in said], dialogue, programme, level)

    mix.narration(film, clips, ducks, level, names["narration"])
    receiver.write_curve(ducks, names["narration"].name, names["curve"])
    receiver.write_script(
        said, ducks, names["narration"].name, narrator.engine.name, settings.language, names["script"]
    )
    target = target_of(settings.loudness, programme)
    measured = mix.described(film, stream, clips, ducks, programme, level, target, dialogue, names["mix"])
    files = list(names.values())
    if mux:
        muxing.add(film, names["mix"], said, settings.language, described_film)
        files.append(described_film)
    if hls:
        segments = folder / f"{film.path.stem}.hls"
        streaming.write(film, stream, names["mix"], said, settings.language, segments)
        files.append(segments / "master.m3u8")
    return Voiced(spoken, unspoken, measured, files)


OUTPUTS = {"narration": "ad.flac", "curve": "ad-gain.json", "script": "ad-voiced.ttml", "mix": "ad-mix.m4a"}


def voice(seen: Perception) -> Voice:
    """The narrator's voice, as the settings name it and the cast file tells it to pronounce.

    What it said of this film before is kept in the film's workspace.
    """
    from avtool.tracks.engines import engine
    from avtool.tracks.voice import Voice

    pronunciations = seen.cast.pronunciations if seen.cast else {}
    return Voice(engine(seen.settings.voice), seen.work.folder / "voice", pronunciations)


def narration_level(programme: Loudness, dialogue: Sequence) -> float:
    """How loud (LUFS) the narration is: as the dialogue, else as the programme, else as `REFERENCE`."""
    from avtool.tracks.loudness import NOTHING, REFERENCE

    levels = (programme.during(dialogue), programme.integrated)
    return next((level for level in levels if level > NOTHING), REFERENCE)


def target_of(name: str, programme: Loudness) -> Target:
    """The target called `name`; "programme" is the film's own loudness."""
    from avtool.tracks.loudness import NOTHING, TARGETS, Target

    if name != "programme":
        return TARGETS[name]
    if programme.integrated <= NOTHING:
        return TARGETS["ebu"]
    return Target(programme.integrated, 1.0, -1.0, "the programme's own loudness")
