"""`avtool voice` on the example film: every output of one script, measured and read back; scripts that are wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import av
import numpy as np
import pytest

from avtool.cli.main import run
from avtool.media.probe import probe
from avtool.timeline import SECOND, Span
from avtool.tracks import sound, ttml
from avtool.tracks.subtitles import read

EXAMPLES = Path(__file__).parent.parent / "examples"
FILM = EXAMPLES / "the-quiet-street.mp4"
TRUTH = json.loads((EXAMPLES / "truth.json").read_text())
DIALOGUE = [Span(line["start"], line["end"]) for line in TRUTH["dialogue"]]
SCRIPT = """
2
00:00:37,500 --> 99:00:00,000
Another man, with white hair, sits beside a woman in an orange suit.

1
00:00:01,000 --> 00:00:03,000
Cyclists ride along the canal.

3
00:00:50,000 --> 00:00:51,000


4
00:00:48,000 --> 00:00:49,000
A rocket, by Siobhan.
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voice-cli")
    (folder / "script.srt").write_text(SCRIPT)
    (folder / "cast.json").write_text('{"cast": [], "pronunciations": {"Siobhan": "shi-VAWN"}}')
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> dict:
    """What the command said; the files are in the folder "out"."""
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "avtool", "voice", str(folder / "script.srt"), str(FILM), "-o", str(folder / "out"),
         "--work", str(folder / "work"), "--cast", str(folder / "cast.json"), "--mux", "--hls", "--extended",
         "--json"], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "script.srt: 1 of 4 cues are not spoken" in done.stderr
    return json.loads(done.stdout)


def test_what_fits_is_spoken_and_the_rest_is_told_or_waited_for(told: dict):
    assert [one["cue"]["id"] for one in told["spoken"]] == ["ad-0002", "ad-0004"]
    assert [(one["cue"]["id"], one["reason"]) for one in told["unspoken"]] == [("ad-0003", "it has no text")]
    assert [one["id"] for one in told["held"]] == ["ad-0001"]


def test_the_mixes_measure_what_was_asked_for(told: dict):
    assert len(told["mixes"]) == 2
    for mix in told["mixes"]:
        assert abs(mix["loudness"] - -23) <= 0.5
        assert mix["peak"] <= -1


def test_dialogue_has_no_narration_in_it(told: dict, folder: Path):
    with av.open(str(folder / "out" / "the-quiet-street.en.ad.flac")) as container:
        narration = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert len(narration) == sound.samples(probe(FILM).duration)
    assert narration.any()
    for line in DIALOGUE:
        assert not narration[sound.samples(line.start) : sound.samples(line.end)].any()


def test_the_described_film_keeps_its_pictures_in_step(told: dict, folder: Path):
    described = probe(folder / "out" / "the-quiet-street.described.mp4")
    first, second = described.audio
    assert (first.default, first.description) == (True, False)
    assert (second.default, second.description, second.language) == (False, True, "eng")
    assert described.subtitles[0].description and not described.subtitles[0].default
    before = np.concatenate(list(sound.blocks(described, first, "mono")))[:, 0]
    after = np.concatenate(list(sound.blocks(described, second, "mono")))[:, 0]
    line = DIALOGUE[0]
    part = slice(sound.samples(line.start), sound.samples(line.end))
    match = np.correlate(after[part], before[part][4800:-4800], mode="valid")
    assert abs(int(match.argmax()) - 4800) / sound.RATE < 0.002, (
        "the mix is in step with the film's own sound"
    )


def test_the_extended_version_is_longer_by_its_map(told: dict, folder: Path):
    out = folder / "out"
    pieces = json.loads((out / "the-quiet-street.timemap.json").read_text())["pieces"]
    longer = probe(out / "the-quiet-street.extended.mkv")
    assert longer.duration / SECOND == pytest.approx(pieces[-1]["new"][1], abs=0.1)
    script = out / "the-quiet-street.en.ad-extended.vtt"
    cues = read(script)
    assert [cue.text.split()[0] for cue in cues] == ["Cyclists", "Another", "A"]
    assert longer.duration > probe(FILM).duration + 2 * SECOND
    said = re.search(r"extended: true, (.*) s longer\n(.*) adds (.*) s\n", script.read_text())
    assert said and float(said[1]) == pytest.approx(
        (longer.duration - probe(FILM).duration) / SECOND, abs=0.1
    )
    assert said[2] in {cue.id for cue in cues} and 0 < float(said[3]) <= float(said[1])


def test_a_script_is_never_written_over(told: dict, folder: Path, capsys: pytest.CaptureFixture[str]):
    script = folder / "out" / "the-quiet-street.en.ad-voiced.ttml"
    before = script.read_bytes()
    assert (
        run(["voice", str(script), str(FILM), "--work", str(folder / "work"), "-o", str(script.parent)]) == 2
    )
    assert "is the input itself" in capsys.readouterr().err
    assert script.read_bytes() == before


def test_a_receiver_gets_a_script_that_conforms(told: dict, folder: Path):
    assert ttml.validate(folder / "out" / "the-quiet-street.en.ad-voiced.ttml") == []
    assert all(Path(file).is_file() for file in told["files"])


@pytest.mark.parametrize(
    ("script", "options", "code", "said"),
    [
        ("1\n00:00:01,000 --> 00:00:02,000\n你好\n", [], 2, "the voice cannot say ad-0001"),
        ("1\n00:00:02,000 --> 00:00:01,000\nA.\n", [], 2, "ends before it starts"),
        ("", [], 2, "is empty"),
        ("1\n00:00:01,000 --> 00:00:02,000\nA.\n", ["--rate", "400"], 2, "rate = 400"),
        ("1\n00:00:01,000 --> 00:00:02,000\nA.\n", ["--voice", "pipr"], 2, "no voice is called"),
        ("1\n00:00:01,000 --> 00:00:02,000\nA.\n", ["--loudness", "loud"], 2, "loudness = 'loud'"),
        ("1\n00:00:01,000 --> 00:00:02,000\nA.\n", ["--audio-track", "4"], 2, "no audio track 4"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    told: dict,
    script: str,
    options: list[str],
    code: int,
    said: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
):
    path = folder / "wrong.srt"
    path.write_text(script)
    command = ["voice", str(path), str(FILM), "--work", str(folder / "work"), "-o", str(folder / "wrong")]
    assert run([*command, *options]) == code
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not list((folder / "wrong").glob("*")) if (folder / "wrong").exists() else True
