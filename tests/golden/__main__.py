"""Runs golden cases: `python -m tests.golden DIR...`, each DIR a case or a folder of cases.

A case's system names the adapter, `tests/golden/<system>.py`; its `run(case)` builds our model from the case's
configuration, and returns our outputs by name; those that the adapter lists as OPTIONAL may lack. A
`census.json` beside the cases is compared with the adapter's `census(name, entry)`. Prints a line for each output; exits with 1 where any differs or cannot be run.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden.case import Case

Report = Callable[[str], None]


def adapter(system: str) -> Any:
    """The module that runs a system's cases; ModuleNotFoundError where there is none."""
    return importlib.import_module(f"tests.golden.{system.replace('-', '_')}")


def cases(folders: list[Path]) -> Iterator[Path]:
    """The case folders and census files at or below the folders, in order of name."""
    for folder in folders:
        if folder.name == "census.json":
            yield folder
        yield from sorted(
            path.parent if path.name == "case.json" else path
            for name in ("case.json", "census.json")
            for path in folder.rglob(name)
        )


def check_case(folder: Path, report: Report) -> int:
    """The number of outputs of one case that differ, every expected output being needed."""
    case = Case(folder)
    title = f"{case.spec['system']}/{folder.name}"
    try:
        got = adapter(case.spec["system"]).run(case)
    except (ModuleNotFoundError, NotImplementedError, AssertionError) as error:
        report(f"{title:42} FAIL: {error}")
        return 1
    failed = 0
    for name in case.outputs():
        if name not in got and name in getattr(adapter(case.spec["system"]), "OPTIONAL", ()):
            report(f"{title + ' ' + name:78} not offered here")
            continue
        try:
            if name not in got:
                raise AssertionError("not computed")
            difference = case.check(name, np.asarray(got[name]))
            verdict = f"{difference:9.2e}  {_words(case.tolerance(name))}  ok"
        except AssertionError as error:
            failed += 1
            verdict = "FAIL: " + " ".join(str(error).split())
        report(f"{title + ' ' + name:78} {verdict}")
    return failed


def check_census(path: Path, report: Report) -> int:
    """The number of published models whose parameters or cost differ from ours."""
    failed = 0
    system = path.parent.name
    for name, entry in json.loads(path.read_text()).items():
        try:
            faults = adapter(system).census(name, entry)
        except (ModuleNotFoundError, NotImplementedError) as error:
            faults = [str(error)]
        failed += bool(faults)
        report(f"{f'{system}/census {name}':78} {'FAIL: ' + '; '.join(faults) if faults else 'ok'}")
    return failed


def differing_keys(got: dict[str, list[int]], want: dict[str, list[int]]) -> list[str]:
    """What is wrong with a model's parameter names and shapes, in words."""
    faults = []
    for kind, names in (("lacks", want.keys() - got.keys()), ("has besides", got.keys() - want.keys())):
        if names:
            faults.append(f"{kind} {len(names)} names, e.g. {min(names)}")
    shapes = [name for name in want.keys() & got.keys() if list(got[name]) != list(want[name])]
    if shapes:
        name = min(shapes)
        faults.append(f"{len(shapes)} shapes differ, e.g. {name}: {got[name]}, expected {want[name]}")
    return faults


def _words(tolerance: dict[str, float]) -> str:
    return " ".join(f"{key} {value:g}" for key, value in tolerance.items() if key != "by_output")


def run(folders: list[Path], report: Report = print) -> int:
    """The exit code of running all cases at or below the folders."""
    found = list(cases(folders))
    if not found:
        report(f"no case.json at or below {', '.join(map(str, folders))}")
        return 1
    failed = sum(
        check_census(path, report) if path.name == "census.json" else check_case(path, report)
        for path in found
    )
    report(f"{len(found)} cases, {failed} outputs differ" if failed else f"{len(found)} cases, all ok")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run([Path(folder) for folder in sys.argv[1:]]))
