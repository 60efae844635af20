"""DAPT: read as TTML2 says, written by its rules, and the same after a round trip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avtool.errors import UsageError
from avtool.schedule import Plan
from avtool.settings import Settings
from avtool.timeline import SECOND, Description, Fact, Film, Gap, Span
from avtool.tracks import dapt, subtitles, ttml
from avtool.tracks.dapt import Agent, DaptScript, Event, Gain, Recording, Text
from avtool.tracks.files import one_line
from avtool.tracks.script import Script

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter"
    xmlns:ttm="http://www.w3.org/ns/ttml#metadata" xmlns:tta="http://www.w3.org/ns/ttml#audio"
    xmlns:daptm="http://www.w3.org/ns/ttml/profile/dapt#metadata"
    ttp:contentProfiles="http://www.w3.org/ns/ttml/profile/dapt1.0/content" """
ROOT = """xml:lang="en" daptm:langSrc="zxx" daptm:scriptRepresents="visual.nonText visual.text" """
VOICES = """<head><metadata>
  <ttm:agent type="person" xml:id="voice1"><ttm:name type="full">Synthetic voice en-1</ttm:name></ttm:agent>
  <ttm:agent type="character" xml:id="describer"><ttm:name type="alias">Describer</ttm:name>
    <ttm:actor agent="voice1"/></ttm:agent>
  <daptm:daptOriginTimecode>10:00:00:00</daptm:daptOriginTimecode>
</metadata></head>"""
FOREIGN = f"""{HEAD}{ROOT}daptm:scriptType="preRecording">{VOICES}<body>
  <div xml:id="ad1" begin="12.48s" end="15.12s" ttm:agent="describer" daptm:represents="visual.nonText">
    <ttm:desc daptm:descType="plotSignificance">high</ttm:desc>
    <p>
      <animate begin="0s" end="0.3s" tta:gain="1;0.32" fill="freeze"/>
      <animate begin="2.34s" end="2.64s" tta:gain="0.32;1"/>
      <span begin="0.3s" end="2.34s" tta:speak="normal">Mara lifts
        the lantern.</span>
    </p>
  </div>
  <div xml:id="ad2" begin="31s" end="33.25s" ttm:agent="describer" daptm:represents="visual.text.location"
       daptm:langSrc="en" daptm:onScreen="ON_OFF">
    <p><span tta:speak="normal">On a brass plate:<br/>Harbour Office.</span></p>
    <p xml:lang="fr"><span>Sur une plaque : Bureau du port.</span></p>
  </div>
  <div xml:id="free" begin="40s" end="44s" daptm:represents="visual.nonText"/>
</body></tt>"""
RECORDED = f"""{HEAD}{ROOT}daptm:scriptType="asRecorded"><body daptm:represents="visual.nonText">
  <div xml:id="ad1" begin="12.48s" end="15.12s"><p>
    <span><audio src="voice/ad1.wav" type="audio/wav" clipBegin="1s" clipEnd="3.5s"/>Mara lifts.</span>
  </p></div>
</body></tt>"""


def written(folder: Path, text: str, name: str = "film.ttml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_script_of_others_is_read_in_full(tmp_path: Path) -> None:
    script = ttml.read(written(tmp_path, FOREIGN))
    assert (script.language, script.language_source, script.type) == ("en", "zxx", "preRecording")
    assert script.agents == (
        Agent("voice1", "person", "Synthetic voice en-1"),
        Agent("describer", "character", "Describer", "voice1"),
    )
    assert script.origin == "10:00:00:00"
    first, second, free = script.events
    assert first == Event(
        id="ad1",
        span=Span(12_480_000, 15_120_000),
        represents="visual.nonText",
        texts=(
            Text(
                "Mara lifts the lantern.",
                "en",
                "zxx",
                "visual.nonText",
                span=Span(12_780_000, 14_820_000),
                speak="normal",
                mixing=(
                    Gain(Span(12_480_000, 12_780_000), (1.0, 0.32), freeze=True),
                    Gain(Span(14_820_000, 15_120_000), (0.32, 1.0)),
                ),
            ),
        ),
        notes=(("plotSignificance", "high"),),
        agents=("describer",),
    )
    assert [(text.language, text.language_source, text.represents) for text in second.texts] == [
        ("en", "en", "visual.text.location"),
        ("fr", "en", "visual.text.location"),
    ]
    assert second.on_screen == "ON_OFF"
    assert free == Event("free", Span(40 * SECOND, 44 * SECOND), "visual.nonText")
    assert [(one.id, one.span, one.text, one.represents) for one in script.descriptions] == [
        ("ad1", Span(12_780_000, 14_820_000), "Mara lifts the lantern.", "visual.nonText"),
        ("ad2", Span(31_000_000, 33_250_000), "On a brass plate: Harbour Office.", "visual.text.location"),
    ]
    assert subtitles.read(tmp_path / "film.ttml") == script.descriptions


def test_recordings_are_read(tmp_path: Path) -> None:
    (event,) = ttml.read(written(tmp_path, RECORDED)).events
    assert event.texts[0].recordings == (
        Recording("voice/ad1.wav", "audio/wav", Span(1 * SECOND, 3_500_000)),
    )
    assert event.texts[0].text == "Mara lifts."


@pytest.mark.parametrize("text", [FOREIGN, RECORDED])
def test_a_script_of_others_survives_a_round_trip(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    assert ttml.validate(path) == []
    script = ttml.read(path)
    ttml.write(script, path)
    assert ttml.validate(path) == []
    assert ttml.read(path) == script


def ours(*cues: Description, gaps: tuple[Gap, ...] = ()) -> Script:
    film = Film(Path("film.mp4"), Span(0, 60 * SECOND), gaps=list(gaps))
    return Script(film, Plan(list(cues), []), settings=Settings())


def gap(index: int, start: int, end: int) -> Gap:
    span = Span(start * SECOND, end * SECOND)
    return Gap(index, span, span, "speech", "edge")


def test_what_is_said_comes_back_with_its_evidence_and_free_pauses(tmp_path: Path) -> None:
    facts = (
        Fact("who", "Mara", 0.97, (12_500_000, 13_000_000), (4,)),
        Fact("action", "Mara lifts a <lamp> & “smiles”", 0.8125, (12_500_000,), (4,)),
    )
    cue = Description(
        "ad-0001",
        Span(12_480_000, 15_120_000),
        "Mara lifts it.",
        "visual.nonText",
        0.8125,
        facts,
        Span(3, 5),
        0,
    )
    sign = Description("ad-0002", Span(31 * SECOND, 33 * SECOND), "Text: Harbour.", "visual.text")
    path = tmp_path / "film.ttml"
    ttml.write(dapt.compose(ours(cue, sign, gaps=(gap(0, 12, 16), gap(1, 20, 25)))), path)
    assert ttml.validate(path) == []
    script = ttml.read(path)
    assert script.descriptions == [cue, sign]
    assert [(event.id, event.span) for event in script.events if not event.texts] == [
        ("pause-0001", Span(20 * SECOND, 25 * SECOND))
    ]
    assert script.notes == ("Audio description (en). Draft by machine, not reviewed.",)
    assert [text.language_source for event in script.events for text in event.texts] == ["zxx", "und"]


def body(events: str, root: str = "") -> str:
    return f"""{HEAD}{ROOT}daptm:scriptType="preRecording" {root}><body daptm:represents="visual.nonText">
{events}</body></tt>"""


def test_times_of_every_kind(tmp_path: Path) -> None:
    frames = (
        'ttp:frameRate="30" ttp:frameRateMultiplier="1000 1001" ttp:subFrameRate="2" ttp:tickRate="10000000"'
    )
    written_times = {
        "00:00:01.5": 1_500_000,
        "01:00:00": 3600 * SECOND,
        "00:00:01:15": 1_500_500,
        "00:00:00:15.1": 517_183,
        "100:00:00.000001": 360_000 * SECOND + 1,
        "90f": 3_003_000,
        "15000000t": 1_500_000,
        "1.5s": 1_500_000,
        "250ms": 250_000,
        "0.5m": 30 * SECOND,
        "0.25h": 900 * SECOND,
    }
    events = "".join(f'<div xml:id="e{n}" begin="{time}" dur="1s"/>' for n, time in enumerate(written_times))
    path = written(tmp_path, body(events, frames))
    assert ttml.validate(path) == []
    assert [event.span.start for event in ttml.read(path).events if event.span] == list(
        written_times.values()
    )


def test_times_nest(tmp_path: Path) -> None:
    events = """<div begin="10s">
      <div xml:id="a" begin="1s" end="6s"><p begin="1s"><span begin="0.5s" dur="60s">Late</span></p></div>
      <div xml:id="b" dur="3s" end="2s"><p>Short</p></div>
      <div xml:id="c"><p>Endless</p></div>
    </div>"""
    script = ttml.read(written(tmp_path, body(events)))
    assert [event.span for event in script.events] == [
        Span(11 * SECOND, 16 * SECOND),
        Span(10 * SECOND, 12 * SECOND),
        None,
    ]
    assert [(cue.text, cue.span) for cue in script.descriptions] == [
        ("Short", Span(10 * SECOND, 12 * SECOND)),
        ("Late", Span(12_500_000, 16 * SECOND)),
    ]


def test_other_ttml_is_read_by_its_paragraphs(tmp_path: Path) -> None:
    text = """<tt xmlns="http://www.w3.org/ns/ttml" xml:lang="de"><body><div begin="1s">
      <p begin="00:00:01.000" end="00:00:02.000">Eins<br/>zwei</p><p begin="3s" end="4s">Drei</p>
    </div></body></tt>"""
    assert [
        (cue.id, cue.span, cue.text, cue.language) for cue in subtitles.read(written(tmp_path, text))
    ] == [
        ("ad-0001", Span(2 * SECOND, 3 * SECOND), "Eins zwei", "de"),
        ("ad-0002", Span(4 * SECOND, 5 * SECOND), "Drei", "de"),
    ]


EVENT = '<div xml:id="a" begin="1s" end="2s"><p>Hm.</p></div>'


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (body(EVENT).replace("dapt1.0/content", "dapt2.0/content"), "ttp:contentProfiles does not hold"),
        (body(EVENT, 'ttp:profile="x"'), "ttp:profile is forbidden"),
        (body(EVENT).replace('xml:lang="en"', 'xml:lang=""'), "xml:lang is missing or empty"),
        (body(EVENT).replace("preRecording", "draft"), "daptm:scriptType is 'draft'"),
        (body(EVENT).replace('daptm:scriptType="preRecording"', ""), "daptm:scriptType is None"),
        (body(EVENT).replace("visual.nonText visual.text", ""), "daptm:scriptRepresents is missing or empty"),
        (body(EVENT).replace("visual.nonText visual.text", "vision"), "'vision' is neither registered"),
        (
            body(EVENT).replace("<p>", '<p daptm:represents="audio.dialogue">'),
            "is not in daptm:scriptRepresents",
        ),
        (body(EVENT).replace("<p>", '<p daptm:represents="visual.texture">'), "is neither registered"),
        (body(EVENT).replace("<p>", '<p daptm:represents="">'), "daptm:represents is empty"),
        (
            body(EVENT).replace('<body daptm:represents="visual.nonText">', "<body>"),
            "daptm:represents is empty",
        ),
        (body('<div xml:id="o" begin="0s"><div xml:id="i"/></div>'), "a div is nested in an event"),
        (body('<div xml:id="o"><p>A</p><div xml:id="i"/></div>'), "a div is nested in an event"),
        (body('<div begin="1s" end="2s"><p>A</p></div>'), "an event has no xml:id"),
        (body('<div xml:id="a" daptm:onScreen="MAYBE"/>'), "daptm:onScreen is 'MAYBE'"),
        (body('<div xml:id="a"><ttm:desc daptm:descType="mood">x</ttm:desc></div>'), "daptm:descType 'mood'"),
        (body('<div xml:id="a" ttm:agent="nobody"/>'), "'nobody', which is not declared"),
        (body('<div xml:id="a" timeContainer="seq"/>'), "timeContainer is 'seq', not par"),
        (body('<div xml:id="a" begin="25f" end="50f"/>'), "ttp:frameRate is missing"),
        (body('<div xml:id="a" begin="soon"/>'), "time 'soon' is neither like"),
        (body('<div xml:id="a"/>', 'ttp:frameRate="0"'), "rate '0' is not a positive"),
        (body('<div xml:id="a" daptm:langSrc="?"/>'), "daptm:langSrc '?' is no language tag"),
        (body('<div xml:id="a"><p><animate tta:gain="loud"/></p></div>'), "tta:gain 'loud'"),
        (body('<div xml:id="a"><p><audio src="a.wav"/></p></div>'), "a recording in a script that is preRec"),
        (RECORDED.replace("<span>", '<span tta:speak="fast">'), "tta:speak orders synthesis"),
        (FOREIGN.replace('agent="voice1"/>', 'agent="describer"/>'), "'describer', which is no person"),
        (FOREIGN.replace('type="alias"', 'type="full"'), "a character has no ttm:name of type alias"),
    ],
)
def test_every_rule_is_enforced(tmp_path: Path, broken: str, told: str) -> None:
    problems = ttml.validate(written(tmp_path, broken))
    assert any(told in problem for problem in problems), problems


def test_registered_and_own_names_are_allowed(tmp_path: Path) -> None:
    event = """<div xml:id="a" daptm:represents="visual.text.credit">
      <ttm:desc daptm:descType="x-avtool-confidence">0.5</ttm:desc><ttm:desc>free</ttm:desc>
      <ttm:desc daptm:descType="scene">12</ttm:desc><p daptm:represents="x-smell">Soup.</p></div>"""
    text = body(event).replace("visual.nonText visual.text", "visual x-smell")
    assert ttml.validate(written(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("names", "represents", "told"),
    [
        (["a"], "visual.text", "'visual.nonText' is not in daptm:scriptRepresents"),
        (["a", "a"], "visual", "xml:id 'a' is used twice"),
        (["1 a"], "visual", "xml:id '1 a' is no XML name"),
    ],
)
def test_a_script_that_breaks_a_rule_is_not_written(
    tmp_path: Path, names: list[str], represents: str, told: str
) -> None:
    events = tuple(Event(name, Span(0, SECOND), "visual.nonText") for name in names)
    with pytest.raises(UsageError, match=f"would not be DAPT: .*{told}"):
        ttml.write(DaptScript("en", (represents,), events), tmp_path / "film.ttml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<tt", "line 1: not well-formed XML"),
        ("<html/>", "expected a TTML script, found the root html"),
        (
            '<!DOCTYPE tt [<!ENTITY a "b">]><tt xmlns="http://www.w3.org/ns/ttml">&a;</tt>',
            "entities are declared",
        ),
        ('<!DOCTYPE tt [<!ENTITY a SYSTEM "file:///etc/passwd">]><tt>&a;</tt>', "entities are declared"),
        (body('\n\n<div xml:id="a" begin="1f"/>'), "line 8: time '1f' counts frames"),
        (body('<div xml:id="a" begin="3s" end="2s"/>'), "the element ends before it begins"),
        (
            body(EVENT.replace("<p>", '<ttm:desc daptm:descType="x-avtool-evidence">{</ttm:desc><p>')),
            "event a:",
        ),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        subtitles.read(written(tmp_path, text))


def test_entities_do_not_grow(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
    with pytest.raises(UsageError, match="entities are declared|Maximum entity amplification"):
        subtitles.read(written(tmp_path, f'<!DOCTYPE tt [<!ENTITY a0 "ha">{laughs}]><tt>&a9;</tt>'))


cues = st.lists(
    st.tuples(st.integers(0, 4_000), st.integers(1, 9_000), st.text(max_size=40), st.floats(0, 1)), max_size=5
)


@given(cues)
def test_any_text_time_and_fact_comes_back(tmp_path_factory: pytest.TempPathFactory, drawn: list) -> None:
    said, at = [], 0
    for number, (pause, length, text, confidence) in enumerate(drawn):
        span = Span((at + pause) * 1000, (at + pause + length) * 1000)
        at += pause + length
        facts = (Fact("text", text.encode("utf-8", "replace").decode(), confidence, (at,)),)
        said.append(
            Description(f"ad-{number:04}", span, text, "visual.text.title", confidence, facts, span, number)
        )
    path = tmp_path_factory.getbasetemp() / "any.ttml"
    script = dapt.compose(ours(*said))
    ttml.write(script, path)
    assert ttml.validate(path) == []
    assert ttml.read(path) == script
    assert ttml.read(path).descriptions == [replace(cue, text=one_line(cue.text)) for cue in said]
