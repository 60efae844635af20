"""The main job: a film in, a timed audio-description script out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avtool.errors import UsageError
from avtool.timeline import Description, Span

if TYPE_CHECKING:
    from avtool.cast import Cast
    from avtool.media.probe import Probe
    from avtool.perception import Perception, Progress
    from avtool.schedule import Dropped
    from avtool.settings import Settings
    from avtool.timeline import Film
    from avtool.tracks.script import Script


def describe(
    movie: str | Path,
    cast: str | Path | None = None,
    *,
    settings: Settings | None = None,
    subtitles: str | Path | None = None,
    audio_track: int | None = None,
    start: int | None = None,
    end: int | None = None,
    work: str | Path | None = None,
    force: bool = False,
    allow_outside: bool = False,
    voiced: bool = False,
    progress: Progress | None = None,
) -> Script:
    """Describe `movie`: what is seen, told in the pauses of what is heard.

    `cast` is a cast file, `subtitles` the film's own dialogue; `start` and `end` (microseconds) limit the
    part described; `work` is the folder of the films' workspaces (default: in the user's cache). What an earlier
    run left there is used again unless `force`. `voiced` plans with how long the settings' voice really takes.

    Raises MediaError where the film cannot be read, UsageError for a wrong cast, subtitle or setting,
    MissingError where a weight is not installed, ResourceError where the disk is full.
    """
    from avtool.perception import open_film

    seen = open_film(
        movie,
        cast,
        settings=settings,
        subtitles=subtitles,
        audio_track=audio_track,
        start=start,
        end=end,
        work=work,
        force=force,
        allow_outside=allow_outside,
        progress=progress,
    )
    if not force:
        refuse_described(seen.source)
    return draft(seen, voiced)


def refuse_described(film: Probe) -> None:
    """Raise UsageError where `film` carries an audio description already."""
    if film.described:
        raise UsageError(
            f"{film.path} has an audio description track already; --force describes it all the same"
        )


def draft(seen: Perception, voiced: bool = False) -> Script:
    """The script of a film that is open, as `describe` makes it; raises what `describe` raises."""
    from avtool import schedule
    from avtool.narrate import naming, style
    from avtool.narrate.pace import speaking_time
    from avtool.rehearse import Rehearsal
    from avtool.speak import voice
    from avtool.tracks.script import Script
    from avtool.weights import index

    rehearsal = Rehearsal(voice(seen), seen.settings) if voiced else None
    film = seen.film()
    candidates = seen.narrator.candidates(seen, film)
    refused: list[schedule.Dropped] = []
    if rehearsal:
        candidates, refused = rehearsal.sayable(candidates)
    takes = rehearsal.takes if rehearsal else speaking_time
    while True:
        plan = schedule.plan(candidates, film.gaps, film.shots, seen.settings, takes)
        descriptions = naming.address(plan.descriptions, seen.cast)
        if rehearsal and not rehearsal.fits(plan.descriptions, descriptions):
            continue  # it now knows better how long they take
        findings = style.check(descriptions, film, seen.cast, seen.settings)
        broken = {finding.cue: finding for finding in findings if finding.severity == "E"}
        texts = {cue.text: broken[cue.id] for cue in plan.descriptions if cue.id in broken}
        if not texts:
            break
        # What breaks a rule is not said: another wording takes its place, or silence.
        refused += [
            schedule.Dropped(candidate, f"{texts[candidate.text].rule}: {texts[candidate.text].message}")
            for candidate in candidates
            if candidate.text in texts
        ]
        candidates = [candidate for candidate in candidates if candidate.text not in texts]
    return Script(
        film=film,
        plan=schedule.Plan(descriptions, [*plan.dropped, *refused]),
        findings=findings,
        settings=seen.settings,
        weights={name: weight.sha256 for name, weight in index().items() if name in seen.weights}
        | seen.narrator.weights,
        waiting=waiting(plan.dropped, film, seen.cast, seen.settings),
    )


def waiting(
    dropped: Sequence[Dropped], film: Film, cast: Cast | None, settings: Settings
) -> list[Description]:
    """What of `dropped` only lacks a pause and breaks no rule of wording, the worthiest first."""
    from avtool.narrate import style
    from avtool.schedule import needed

    candidates = sorted(
        (one.candidate for one in dropped if one.cramped), key=lambda one: (-one.worth, one.event)
    )
    cues = [
        Description(
            id=f"ex-{number:04}",
            span=Span(one.event.start, one.event.start + needed(one.text, settings.rate, settings)),
            text=one.text,
            represents=one.represents,
            confidence=one.confidence,
            facts=one.facts,
            event=one.event,
            language=settings.language,
        )
        for number, one in enumerate(candidates, 1)
    ]
    findings = style.check(cues, film, cast, settings)
    # The rules of time (AD1..) are those of pauses, which it does not need.
    broken = {one.cue for one in findings if one.severity == "E" and one.rule >= "AD2"}
    return [cue for cue in cues if cue.id not in broken]
