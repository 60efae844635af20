"""`avtool config`: the settings and where each comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from avtool.cli import options
from avtool.cli.output import as_json, table

app = typer.Typer(help="The settings and where each comes from.", no_args_is_help=True)


@app.callback()
def _config() -> None:
    pass


@app.command()
def show(
    preset: options.Preset = None,
    settings: options.Set = None,
    origin: Annotated[bool, typer.Option("--origin", help="Tell where each value comes from.")] = False,
    json: options.AsJson = False,
) -> None:
    """Every setting, its value and what it means."""
    from avtool.config import resolve
    from avtool.settings import Settings

    values, origins = resolve(preset, options.pairs(settings))
    if json:
        as_json("config", settings=values.model_dump(), origins=origins)
        return
    columns = ("setting", "value", *(("from",) if origin else ()), "meaning")
    rows = [
        (name, getattr(values, name), *((origins[name],) if origin else ()), field.description)
        for name, field in Settings.model_fields.items()
    ]
    table("settings", columns, rows)
