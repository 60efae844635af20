"""The rules of a DAPT script, those included that its published schema does not catch."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] (no stubs)

from avtool.tracks.ttml_time import PARAMETER, Rates

TT = "{http://www.w3.org/ns/ttml}"
METADATA = "{http://www.w3.org/ns/ttml#metadata}"
AUDIO = "{http://www.w3.org/ns/ttml#audio}"
DAPT = "{http://www.w3.org/ns/ttml/profile/dapt#metadata}"
XML = "{http://www.w3.org/XML/1998/namespace}"
PROFILE = "http://www.w3.org/ns/ttml/profile/dapt1.0/content"

SCRIPT_TYPES = ("originalTranscript", "translatedTranscript", "preRecording", "asRecorded")
ON_SCREEN = ("ON", "OFF", "ON_OFF", "OFF_ON")
DESC_TYPES = ("scene", "plotSignificance", "pronunciationNote")  # the W3C registry
DESCRIPTORS = (  # the W3C registry
    "audio",
    "audio.dialogue",
    "audio.nonDialogueSounds",
    "visual",
    "visual.dialogue",
    "visual.nonText",
    "visual.text",
    "visual.text.title",
    "visual.text.credit",
    "visual.text.location",
)
LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
NAME = re.compile(r"[^\W\d][\w.\-]*")
GAIN = re.compile(r"\d+(\.\d+)?(;\d+(\.\d+)?)*")


def broken(tree: etree._ElementTree) -> list[str]:
    """What breaks a rule of DAPT in `tree`, each told with its line; empty for a script that conforms."""
    root = tree.getroot()
    found = [
        *_document(tree),
        *_head(root),
        *(problem for element in root.iter(etree.Element) for problem in _element(element)),
    ]
    try:
        rates = Rates.of(root)
    except ValueError as error:
        return [*found, f"line {root.sourceline}: {error}"]
    return found + [problem for element in root.iter(etree.Element) for problem in _times(element, rates)]


def _at(element: etree._Element, problem: str) -> str:
    return f"line {element.sourceline}: {problem}" if element.sourceline else problem


def _document(tree: etree._ElementTree) -> Iterator[str]:
    root = tree.getroot()
    info = tree.docinfo
    if (info.encoding or "UTF-8").upper() not in ("UTF-8", "ASCII", "US-ASCII"):
        yield f"encoding is {info.encoding}, not UTF-8"
    if PROFILE not in (root.get(PARAMETER + "contentProfiles") or "").split():
        yield _at(root, f"ttp:contentProfiles does not hold {PROFILE}")
    if root.get(PARAMETER + "profile") is not None:
        yield _at(root, "ttp:profile is forbidden")
    if not root.get(XML + "lang"):
        yield _at(root, "xml:lang is missing or empty on tt")
    if root.get(DAPT + "scriptType") not in SCRIPT_TYPES:
        yield _at(root, f"daptm:scriptType is {root.get(DAPT + 'scriptType')!r}, not one of {SCRIPT_TYPES}")
    if not (root.get(DAPT + "scriptRepresents") or "").split():
        yield _at(root, "daptm:scriptRepresents is missing or empty")
    for descriptor in (root.get(DAPT + "scriptRepresents") or "").split():
        if not _known(descriptor):
            yield _at(
                root, f"daptm:scriptRepresents: {descriptor!r} is neither registered nor begins with x-"
            )


def _known(descriptor: str) -> bool:
    return descriptor in DESCRIPTORS or descriptor.startswith("x-")


def _head(root: etree._Element) -> Iterator[str]:
    """Agents, the references to them, and identifiers."""
    agents = {agent.get(XML + "id"): agent for agent in root.iter(METADATA + "agent")}
    for agent in agents.values():
        kind = agent.get("type")
        name = agent.find(METADATA + "name")
        if not agent.get(XML + "id"):
            yield _at(agent, "ttm:agent has no xml:id")
        if kind == "character" and (name is None or name.get("type") != "alias"):
            yield _at(agent, "a character has no ttm:name of type alias")
        if kind == "person" and (name is None or name.get("type") != "full"):
            yield _at(agent, "a person has no ttm:name of type full")
    for actor in root.iter(METADATA + "actor"):
        person = agents.get(actor.get("agent"))
        if person is None or person.get("type") != "person":
            yield _at(actor, f"ttm:actor refers to {actor.get('agent')!r}, which is no person")
    for element in root.iter(etree.Element):
        for name in (element.get(METADATA + "agent") or "").split():
            if name not in agents:
                yield _at(element, f"ttm:agent refers to {name!r}, which is not declared")
    seen: set[str] = set()
    for element in root.iter(etree.Element):
        name = element.get(XML + "id")
        if name is not None and name in seen:
            yield _at(element, f"xml:id {name!r} is used twice")
        seen.add(name or "")


def _element(element: etree._Element) -> Iterator[str]:
    """The rules of one element's place and attributes."""
    name = element.tag
    if element.get("timeContainer", "par") != "par":
        yield _at(element, f"timeContainer is {element.get('timeContainer')!r}, not par")
    language = element.get(XML + "lang")
    if language and not LANGUAGE.fullmatch(language):
        yield _at(element, f"xml:lang {language!r} is no language tag")
    source = element.get(DAPT + "langSrc")
    if source and not LANGUAGE.fullmatch(source):
        yield _at(element, f"daptm:langSrc {source!r} is no language tag")
    if element.get(DAPT + "onScreen", "ON") not in ON_SCREEN:
        yield _at(element, f"daptm:onScreen is {element.get(DAPT + 'onScreen')!r}, not one of {ON_SCREEN}")
    gain = element.get(AUDIO + "gain")
    if gain is not None and not GAIN.fullmatch(gain):
        yield _at(element, f"tta:gain {gain!r} is not a list of factors like 1;0.32")
    if name == METADATA + "desc":
        kind = element.get(DAPT + "descType")
        if kind is not None and kind not in DESC_TYPES and not kind.startswith("x-"):
            yield _at(element, f"daptm:descType {kind!r} is neither registered nor begins with x-")
    identifier = element.get(XML + "id")
    if identifier is not None and not NAME.fullmatch(identifier):
        yield _at(element, f"xml:id {identifier!r} is no XML name")
    if name == TT + "div":
        inner, text = element.find(TT + "div"), element.find(TT + "p")
        if inner is not None and (text is not None or element.get("begin") or element.get("end")):
            yield _at(inner, "a div is nested in an event")
        if inner is None and not element.get(XML + "id"):
            yield _at(element, "an event has no xml:id")
    kind = element.getroottree().getroot().get(DAPT + "scriptType")
    if kind == "asRecorded" and element.get(AUDIO + "speak", "none") != "none":
        yield _at(element, "tta:speak orders synthesis in a script that is asRecorded")
    if kind == "preRecording" and name == TT + "audio":
        yield _at(element, "a recording in a script that is preRecording")
    if element.get(DAPT + "represents") is not None or name in (TT + "p", TT + "span"):
        yield from _represents(element)


def _represents(element: etree._Element) -> Iterator[str]:
    carriers = (element, *element.iterancestors())
    value = next(
        (one.get(DAPT + "represents") for one in carriers if one.get(DAPT + "represents") is not None), ""
    )
    allowed = (element.getroottree().getroot().get(DAPT + "scriptRepresents") or "").split()
    if not value:
        yield _at(element, "daptm:represents is empty")
    elif not _known(value):
        yield _at(element, f"daptm:represents {value!r} is neither registered nor begins with x-")
    elif not any(value == one or value.startswith(one + ".") for one in allowed):
        yield _at(
            element, f"daptm:represents {value!r} is not in daptm:scriptRepresents {' '.join(allowed)!r}"
        )


def _times(element: etree._Element, rates: Rates) -> Iterator[str]:
    for name in ("begin", "end", "dur", "clipBegin", "clipEnd"):
        if (value := element.get(name)) is not None:
            try:
                rates.time(value)
            except ValueError as error:
                yield _at(element, str(error))
