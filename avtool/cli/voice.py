"""`avtool voice`: a script spoken over its film."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avtool.cli import options
from avtool.cli.output import as_json, table
from avtool.cli.progress import progress as told
from avtool.cli.talk import talk
from avtool.timeline import SECOND

if TYPE_CHECKING:
    from avtool.speak import Voiced

Mux = Annotated[bool, typer.Option("--mux", help="Write the film with the description as tracks of its own.")]
Default = Annotated[
    bool, typer.Option("--default", help="With --mux: players take the description unless told otherwise.")
]
Hls = Annotated[bool, typer.Option("--hls", help="Write it for streaming: a folder with master.m3u8.")]
Extended = Annotated[
    bool, typer.Option("--extended", help="Write a longer version too: it waits for what found no room.")
]


def voice(
    script: Annotated[Path, typer.Argument(help="SRT, WebVTT, ASS, DAPT or project file.")],
    film: Annotated[Path, typer.Argument(help="The film it describes.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder (default: that of the film).")
    ] = None,
    speaker: Annotated[
        str | None,
        typer.Option(
            "--voice", help="piper, a Piper voice's .onnx file, espeak-ng, or a command with {wav}."
        ),
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Words a minute, at most 230.")] = None,
    loudness: Annotated[
        str | None, typer.Option(help="ebu, atsc, netflix, web or programme.", show_default="ebu")
    ] = None,
    mux: Mux = False,
    default: Default = False,
    hls: Hls = False,
    extended: Extended = False,
    cast: options.CastFile = None,
    allow_outside: options.AllowOutside = False,
    subtitles: options.Subtitles = None,
    audio_track: options.AudioTrack = None,
    preset: options.Preset = None,
    settings: options.Set = None,
    work: options.Work = None,
    force: options.Force = False,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    progress: options.ProgressMode = "auto",
) -> None:
    """Speak a script over its film: narration, gain curve and described mix. Exit code 3 where cues are left out."""
    from avtool.config import resolve
    from avtool.errors import Findings
    from avtool.perception import open_film
    from avtool.speak import speak
    from avtool.tracks.subtitles import read

    talk(quiet, verbose)
    asked = {"voice": speaker, "rate": rate, "loudness": loudness}
    values = resolve(preset, {**options.pairs(settings), **asked})[0]
    cues = read(script)
    with told(progress, film.name) as tell:
        seen = open_film(
            film,
            cast,
            settings=values,
            subtitles=subtitles,
            audio_track=audio_track,
            work=work,
            force=force,
            allow_outside=allow_outside,
            progress=tell,
        )
        done = speak(
            cues,
            seen,
            output or film.parent,
            source=script,
            audio_track=audio_track,
            mux=mux,
            default=default,
            hls=hls,
            extended=extended,
        )
    show(done, film, json, quiet)
    if done.unspoken:
        raise Findings(
            f"{script}: {len(done.unspoken)} of {len(cues)} cues are not spoken; reword or move them"
        )


def show(done: Voiced, film: Path, json: bool, quiet: bool) -> None:
    """Tell what was spoken, what was not and why, the loudness measured, and the files."""
    if json:
        as_json(
            "voice",
            film=str(film),
            files=[str(file) for file in done.files],
            spoken=[{"rate": one.rate, "cue": one.cue} for one in done.spoken],
            unspoken=[{"reason": one.reason, "cue": one.cue} for one in done.unspoken],
            mixes=done.mixes,
            held=[one.cue for one in done.held],
        )
        return
    if quiet:
        return
    rows = [(one.cue.id, one.cue.span, f"{one.rate:.0f}", one.cue.text) for one in done.spoken]
    table(f"{film.name}: {len(rows)} spoken", ("cue", "time", "words/min", "text"), rows)
    if done.unspoken:
        left = [(one.cue.id, one.cue.span, one.reason, one.cue.text) for one in done.unspoken]
        table(f"{len(left)} left out", ("cue", "time", "why", "text"), left)
    if done.held:
        held = [(one.cue.id, one.cue.span.start / SECOND, one.cue.text) for one in done.held]
        table(f"{len(held)} for which the extended version waits", ("cue", "at", "text"), held)
    for mix in done.mixes:
        print(
            f"{mix.path.name}: measured {mix.loudness:.1f} LUFS (asked {mix.target.loudness:g}, "
            f"{mix.target.source}), true peak {mix.peak:.1f} dBTP (at most {mix.target.peak:g})"
        )
    for file in done.files:
        print(file)
