"""`avtool characters`: who is where, and finding faces to name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avtool.cli import options
from avtool.cli.films import each
from avtool.cli.groups import otherwise
from avtool.cli.output import as_json, table
from avtool.cli.progress import progress as told
from avtool.cli.talk import talk

app = typer.Typer(
    cls=otherwise("find"),
    help="Who of the cast is where (`avtool characters FILM --cast cast.json`), and faces to name.",
    no_args_is_help=True,
)


@app.command()
def find(
    films: options.Films,
    cast: Annotated[Path, typer.Option("--cast", help="cast.json with names and portraits.")],
    allow_outside: options.AllowOutside = False,
    preset: options.Preset = None,
    settings: options.Set = None,
    characters: options.Characters = None,
    start: options.Start = None,
    end: options.End = None,
    work: options.Work = None,
    force: options.Force = False,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    progress: options.ProgressMode = "auto",
) -> None:
    """Which of the cast is in which shot. A stranger has no name."""
    from avtool.config import resolve

    talk(quiet, verbose)
    values = resolve(preset, options.pairs(settings, characters=characters))[0]

    def one(film: Path) -> None:
        from avtool.perception import open_film

        with told(progress, film.name) as tell:
            seen = open_film(
                film,
                cast,
                settings=values,
                start=start,
                end=end,
                work=work,
                force=force,
                allow_outside=allow_outside,
                progress=tell,
            )
            sightings = seen.sightings
        if json:
            as_json("characters", film=str(film), records=sightings)
            return
        columns = ("name", "confidence", "shot", "time", "track", "faces", "runner-up")
        rows = [
            (
                sighting.name or "(stranger)",
                sighting.confidence,
                sighting.shot,
                sighting.span,
                sighting.track,
                sighting.faces,
                sighting.second and f"{sighting.second} {sighting.second_confidence:.2f}",
            )
            for sighting in sightings
        ]
        table(f"{film.name}: characters", columns, rows)

    each(films, one)


@app.command()
def discover(
    film: Annotated[Path, typer.Argument(help="A film.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write (default: FILM.cast beside it).")
    ] = None,
    start: options.Start = None,
    end: options.End = None,
    work: options.Work = None,
    force: options.Force = False,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    progress: options.ProgressMode = "auto",
) -> None:
    """Group the unknown faces: a contact sheet to look at and a draft cast.json to name."""
    from avtool.perceive import discover as discovery
    from avtool.perception import open_film

    talk(quiet, verbose)
    with told(progress, film.name) as tell:
        seen = open_film(film, start=start, end=end, work=work, force=force, progress=tell)
        crowd = seen.crowd
        found = discovery.discover(seen.source, crowd, output or film.with_name(f"{film.stem}.cast"))
    if json:
        as_json("characters-discover", film=str(film), discovery=found)
        return
    print(found.sheet)
    print(found.cast)
