"""Options that several commands take, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avtool.timeline import from_clock


def time(text: str) -> int:
    """A time of the film as microseconds."""
    try:
        return from_clock(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Films = Annotated[list[str], typer.Argument(help="Films: files, folders or globs.", show_default=False)]
Start = Annotated[int | None, typer.Option("--from", parser=time, metavar="TIME", help="Begin here.")]
End = Annotated[int | None, typer.Option("--to", parser=time, metavar="TIME", help="End here.")]
Work = Annotated[
    str | None,
    typer.Option(
        help="Folder of the workspaces, or URL of a shared one (s3://..., gs://...); default: your cache."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Compute again what earlier runs left.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a film.")]
AudioTrack = Annotated[int | None, typer.Option(metavar="N", help="The film's N-th audio track, from 0.")]
Subtitles = Annotated[Path | None, typer.Option(help="The film's dialogue, trusted for its text.")]
CastFile = Annotated[Path | None, typer.Option("--cast", help="cast.json with names and portraits.")]
AllowOutside = Annotated[
    bool, typer.Option("--allow-outside", help="Let the cast file use images outside its folder.")
]
Preset = Annotated[
    str | None, typer.Option("--preset", "-p", help="film, series, documentary, lecture or children.")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting; see `avtool config show`.")
]
Narrator = Annotated[
    str | None,
    typer.Option(
        metavar="auto|facts|uni-ad[:WEIGHTS]|vlm:FOLDER", help="Who writes the sentences (default: auto)."
    ),
]
Characters = Annotated[
    str | None,
    typer.Option(metavar="face|clip|both", help="How characters are known (default: by their faces)."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
ProgressMode = Annotated[
    str, typer.Option("--progress", metavar="auto|json|none", help="How progress is told, on stderr.")
]


def pairs(settings: list[str] | None, **flags: str | None) -> dict[str, str]:
    """``key=value`` strings as a mapping, with the `flags` that were given."""
    for text in settings or ():
        if "=" not in text:
            raise typer.BadParameter(f"{text!r} is no setting; write KEY=VALUE")
    given = {name: value for name, value in flags.items() if value is not None}
    return dict(text.split("=", 1) for text in settings or ()) | given
