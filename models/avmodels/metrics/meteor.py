"""METEOR 1.5 (Denkowski and Lavie 2014), which exists in Java alone: run where Java and its jar are."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avmodels.errors import DataError, WeightsError
from avmodels.metrics.caption import Scores, check

BETWEEN = " ||| "


def meteor(generated: Sequence[str], references: Sequence[Sequence[str]], jar: Path) -> Scores:
    """METEOR of a corpus and its sentences, at most 1, of tokens as `ptb.tokenize` gives them.

    `jar` is meteor-1.5.jar with its folder `data` beside it, as the package pycocoevalcap brings it. Raises
    WeightsError where it or Java lacks, DataError where the lists differ in length or Java fails.
    """
    check(generated, references)
    if not generated:
        return Scores(0.0, np.zeros(0))
    java = shutil.which("java")
    if java is None:
        raise WeightsError("METEOR needs Java, and no java is on the path")
    if not jar.is_file():
        raise WeightsError(f"there is no {jar}; METEOR 1.5 comes with the package pycocoevalcap")
    command = [java, "-jar", "-Xmx2G", jar.name, "-", "-", "-stdio", "-l", "en", "-norm"]

    def answers(lines: Sequence[str]) -> list[str]:
        asked = "\n".join(lines) + "\n"
        ran = subprocess.run(
            command, cwd=jar.parent, input=asked, capture_output=True, encoding="utf-8", check=False
        )
        return ran.stdout.splitlines()

    counts = answers(
        [
            BETWEEN.join(["SCORE", *map(plain, texts), plain(text)])
            for text, texts in zip(generated, references, strict=True)
        ]
    )
    scores = answers([BETWEEN.join(["EVAL", *counts])])
    if len(counts) != len(generated) or len(scores) != len(generated) + 1:
        raise DataError(f"METEOR's Java program {jar} does not answer; try `{' '.join(command)}` beside it")
    return Scores(float(scores[-1]), np.array(scores[:-1], np.float64))


def plain(text: str) -> str:
    """A text without the sign that separates texts."""
    return " ".join(text.replace("|||", "").split())
