"""Groups of commands that one of them stands for."""

from __future__ import annotations

from typer.core import TyperGroup


def otherwise(name: str) -> type[TyperGroup]:
    """A group whose command `name` is meant where none is named: `avtool characters FILM`."""

    class Group(TyperGroup):
        def parse_args(self, ctx, args):
            if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
                args = [name, *args]
            return super().parse_args(ctx, args)

    return Group
