"""The example film described, spoken and muxed by the command line, and what came of it measured from outside.

`avtool describe --voice --mux` in one go, and `avtool voice` with the script that a person may have edited.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from avtool.timeline import SECOND, Span
from tests.tracks.test_mux import hashes, times

EXAMPLES = Path(__file__).parent.parent / "examples"
FILM = EXAMPLES / "the-quiet-street.mp4"
TRUTH = json.loads((EXAMPLES / "truth.json").read_text())
DIALOGUE = [Span(line["start"], line["end"]) for line in TRUTH["dialogue"]]
RATE = 48_000
FRAME = 1 / TRUTH["frame_rate"]  # seconds
EBU = -23.0  # LUFS, within 0.5 LU (EBU R128)


@dataclass(frozen=True)
class Voiced:
    """A run of the command line: its files, and the times of what it says it spoke."""

    folder: Path
    spoken: list[Span]

    @property
    def film(self) -> Path:
        return self.folder / "the-quiet-street.described.mp4"


def avtool(*arguments: str | Path) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "avtool", *map(str, arguments), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Voiced:
    folder = tmp_path_factory.mktemp("described")
    told = avtool(
        "describe", FILM, "--cast", EXAMPLES / "cast.json", "-o", f"{folder}/", "--work", folder / "work",
        "--voice", "--mux",
    )  # fmt: skip
    return Voiced(folder, [Span(**one["cue"]["span"]) for one in told["spoken"]])


@pytest.fixture(scope="module")
def edited(described: Voiced, tmp_path_factory: pytest.TempPathFactory) -> Voiced:
    """A person has reworded a cue of the draft."""
    folder = tmp_path_factory.mktemp("edited")
    script = (described.folder / "the-quiet-street.en.ad.srt").read_text(encoding="utf-8")
    assert "A cat." in script
    path = folder / "edited.srt"
    path.write_text(script.replace("A cat.", "A cat looks up."), encoding="utf-8")
    told = avtool("voice", path, FILM, "-o", folder, "--work", described.folder / "work", "--mux")
    assert "A cat looks up." in [one["cue"]["text"] for one in told["spoken"]]
    return Voiced(folder, [Span(**one["cue"]["span"]) for one in told["spoken"]])


@pytest.fixture(scope="module", params=["described", "edited"])
def voiced(request: pytest.FixtureRequest) -> Voiced:
    return request.getfixturevalue(request.param)


def ffmpeg(*arguments: str | Path) -> str:
    """What ffmpeg says: the nearest to ffprobe on any machine that runs avtool."""
    command = [get_ffmpeg_exe(), "-hide_banner", "-nostdin", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def heard(path: Path, track: int) -> np.ndarray:
    """The samples of an audio track of one channel."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=track)]
    return np.concatenate(frames).astype(np.float64)


def part(sound: np.ndarray, span: Span, margin: float = 0.0) -> np.ndarray:
    first, last = span.start / SECOND + margin, span.end / SECOND - margin
    return sound[round(first * RATE) : round(last * RATE)]


def test_the_loudness_is_within_half_a_unit_of_the_target(voiced: Voiced):
    said = ffmpeg("-i", voiced.film, "-map", "0:a:1", "-af", "ebur128=peak=true", "-f", "null", "-")
    summary = said[said.rindex("Summary:") :]
    loudness = re.search(r"I:\s+(-?[\d.]+) LUFS", summary)
    peak = re.search(r"Peak:\s+(-?[\d.]+) dBFS", summary)
    assert loudness and abs(float(loudness[1]) - EBU) <= 0.5
    assert peak and float(peak[1]) <= -1


def test_no_narration_sounds_during_dialogue(voiced: Voiced):
    narration = heard(voiced.folder / "the-quiet-street.en.ad.flac", 0)
    assert len(voiced.spoken) > 5
    for span in voiced.spoken:
        assert np.abs(part(narration, span)).max() > 1000, "sixteen bit: it is spoken here"
    for line in DIALOGUE:
        assert not part(narration, line).any()


def test_dialogue_is_as_it_was_but_for_the_level_of_the_whole(voiced: Voiced):
    """The described track is the film's own, times one gain: nothing added to a line, nothing stepped back under it."""
    before, after = heard(voiced.film, 0), heard(voiced.film, 1)
    gains = []
    for line in DIALOGUE:
        own, mixed = part(before, line), part(after, line)
        gain = float(own @ mixed / (own @ own))
        rest = mixed - gain * own
        assert 10 * np.log10(rest @ rest / (mixed @ mixed)) < -20, "what is not the line is AAC's noise"
        gains.append(20 * np.log10(gain))
    assert max(gains) - min(gains) < 0.5


def test_narration_is_heard_above_what_is_below_it(voiced: Voiced):
    """In each description the mix is louder than its stepped-back programme by the 6 LU that are the least."""
    before, after = heard(voiced.film, 0), heard(voiced.film, 1)
    line = DIALOGUE[0]
    whole = float(part(before, line) @ part(after, line) / (part(before, line) @ part(before, line)))
    for span in voiced.spoken:
        programme, mixed = whole * part(before, span), part(after, span)
        assert 10 * np.log10((mixed @ mixed) / (programme @ programme)) > 6


def test_pictures_are_the_same_bits_at_the_same_times(voiced: Voiced):
    assert hashes(voiced.film, 2) == hashes(FILM, 2)
    assert times(voiced.film) == times(FILM)


def test_sound_and_picture_are_in_step_to_less_than_a_frame(voiced: Voiced):
    before, after = heard(FILM, 0), heard(voiced.film, 1)
    reach = round(2 * FRAME * RATE)
    for line in (DIALOGUE[0], DIALOGUE[-1]):  # no drift either
        own = part(before, line)
        wide = after[round(line.start / SECOND * RATE) - reach :][: len(own) + 2 * reach]
        lag = int(np.correlate(wide, own, mode="valid").argmax()) - reach
        assert abs(lag) / RATE < 0.002 < FRAME


def test_players_recognise_the_tracks(voiced: Voiced):
    said = ffmpeg("-i", voiced.film)
    streams = [line for line in said.splitlines() if re.match(r"\s*Stream #0:", line)]
    picture, own, narration, text = streams
    assert "Video: h264" in picture and "(default)" in picture
    assert "Audio: aac" in own and "(default)" in own and "visual impaired" not in own
    assert "Audio: aac" in narration and "(eng)" in narration and "(visual impaired)" in narration
    assert "(default)" not in narration
    assert "Subtitle: mov_text" in text and "(eng)" in text and "(descriptions)" in text
    assert "(default)" not in text
    assert "Audio Description (synthetic voice)" in said
