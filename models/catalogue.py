"""The tables of README.md, from the configurations themselves: `uv run python models/catalogue.py`."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from avmodels import zoo
from avmodels.engine.config import Result

PAGE = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- begin of catalogue.py -->", "<!-- end of catalogue.py -->"


def page(text: str) -> str:
    """The page `text` with the tables between its two marks made anew."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    parts = [systems(), *map(variants, zoo.SYSTEMS)]
    return f"{head}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{tail}"


def systems() -> str:
    """Every system with what it is and how many variants it has."""
    rows = []
    for system in zoo.SYSTEMS:
        package = system.replace("-", "_")
        card = f"avmodels/{package}/README.md"
        linked = f"[`{system}`]({card})" if (PAGE.parent / card).exists() else f"`{system}`"
        what = importlib.import_module(f"avmodels.{package}").__doc__ or ""
        rows.append((linked, what.removesuffix("."), len(zoo.variants(system))))
    return table(("system and card", "what it is", "variants"), rows)


def variants(system: str) -> str:
    """Every variant of a system: its recipe, its published numbers, and where its weights come from."""
    rows = []
    for variant in zoo.variants(system):
        config = zoo.load(system, variant)
        said = [
            f"{'; '.join(map(result, results))} ({where})"
            for where, results in groupby(config.published, lambda result: result.where)
        ]
        sources = [f"`{source.file}`: {source.where}" for source in config.weights]
        rows.append((f"`{variant}`", config.recipe, config.about, "; ".join(said), "; ".join(sources)))
    return f"### {system}\n\n" + table(("variant", "recipe", "what", "published", "weights"), rows)


def result(published: Result) -> str:
    """A published result in words."""
    numbers = ", ".join(f"{name} {value:g}" for name, value in published.metrics.items())
    return " ".join(filter(None, (published.data, published.views, numbers)))


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows as a table of Markdown."""
    names = list(header)
    lines = [names, ["---"] * len(names), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
