"""The public golden cases, and the runner's own verdicts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.golden.__main__ import run

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize(
    "path", sorted(CASES.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_our_outputs_are_the_published_ones(path: Path) -> None:
    lines: list[str] = []
    assert run([path], lines.append) == 0, "\n".join(line for line in lines if "FAIL" in line)


def test_a_changed_output_fails(tmp_path: Path) -> None:
    case = shutil.copytree(CASES / "videomae-v2" / "merge", tmp_path / "merge")
    stored = dict(np.load(case / "outputs.npz"))
    stored["prob/top1_top5"] = stored["prob/top1_top5"] + 1
    np.savez(case / "outputs.npz", **stored)
    assert run([case], lambda line: None) == 1


@pytest.mark.parametrize("change", [{"kind": "no such kind"}, {"system": "no-such-system"}])
def test_an_unknown_kind_or_system_fails(tmp_path: Path, change: dict[str, str]) -> None:
    case = shutil.copytree(CASES / "videomae-v2" / "merge", tmp_path / "merge")
    spec = json.loads((case / "case.json").read_text())
    (case / "case.json").write_text(json.dumps(spec | change))
    assert run([case], lambda line: None) == 1


def test_a_folder_without_cases_fails(tmp_path: Path) -> None:
    assert run([tmp_path], lambda line: None) == 1
