"""Given subtitles are believed, moved when shifted, and left out when they are of another film."""

import logging
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from avtool.errors import UsageError
from avtool.perceive import dialogue
from avtool.timeline import SECOND, Span, Speech

WHOLE = Span(0, 600 * SECOND)


def talk(seed: int, count: int = 60) -> list[Speech]:
    """Speeches of 0.8 to 4 s with pauses of 0.5 to 8 s."""
    random = np.random.default_rng(seed)
    speech, at = [], 3 * SECOND
    for number in range(count):
        end = at + int(random.uniform(0.8, 4) * SECOND)
        speech.append(Speech(Span(at, end), "dialogue", ("vad",), 0.9, f"heard {number}"))
        at = end + int(random.uniform(0.5, 8) * SECOND)
    return speech


def subtitled(speech: list[Speech], shift: float = 0, scale: float = 1) -> list[Speech]:
    """Cues of `speech` as a subtitler writes them: held a little longer, on a clock of their own."""
    cues = []
    for number, voice in enumerate(speech):
        start = max(0, int(voice.span.start * scale + shift * SECOND))
        end = max(start + 1, int((voice.span.end + SECOND // 3) * scale + shift * SECOND))
        cues.append(Speech(Span(start, end), "dialogue", ("subtitle",), 1.0, f"written {number}"))
    return cues


def test_words_come_from_the_cue_and_times_from_the_voice() -> None:
    heard = talk(1)
    believed = dialogue.believe(subtitled(heard), heard)
    assert [speech.span for speech in believed] == [voice.span for voice in heard]
    assert [speech.text for speech in believed] == [f"written {number}" for number in range(60)]
    assert all(speech.sources == ("vad", "subtitle") for speech in believed)


@pytest.mark.parametrize("shift", [-20, -2.5, -1.5, 1.5, 2.5, 20, 50])
def test_shifted_cues_are_moved(shift: float, caplog: pytest.LogCaptureFixture) -> None:
    heard = talk(2)
    with caplog.at_level(logging.WARNING, logger="avtool"):
        believed = dialogue.believe(subtitled(heard, shift)[10:], heard)
    told = {
        voice.span: speech.text for voice in heard[10:] for speech in believed if speech.span == voice.span
    }
    assert list(told.values()) == [f"written {number}" for number in range(10, 60)]
    told_shift = re.search(r"([\d.]+) s (late|early)", caplog.text)
    assert told_shift and told_shift[2] == ("late" if shift > 0 else "early")
    assert float(told_shift[1]) == pytest.approx(abs(shift), abs=0.4)


@pytest.mark.parametrize("shift", [-0.4, 0, 0.4])
def test_small_shifts_are_left_alone(shift: float, caplog: pytest.LogCaptureFixture) -> None:
    heard = talk(3)
    dialogue.believe(subtitled(heard, shift), heard)
    assert not caplog.records


def test_a_cue_nobody_was_heard_for_stays() -> None:
    heard = talk(4)
    cues = subtitled(heard)
    del heard[30]
    believed = dialogue.believe(cues, heard)
    assert cues[30] in believed


def test_a_voice_without_a_cue_stays() -> None:
    heard = talk(5)
    believed = dialogue.believe(subtitled(heard)[:-1], heard)
    assert heard[-1] in believed


def test_a_crowd_is_not_what_a_cue_says() -> None:
    heard = talk(6)
    crowd = Speech(Span(heard[-1].span.end, heard[-1].span.end + SECOND), "crowd", ("asr",), 0.9)
    assert crowd in dialogue.believe(subtitled(heard), [*heard, crowd])


def test_cues_of_another_film_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    heard = talk(7)
    assert dialogue.believe(subtitled(talk(8)), heard) == heard
    assert "do not fit" in caplog.text


def test_cues_at_another_speed_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    heard = talk(9, count=120)
    assert dialogue.believe(subtitled(heard, scale=25 / 24), heard) == heard
    assert "drift" in caplog.text or "do not fit" in caplog.text


def test_cues_of_a_film_without_sound_are_all_there_is() -> None:
    cues = subtitled(talk(10))
    assert dialogue.believe(cues, []) == cues


def test_few_cues_are_not_moved() -> None:
    heard = talk(11, count=3)
    cues = subtitled(heard, shift=1000)
    assert all(cue in dialogue.believe(cues, heard) for cue in cues)


def test_one_voice_takes_all_that_is_said_in_it() -> None:
    heard = [Speech(Span(0, 9 * SECOND), "dialogue", ("vad", "asr"), 0.9, "one two")]
    cues = [
        Speech(Span(n * SECOND, (n + 1) * SECOND), "dialogue", ("subtitle",), 1.0, str(n)) for n in (1, 4)
    ]
    (believed,) = dialogue.believe(cues, heard)
    assert (believed.text, believed.span) == ("1 4", heard[0].span)


@pytest.mark.parametrize(
    ("cue", "text", "kind"),
    [
        ("Good morning.", "Good morning.", "dialogue"),
        ("MARCUS: Good morning.", "Good morning.", "dialogue"),
        ("[sighs] Good morning. (coughs)", "Good morning.", "dialogue"),
        ("- ANNA: No. - Yes.", "- No. - Yes.", "dialogue"),
        ("♪ Row your boat ♪", "Row your boat", "song"),
    ],
)
def test_cues_are_read_as_words(tmp_path: Path, cue: str, text: str, kind: str) -> None:
    path = tmp_path / "film.srt"
    path.write_text(f"1\n00:00:01,000 --> 00:00:02,500\n{cue}\n", encoding="utf-8")
    (read,) = dialogue.read(path, WHOLE)
    assert (read.text, read.kind, read.span) == (text, kind, Span(SECOND, 5 * SECOND // 2))


@pytest.mark.parametrize("cue", ["[door slams]", "(music)", "♪", "...", "[rain]\n♪ ♪"])
def test_cues_of_mere_sound_are_not_speech(tmp_path: Path, cue: str) -> None:
    path = tmp_path / "film.srt"
    path.write_text(f"1\n00:00:01,000 --> 00:00:02,500\n{cue}\n", encoding="utf-8")
    assert dialogue.read(path, WHOLE) == []


def test_cues_outside_the_part_looked_at_are_not_read(tmp_path: Path) -> None:
    times = (
        "00:00:01,000 --> 00:00:02,000",
        "00:00:09,000 --> 00:00:12,000",
        "00:00:30,000 --> 00:00:31,000",
    )
    path = tmp_path / "film.srt"
    path.write_text("\n\n".join(f"{n}\n{time}\nHello" for n, time in enumerate(times, 1)), encoding="utf-8")
    (read,) = dialogue.read(path, Span(10 * SECOND, 20 * SECOND))
    assert read.span == Span(10 * SECOND, 12 * SECOND)


def test_subtitles_that_do_not_parse(tmp_path: Path) -> None:
    path = tmp_path / "film.srt"
    path.write_text("this is a poem\nand not a subtitle\n", encoding="utf-8")
    with pytest.raises(UsageError, match="film.srt"):
        dialogue.read(path, WHOLE)


def test_believed_speech_of_apart_voices_stays_in_order() -> None:
    heard = talk(12)
    believed = dialogue.believe(subtitled(heard), heard)
    assert all(a.span.end <= b.span.start for a, b in pairwise(believed))
