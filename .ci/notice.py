"""Writes NOTICE: the licence of every package that avtool installs and of every weight. `python .ci/notice.py`."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from avtool.weights import index

NOTICE = Path(__file__).parents[1] / "NOTICE"
HEAD = """avtool
Licensed under the Apache License, Version 2.0 (see LICENSE).

It stands on the packages and weights below, each under its own licence. Piper (extra "voice") is GPL: it is called
as a program, never linked.
"""


def packages() -> list[str]:
    """The packages that avtool with all its extras needs, as locked."""
    export = [
        "uv",
        "export",
        "--quiet",
        "--frozen",
        "--no-dev",
        "--all-extras",
        "--no-hashes",
        "--no-emit-project",
    ]
    lines = subprocess.run(export, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted({match[0].lower() for line in lines if (match := re.match(r"[A-Za-z0-9._-]+", line))})


def licence(package: Distribution) -> str:
    """What the package's metadata says, in the shortest of its ways of saying it."""
    told = package.metadata
    named = [
        line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or () if line.startswith("License")
    ]
    said = told.get("License-Expression") or "; ".join(name for name in named if name != "OSI Approved")
    first = (told.get("License") or "").strip().partition("\n")[0]
    return said or first[:80] or "not stated"


def notice() -> str:
    lines = [HEAD, "Packages", ""]
    for name in packages():
        try:
            package = distribution(name)
        except PackageNotFoundError:  # of another platform
            continue
        lines.append(f"- {package.name} {package.version}: {licence(package)}")
    lines += ["", "Weights and data", ""]
    lines.append("- cmudict-0.7b (the CMU Pronouncing Dictionary; avtool/cmudict-0.7b.gz): BSD-2-Clause")
    for weight in index().values():
        source = weight.package or weight.repository or weight.source
        lines.append(f"- {weight.name} ({weight.job}; {source}): {weight.licence}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    NOTICE.write_text(notice(), encoding="utf-8")
