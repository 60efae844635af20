"""The main job: a film in, a timed audio-description script out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avtool.perception import Progress
    from avtool.settings import Settings
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
    progress: Progress | None = None,
) -> Script:
    """Describe `movie`: what is seen, told in the pauses of what is heard.

    `cast` is a cast file, `subtitles` the film's own dialogue; `start` and `end` (microseconds) limit the
    part described; `work` is the workspace folder (default: in the user's cache). What an earlier run left
    there is used again unless `force`.

    Raises MediaError where the film cannot be read, UsageError for a wrong cast, subtitle or setting,
    MissingError where a weight is not installed, ResourceError where the disk is full.
    """
    from avtool import schedule
    from avtool.narrate import facts, style
    from avtool.perception import open_film
    from avtool.tracks.script import Script

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
    film = seen.film()
    candidates = facts.candidates(film, seen.cast, seen.settings)
    plan = schedule.plan(candidates, film.gaps, film.shots, seen.settings)
    findings = style.check(plan.descriptions, film, seen.cast, seen.settings)
    return Script(film=film, plan=plan, findings=findings)
