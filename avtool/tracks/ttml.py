"""TTML in the W3C DAPT profile, the exchange format for AD scripts, as XML: read and written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] (no stubs)

from avtool.errors import UsageError
from avtool.timeline import Span
from avtool.tracks import files
from avtool.tracks.dapt import Agent, DaptScript, Event, Gain, Recording, Text
from avtool.tracks.times import rounded
from avtool.tracks.ttml_rules import AUDIO, DAPT, METADATA, PROFILE, TT, XML, broken
from avtool.tracks.ttml_time import PARAMETER, Interval, Rates, expression

NAMES = {
    None: TT[1:-1],
    "ttp": PARAMETER[1:-1],
    "ttm": METADATA[1:-1],
    "tta": AUDIO[1:-1],
    "daptm": DAPT[1:-1],
}


def write(script: DaptScript, path: Path) -> None:
    """Write a DAPT document, times in milliseconds rounded half up.

    Raises UsageError where `script` breaks a rule of DAPT or `path` cannot be written, ResourceError where the
    disk is full.
    """
    tree = _tree(script)
    problems = broken(tree)
    if problems:
        raise UsageError(f"{path} would not be DAPT: {problems[0]}")
    files.save(path, etree.tostring(tree, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def _tree(script: DaptScript) -> etree._ElementTree:
    root = etree.Element(TT + "tt", nsmap=NAMES)
    root.set(PARAMETER + "contentProfiles", PROFILE)
    root.set(XML + "lang", script.language)
    root.set(DAPT + "scriptRepresents", " ".join(script.represents))
    root.set(DAPT + "scriptType", script.type)
    if script.language_source:
        root.set(DAPT + "langSrc", script.language_source)
    metadata = etree.SubElement(etree.SubElement(root, TT + "head"), TT + "metadata")
    for note in script.notes:
        etree.SubElement(metadata, METADATA + "desc").text = files.one_line(note)
    for agent in script.agents:
        element = etree.SubElement(metadata, METADATA + "agent", {"type": agent.type, XML + "id": agent.id})
        kind = "full" if agent.type == "person" else "alias"
        etree.SubElement(element, METADATA + "name", type=kind).text = files.one_line(agent.name)
        if agent.actor:
            etree.SubElement(element, METADATA + "actor", agent=agent.actor)
    if script.origin:
        etree.SubElement(metadata, DAPT + "daptOriginTimecode").text = script.origin
    body = etree.SubElement(root, TT + "body")
    for event in script.events:
        _add_event(body, event, script)
    return etree.ElementTree(root)


def _add_event(body: etree._Element, event: Event, script: DaptScript) -> None:
    div = etree.SubElement(body, TT + "div", {XML + "id": event.id})
    _set_times(div, event.span, 0)
    if event.agents:
        div.set(METADATA + "agent", " ".join(event.agents))
    if event.represents:
        div.set(DAPT + "represents", event.represents)
    if event.on_screen != "ON":
        div.set(DAPT + "onScreen", event.on_screen)
    for kind, words in event.notes:
        note = etree.SubElement(div, METADATA + "desc", {DAPT + "descType": kind} if kind else {})
        note.text = files.one_line(words)
    for text in event.texts:
        _add_text(div, text, event, script)


def _add_text(div: etree._Element, text: Text, event: Event, script: DaptScript) -> None:
    begin = event.span.start if event.span else 0
    p = etree.SubElement(div, TT + "p")
    if text.language != script.language:
        p.set(XML + "lang", text.language)
    if text.language_source != script.language_source:
        p.set(DAPT + "langSrc", text.language_source)
    if text.represents != event.represents:
        p.set(DAPT + "represents", text.represents)
    for gain in text.mixing:
        animate = etree.SubElement(p, TT + "animate", {AUDIO + "gain": ";".join(map(str, gain.factors))})
        _set_times(animate, gain.span, begin)
        if gain.freeze:
            animate.set("fill", "freeze")
    span = etree.SubElement(p, TT + "span")
    _set_times(span, text.span, begin)
    for name, value in (("speak", text.speak), ("pitch", text.pitch)):
        if value:
            span.set(AUDIO + name, value)
    words = files.one_line(text.text)
    for recording in text.recordings:
        audio = etree.SubElement(span, TT + "audio", src=recording.source, type=recording.type)
        if recording.clip:
            audio.set("clipBegin", expression(recording.clip.start))
            audio.set("clipEnd", expression(recording.clip.end))
    if text.recordings:
        span[-1].tail = words
    else:
        span.text = words


def _set_times(element: etree._Element, span: Span | None, parent: int) -> None:
    """`span` as begin and end, relative to `parent`; each time is rounded before it is subtracted."""
    if span:
        zero = rounded(parent, 1_000)
        element.set("begin", expression(1_000 * (rounded(span.start, 1_000) - zero)))
        element.set("end", expression(1_000 * (rounded(span.end, 1_000) - zero)))


def read(path: Path) -> DaptScript:
    """The DAPT document `path`; of any other TTML, its paragraphs as events.

    A faulty script is read as far as it can be understood (`validate` tells its faults). Raises UsageError,
    naming the line, where it is no XML, declares entities, is no TTML, or has times that do not parse.
    """
    root = parse(path).getroot()
    dapt = PROFILE in (root.get(PARAMETER + "contentProfiles") or "").split()
    events: list[Event] = []
    try:
        rates = Rates.of(root)
        for element, interval in _active(root.find(TT + "body"), Interval(), rates, "div" if dapt else "p"):
            name = element.get(XML + "id") or f"ad-{len(events) + 1:04}"
            paragraphs = element.findall(TT + "p") if dapt else [element]
            events.append(_event(name, element, paragraphs, interval, rates))
    except ValueError as error:
        raise UsageError(f"{path}, {error}") from None
    metadata = root.find(f"{TT}head/{TT}metadata")
    notes = [] if metadata is None else metadata.findall(METADATA + "desc")
    return DaptScript(
        language=root.get(XML + "lang") or "und",
        represents=tuple((root.get(DAPT + "scriptRepresents") or "visual").split()),
        events=tuple(events),
        language_source=root.get(DAPT + "langSrc") or "",
        type=root.get(DAPT + "scriptType") or "preRecording",
        agents=tuple(_agents(root)),
        notes=tuple(_words(note) for note in notes),
        origin=next((_words(one) for one in root.iter(DAPT + "daptOriginTimecode")), None),
    )


def parse(path: Path) -> etree._ElementTree:
    """The XML of a TTML file; nothing outside it is read, and no entity is expanded.

    Raises UsageError where it is missing, does not parse, declares entities, or is no TTML.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        tree = etree.ElementTree(etree.fromstring(files.load_bytes(path), parser))
    except etree.XMLSyntaxError as error:
        raise UsageError(f"{path}, line {error.lineno}: not well-formed XML: {error.msg}") from None
    declared = tree.docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise UsageError(f"{path}: entities are declared, which a TTML script must not; remove <!ENTITY")
    if tree.getroot().tag != TT + "tt":
        raise UsageError(f"{path}, line 1: expected a TTML script, found the root {tree.getroot().tag}")
    return tree


def validate(path: Path) -> list[str]:
    """What breaks a rule of DAPT in the file `path`, each told with its line; empty where it conforms.

    Raises UsageError as `parse` does.
    """
    return broken(parse(path))


def _active(
    element: etree._Element | None, parent: Interval, rates: Rates, wanted: str
) -> Iterator[tuple[etree._Element, Interval]]:
    """The innermost elements of body that are called `wanted`, and when they are active."""
    if element is None:
        return
    interval = rates.interval(element, parent)
    inner = [one for one in element if one.tag in (TT + "div", TT + wanted)]
    if element.tag == TT + wanted and not inner:
        yield element, interval
    for one in inner:
        yield from _active(one, interval, rates, wanted)


def _event(
    name: str, element: etree._Element, paragraphs: Sequence[etree._Element], interval: Interval, rates: Rates
) -> Event:
    texts = tuple(_text(p, interval, rates, inside=p is not element) for p in paragraphs)
    represents = _inherited(element, DAPT + "represents") or (texts[0].represents if texts else "")
    return Event(
        id=name,
        span=_span(interval),
        represents=represents,
        texts=texts,
        notes=tuple(
            (note.get(DAPT + "descType"), _words(note)) for note in element.findall(METADATA + "desc")
        ),
        agents=tuple((element.get(METADATA + "agent") or "").split()),
        on_screen=element.get(DAPT + "onScreen") or "ON",
    )


def _text(p: etree._Element, event: Interval, rates: Rates, inside: bool) -> Text:
    """What paragraph `p` says; `event` is its own interval unless it lies `inside` an event."""
    interval = rates.interval(p, event) if inside else event
    spans = p.findall(TT + "span")
    voice = spans[0] if spans else p
    said = interval
    if timed := [rates.interval(span, interval) for span in spans if _is_timed(span)]:
        ends = [one.end for one in timed if one.end is not None]
        said = Interval(
            min(one.begin for one in timed), max(ends) if len(ends) == len(timed) else interval.end
        )
    mixing = (
        Gain(span, tuple(map(float, gain.split(";"))), animate.get("fill") == "freeze")
        for animate in p.iter(TT + "animate")
        if (gain := animate.get(AUDIO + "gain")) and (span := _span(rates.interval(animate, interval)))
    )
    recordings = (
        Recording(audio.get("src"), audio.get("type") or "", _clip(audio, rates))
        for audio in p.iter(TT + "audio")
        if audio.get("src")
    )
    return Text(
        text=_words(p),
        language=_inherited(p, XML + "lang"),
        language_source=_inherited(p, DAPT + "langSrc"),
        represents=_inherited(voice, DAPT + "represents"),
        span=_span(said) if said != event else None,
        speak=_inherited(voice, AUDIO + "speak") or None,
        pitch=_inherited(voice, AUDIO + "pitch") or None,
        mixing=tuple(mixing),
        recordings=tuple(recordings),
    )


def _is_timed(element: etree._Element) -> bool:
    return any(element.get(name) is not None for name in ("begin", "end", "dur"))


def _span(interval: Interval) -> Span | None:
    return None if interval.end is None else Span(interval.begin, interval.end)


def _clip(audio: etree._Element, rates: Rates) -> Span | None:
    if audio.get("clipBegin") is None and audio.get("clipEnd") is None:
        return None
    begin, end = rates.time(audio.get("clipBegin") or "0s"), rates.time(audio.get("clipEnd") or "0s")
    return Span(begin, max(begin, end))


def _inherited(element: etree._Element, attribute: str) -> str:
    """The nearest value of `attribute` from `element` outwards; empty where nobody has it."""
    values = (one.get(attribute) for one in (element, *element.iterancestors()))
    return next((value for value in values if value is not None), "")


def _words(element: etree._Element) -> str:
    """The text inside `element` on one line; a line break is a space, metadata is no text."""
    parts = [element.text or ""]
    for child in element:
        if child.tag == TT + "br":
            parts.append(" ")
        elif child.tag in (TT + "span", TT + "p"):
            parts.append(_words(child))
        parts.append(child.tail or "")
    return files.one_line("".join(parts))


def _agents(root: etree._Element) -> Iterator[Agent]:
    for agent in root.iter(METADATA + "agent"):
        name, actor = agent.find(METADATA + "name"), agent.find(METADATA + "actor")
        yield Agent(
            agent.get(XML + "id") or "",
            agent.get("type") or "person",
            "" if name is None else _words(name),
            None if actor is None else actor.get("agent"),
        )
