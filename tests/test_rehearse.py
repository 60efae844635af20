"""The planner learns from the voice: plans made with real times fit, and what cannot be said is left out."""

from __future__ import annotations

from pathlib import Path

from avtool import schedule
from avtool.rehearse import Rehearsal
from avtool.settings import Settings
from avtool.timeline import SECOND, Candidate, Fact, Film, Gap, Shot, Span
from tests.tracks.voices import toned

RULES = Settings()
WHOLE = Span(0, 60 * SECOND)
SHOTS = [Shot(0, WHOLE, "start", 1.0)]


def candidate(text: str, group: int, start: int = 10) -> Candidate:
    fact = Fact("action", f"{text}{group}", 0.9, (start * SECOND,))
    return Candidate(text, Span(start * SECOND, (start + 8) * SECOND), 0, 1 + len(text) / 100, group, (fact,))


def gap(number: int, start: float, end: float) -> Gap:
    span = Span(round(start * SECOND), round(end * SECOND))
    return Gap(number, span, span, "speech", "speech")


def test_a_shorter_candidate_takes_the_place_of_one_that_the_voice_takes_too_long_for(tmp_path: Path):
    """The tone voice is slow: the long sentence only seems to fit."""
    long = candidate("A man in a red hat on a dock at sea sits.", 0)
    short = candidate("A man in a hat sits.", 0)
    room = [gap(0, 10, 13.5)]
    guessed = schedule.plan([long, short], room, SHOTS, RULES)
    assert guessed.descriptions[0].text == long.text
    rehearsal = Rehearsal(toned(tmp_path), RULES)
    rounds = 1
    plan = schedule.plan([long, short], room, SHOTS, RULES, rehearsal.takes)
    while not rehearsal.fits(plan.descriptions, plan.descriptions):
        plan = schedule.plan([long, short], room, SHOTS, RULES, rehearsal.takes)
        rounds += 1
    assert 1 < rounds < 6
    (cue,) = plan.descriptions
    assert cue.text == short.text
    clip = toned(tmp_path).say([cue.text], RULES.rate)[cue.text]
    assert clip.duration <= cue.span.duration


def test_what_only_lacks_a_pause_waits_for_an_extended_version():
    from avtool.describe import waiting

    past = candidate("He walked away.", 2, 41)
    poor, rich = candidate("A cat.", 0, 40), candidate("A man lifts a lantern.", 1, 40)
    plan = schedule.plan([poor, rich, past], [gap(0, 0, 5)], SHOTS, RULES)
    assert all(one.cramped for one in plan.dropped)
    film = Film(Path("film.mp4"), WHOLE, shots=SHOTS)
    late = waiting(plan.dropped, film, None, RULES)
    assert [cue.text for cue in late] == [rich.text, poor.text], "worthiest first; what breaks a rule never"


def test_what_the_voice_cannot_say_is_dropped_with_the_reason(tmp_path: Path):
    kept, dropped = Rehearsal(toned(tmp_path), RULES).sayable(
        [candidate("A sign: 你好", 0), candidate("A cat.", 1)]
    )
    assert [one.text for one in kept] == ["A cat."]
    assert "it cannot be said: the voice (en) does not read '你'" in dropped[0].reason
