"""The programme steps back no more, no earlier and no longer than it must."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool.timeline import SECOND, Description, Span
from avtool.tracks import receiver, ttml
from avtool.tracks.ducking import CLEAR_LEAST, DEEPEST, SHALLOWEST, TOGETHER, Duck, curve, duck, gains
from avtool.tracks.loudness import TARGETS, Levels, Loudness


def levels(loudness: float, narration: float, dialogue: list[Span] | None = None) -> Levels:
    return Levels(Loudness(loudness, -3.0, np.full(600, loudness)), dialogue or [], narration, TARGETS["ebu"])


@pytest.mark.parametrize(
    ("background", "depth", "gain"),
    [(-40, SHALLOWEST, 0), (-23, 10, 0), (-18, 15, 0), (-10, DEEPEST, 1), (-70, 0, 0)],
)
def test_depth_is_what_the_narration_needs(background: float, depth: float, gain: float):
    (one,) = duck([Span(10 * SECOND, 12 * SECOND)], levels(background, -23))
    assert (one.depth, one.gain) == pytest.approx((depth, gain))
    if background > -70:
        assert -23 + one.gain - (background - one.depth) >= CLEAR_LEAST - 1e-6


def test_fades_keep_off_dialogue():
    dialogue = [Span(0, 9_900_000), Span(12_380_000, 20 * SECOND)]
    (one,) = duck([Span(10 * SECOND, 12 * SECOND)], levels(-23, -23, dialogue))
    assert (one.down, one.up) == (100_000, 380_000)


def test_close_descriptions_share_one_step_back():
    spans = [Span(0, SECOND), Span(SECOND + TOGETHER - 1, 3 * SECOND), Span(5 * SECOND, 6 * SECOND)]
    points = curve([Duck(span, 9.0, 0.0) for span in spans])
    middle = gains(points, np.array([1.5 * SECOND, 4 * SECOND]))
    assert middle.tolist() == [-9.0, 0.0]


@given(st.lists(st.tuples(st.integers(250_000, 5 * SECOND), st.integers(1000, 4 * SECOND), st.floats(4, 18))))
def test_the_curve_goes_on_in_time_and_is_down_under_every_word(wanted: list):
    at, ducks = SECOND, []
    for pause, length, depth in wanted:
        ducks.append(Duck(Span(at + pause, at + pause + length), depth, 0.0))
        at += pause + length
    points = curve(ducks)
    assert all(one[0] <= other[0] for one, other in pairwise(points))
    assert all(gain <= 0 for _, gain in points)
    for one in ducks:
        inside = np.linspace(one.span.start + 1, one.span.end - 1, 5)
        assert gains(points, inside) == pytest.approx(-one.depth)
    if points:
        assert points[0][1] == points[-1][1] == 0


def test_a_receiver_gets_the_same_curve_as_json_and_as_dapt(tmp_path: Path):
    cue = Description("ad-0001", Span(10 * SECOND, 12 * SECOND), "Mara lifts the lantern.")
    ducks = [Duck(cue.span, 9.0, 0.0)]
    receiver.write_curve(ducks, "film.en.ad.flac", tmp_path / "gain.json")
    points = json.loads((tmp_path / "gain.json").read_text())["points"]
    assert [(point["time"], point["gain_db"], point["fade"]) for point in points] == [
        (9.7, 0, 0), (10, -9, 30), (12, -9, 30), (12.6, 0, 0),
    ]  # fmt: skip
    receiver.write_script([cue], ducks, "film.en.ad.flac", "Piper joe", "en", tmp_path / "film.ttml")
    assert ttml.validate(tmp_path / "film.ttml") == []
    script = ttml.read(tmp_path / "film.ttml")
    assert script.type == "asRecorded"
    assert [one.span for one in script.descriptions] == [cue.span]
    (text,) = script.events[0].texts
    assert [gain.span for gain in text.mixing] == [
        Span(9_700_000, 10 * SECOND),
        Span(12 * SECOND, 12_600_000),
    ]
    assert text.mixing[0].factors == (1.0, pytest.approx(10 ** (-9 / 20), abs=1e-3))
    assert text.recordings[0].clip == cue.span
