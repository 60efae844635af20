"""The main job on the example film, through the command line, against the film's truth."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from avtool.perceive.tracks import overlap
from avtool.timeline import Span

EXAMPLES = Path(__file__).parent.parent / "examples"
FILM = EXAMPLES / "the-quiet-street.mp4"
TRUTH = json.loads((EXAMPLES / "truth.json").read_text())
FRAME = 1_000_000 // TRUTH["frame_rate"]


@dataclass(frozen=True)
class Run:
    """One run of `avtool describe`, and the stages it left."""

    folder: Path

    def stage(self, *command: str) -> list[dict]:
        """A stage's records, read back through its own command."""
        done = avtool(*command, str(FILM), "--work", str(self.folder / "work"), "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["records"]

    @property
    def cues(self) -> list[dict]:
        project = json.loads((self.folder / "the-quiet-street.en.ad.json").read_text())
        return project["script"]["plan"]["descriptions"]


def avtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "avtool", *arguments], capture_output=True, text=True, check=False
    )


def span(record: dict) -> Span:
    record = record.get("span", record)
    return Span(record["start"], record["end"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("example")
    done = avtool(
        "describe", str(FILM), "--cast", str(EXAMPLES / "cast.json"), "-o", f"{folder}/",
        "--work", str(folder / "work"), "--format", "srt", "--format", "vtt", "--format", "json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return Run(folder)


def test_every_cut_within_two_frames_and_no_other(run: Run):
    found = [shot["span"]["start"] for shot in run.stage("shots")][1:]
    assert len(found) == len(TRUTH["cuts"])
    for got, want in zip(found, TRUTH["cuts"], strict=True):
        assert abs(got - want) <= 2 * FRAME


def test_dialogue_is_found(run: Run):
    speech = [span(record) for record in run.stage("speech")]
    dialogue = [span(line) for line in TRUTH["dialogue"]]
    found = sum(line.overlap(heard) for line in dialogue for heard in speech)
    assert found >= 0.95 * sum(line.duration for line in dialogue)


def test_no_description_covers_dialogue(run: Run):
    assert run.cues
    for cue in run.cues:
        for line in TRUTH["dialogue"]:
            assert span(cue).overlap(span(line)) == 0, (cue["text"], line["text"])


def test_everybody_is_named_in_their_shots_and_nobody_elsewhere(run: Run):
    done = avtool(
        "characters", str(FILM), "--cast", str(EXAMPLES / "cast.json"),
        "--work", str(run.folder / "work"), "--json",
    )  # fmt: skip
    named = [record for record in json.loads(done.stdout)["records"] if record["name"]]
    for number, shot in enumerate(TRUTH["shots"]):
        here = {record["name"] for record in named if span(shot).overlap(span(record)) > 2 * FRAME}
        assert here == set(shot["cast"]), (number, shot["what"])


def test_descriptions_name_only_who_is_there(run: Run):
    cast = json.loads((EXAMPLES / "cast.json").read_text())["cast"]
    told = set()
    for cue in run.cues:
        for member in cast:
            if any(name in cue["text"] for name in (member["name"], *member["aliases"])):
                shots = [shot for shot in TRUTH["shots"] if span(shot).overlap(span({"span": cue["event"]}))]
                assert any(member["name"] in shot["cast"] for shot in shots), cue
                told.add(member["name"])
    assert told == {member["name"] for member in cast}


def test_titles_are_read(run: Run):
    texts = run.stage("text")
    for want in TRUTH["texts"]:
        if want["end"] - want["start"] < 700_000:
            continue  # too short to be legible (AD rule: at least 0.7 s)
        assert any(
            got["text"].casefold() == want["text"].casefold() and span(got).overlap(span(want))
            for got in texts
        ), want["text"]
    assert any("the quiet street" in cue["text"].casefold() for cue in run.cues)


def test_every_sentence_rests_on_facts(run: Run):
    for cue in run.cues:
        assert cue["facts"], cue["text"]
        assert 0 < cue["confidence"] <= 1


def test_a_second_run_writes_the_same_bytes(run: Run, tmp_path: Path):
    done = avtool(
        "describe", str(FILM), "--cast", str(EXAMPLES / "cast.json"), "-o", f"{tmp_path}/",
        "--work", str(run.folder / "work"), "--format", "srt", "--format", "json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for suffix in ("srt", "json"):
        name = f"the-quiet-street.en.ad.{suffix}"
        assert (tmp_path / name).read_bytes() == (run.folder / name).read_bytes()


# Who is in the picture at whole seconds, by eye: the first and the last second, and boxes in shares of it. Of the man
# who walks by at 29 s only the legs show.
PEOPLE = (
    (5, 5, [(0.34, 0.0, 0.80, 1.0)]),
    (7, 11, [(0.04, 0.0, 0.86, 1.0)]),
    (12, 12, [(0.08, 0.0, 0.76, 1.0)]),
    (17, 21, [(0.28, 0.02, 0.90, 1.0)]),
    (23, 24, [(0.40, 0.04, 0.68, 1.0)]),
    (25, 28, [(0.20, 0.02, 0.94, 1.0)]),
    (29, 29, [(0.03, 0.0, 0.38, 0.88)]),
    (32, 35, [(0.03, 0.0, 0.77, 1.0)]),
    (36, 41, [(0.06, 0.02, 0.5, 1.0), (0.52, 0.04, 1.0, 1.0)]),
    (45, 49, [(0.18, 0.0, 0.83, 1.0)]),
)


def test_people_are_detected_where_they_are_and_nowhere_else(run: Run):
    done = avtool("detect", str(FILM), "--weights", "embedded", "--work", str(run.folder / "work"), "--json")
    assert done.returncode == 0, done.stderr
    assert "which names no actions" in done.stderr
    seen = {one["time"] // 1_000_000: one["people"] for one in json.loads(done.stdout)["keyframes"]}
    assert list(seen) == list(range(57))
    there = {second: boxes for first, last, boxes in PEOPLE for second in range(first, last + 1)}
    for second, people in seen.items():
        shot = next(
            shot for shot in TRUTH["shots"] if span(shot).start <= second * 1_000_000 < span(shot).end
        )
        assert len(people) <= len(shot["cast"]) + shot["others"]
        boxes = np.array([one["box"] for one in people]).reshape(-1, 4)
        shares = overlap(boxes, np.array(there.get(second, [])).reshape(-1, 4))
        assert (shares.max(1, initial=0) > 0.6).all(), (second, shares)
        assert second == 29 or (shares.max(0, initial=0) > 0.6).all(), (second, shares)
        assert all(one["actions"] == {} for one in people)
