"""A part of the made-bad inputs in every test run; all of them with `python -m tests.hostile` (see `.ci/run`)."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile import fuzz, texts

PART = 20  # one input in so many


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked and watched as Linux lets them be")
def test_a_part_of_all_ends_well():
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", "--every", str(PART)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-4]) > 50, "passed"


@pytest.mark.parametrize("name", fuzz.PARSERS)
def test_every_parser_bears_turned_bytes(name: str, tmp_path: Path):
    """What atheris does for longer and by coverage, on any machine."""
    draw = random.Random(name)
    for seed in fuzz.seeds(name):
        fuzz.attempt(name, seed, tmp_path)
        for _ in range(40):
            fuzz.attempt(name, texts.mutated(seed, draw), tmp_path)
