"""The stages on their own: `avtool shots`, `speech`, `gaps`, `objects`, `text` and so on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from avtool.cli import options
from avtool.cli.films import each
from avtool.cli.output import as_json, table
from avtool.cli.progress import progress as told
from avtool.cli.talk import talk

if TYPE_CHECKING:
    from avtool.perception import Perception


@dataclass(frozen=True, slots=True)
class Stage:
    """One command: what it reads off a film's senses, and the columns a person sees of it."""

    name: str
    help: str
    records: Callable[[Perception], Sequence[Any]]
    columns: tuple[str, ...]
    row: Callable[[Any], tuple[Any, ...]]


def _looks(seen: Perception) -> Sequence[Any]:
    seen.see("looks")
    return seen.looks


SIGHT = (
    Stage(
        "shots",
        "Where one run of the camera ends and the next begins.",
        lambda seen: seen.shots,
        ("shot", "time", "seconds", "begins with", "confidence"),
        lambda shot: (shot.index, shot.span, shot.span.seconds, shot.transition, shot.confidence),
    ),
    Stage(
        "looks",
        "How each shot is filmed: scale, camera, brightness.",
        _looks,
        ("shot", "scale", "camera", "motion", "brightness"),
        lambda look: (look.shot, look.scale, look.camera, look.motion, look.brightness),
    ),
    Stage(
        "people",
        "The people followed through each shot.",
        lambda seen: [track for track in seen.crowd.tracks if track.label == "person"],
        ("track", "shot", "time", "frames", "score"),
        lambda track: (
            track.id,
            track.shot,
            track.span,
            len(track.times),
            sum(track.scores) / len(track.scores),
        ),
    ),
    Stage(
        "objects",
        "The things in each shot, and the most of each seen at once.",
        lambda seen: seen.crowd.things,
        ("object", "shot", "time", "count", "confidence"),
        lambda thing: (thing.label, thing.shot, thing.span, thing.count, thing.confidence),
    ),
    Stage(
        "text",
        "The words in the picture.",
        lambda seen: seen.texts,
        ("text", "time", "role", "shot", "confidence"),
        lambda text: (text.text, text.span, text.role, text.shot, text.confidence),
    ),
)
# With a command of its own (see cli/tags.py).
TAGS = Stage(
    "tags",
    "What each shot shows as a whole.",
    lambda seen: seen.tags,
    ("tag", "shot", "time", "confidence"),
    lambda tag: (tag.label, tag.shot, tag.span, tag.confidence),
)
SOUND = (
    Stage(
        "speech",
        "What a description must not cover: dialogue, song, crowd.",
        lambda seen: seen.speech,
        ("time", "kind", "from", "confidence", "text"),
        lambda speech: (speech.span, speech.kind, "+".join(speech.sources), speech.confidence, speech.text),
    ),
    Stage(
        "gaps",
        "The pauses a description fits in.",
        lambda seen: seen.gaps,
        ("gap", "pause", "usable", "seconds", "between"),
        lambda gap: (gap.index, gap.span, gap.usable, gap.usable.seconds, f"{gap.left} and {gap.right}"),
    ),
    Stage(
        "sounds",
        "Which sounds are seen (with Speed Co-Augmentation trained).",
        lambda seen: seen.sounds,
        ("time", "shot", "seen", "like that at", "confidence"),
        lambda sound: (sound.span, sound.shot, "yes" if sound.seen else "no", sound.like, sound.confidence),
    ),
    Stage(
        "actions",
        "What people visibly do.",
        lambda seen: seen.actions,
        ("time", "track", "shot", "action", "confidence"),
        lambda action: (
            action.span,
            action.track,
            action.shot,
            " ".join(filter(None, (action.verb, action.object and f"({action.object})"))),
            action.confidence,
        ),
    ),
)


def add_to(app: typer.Typer) -> None:
    """Put every stage's command on `app`."""
    for stage in SIGHT:
        _add_sight(app, stage)
    for stage in SOUND:
        _add_sound(app, stage)


def _add_sight(app: typer.Typer, stage: Stage) -> None:
    @app.command(stage.name, help=stage.help)
    def command(
        films: options.Films,
        start: options.Start = None,
        end: options.End = None,
        work: options.Work = None,
        force: options.Force = False,
        json: options.AsJson = False,
        quiet: options.Quiet = False,
        verbose: options.Verbose = False,
        progress: options.ProgressMode = "auto",
    ) -> None:
        talk(quiet, verbose)
        asked = {"start": start, "end": end, "work": work, "force": force}
        each(films, lambda film: show(stage, film, json, progress, asked))


def _add_sound(app: typer.Typer, stage: Stage) -> None:
    @app.command(stage.name, help=stage.help)
    def command(
        films: options.Films,
        audio_track: options.AudioTrack = None,
        subtitles: options.Subtitles = None,
        preset: options.Preset = None,
        settings: options.Set = None,
        start: options.Start = None,
        end: options.End = None,
        work: options.Work = None,
        force: options.Force = False,
        json: options.AsJson = False,
        quiet: options.Quiet = False,
        verbose: options.Verbose = False,
        progress: options.ProgressMode = "auto",
    ) -> None:
        from avtool.config import resolve

        talk(quiet, verbose)
        asked = {
            "start": start,
            "end": end,
            "work": work,
            "force": force,
            "audio_track": audio_track,
            "subtitles": subtitles,
            "settings": resolve(preset, options.pairs(settings))[0],
        }
        each(films, lambda film: show(stage, film, json, progress, asked))


def show(stage: Stage, film: Path, json: bool, mode: str, asked: dict[str, Any]) -> None:
    """Prints a stage's records of a film."""
    from avtool.perception import open_film

    with told(mode, film.name) as progress:
        records = stage.records(open_film(film, progress=progress, **asked))
    show_records(stage, film, records, json)


def show_records(stage: Stage, film: Path, records: Sequence[Any], json: bool) -> None:
    """Prints records in the columns of a stage."""
    if json:
        as_json(stage.name, film=str(film), records=list(records))
    else:
        table(f"{film.name}: {stage.name}", stage.columns, [stage.row(record) for record in records])
