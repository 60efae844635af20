"""Who may be called what, and from when on: names, labels, later mentions (spec 3.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from avtool.settings import Settings
from avtool.timeline import SECOND, Description, Film, Sighting

if TYPE_CHECKING:
    from avtool.cast import Cast, CastMember

CLOSE = 10 * SECOND  # a pronoun reaches back no further


def member(cast: Cast | None, name: str) -> CastMember | None:
    """The cast member of that name."""
    return next((one for one in cast.cast if one.name == name), None) if cast else None


def spoken_names(one: CastMember) -> list[str]:
    """All that a character is called, longest first: the name, its first word, the aliases."""
    return sorted({one.name, one.name.split()[0], *one.aliases}, key=lambda name: (-len(name), name))


def mentions(one: CastMember, text: str) -> bool:
    """Whether `text` holds one of the character's names."""
    names = "|".join(re.escape(name) for name in spoken_names(one))
    return re.search(rf"\b(?:{names})\b", text) is not None


def known_at(one: CastMember, film: Film) -> int | None:
    """When the film has told the character's name (spec 3.3.1), or None if it never does.

    The earliest of the cast file's own time, the name spoken, and a caption that holds it. Credits do not count.
    """
    times = [] if one.known_from is None else [one.known_from]
    times += [speech.span.start for speech in film.speech if mentions(one, speech.text)]
    times += [
        text.span.start
        for text in film.texts
        if text.role == "caption" and one.name.lower() in text.text.lower()
    ]
    return min(times, default=None)


def known(cast: Cast | None, film: Film, settings: Settings) -> dict[str, int | None]:
    """From when on a sighting of each character may be named under `settings.name_policy`; None: never.

    A description may begin `early` before its event, and must not know the name before the listener does.
    """
    times: dict[str, int | None] = {}
    for one in cast.cast if cast else ():
        match settings.name_policy:
            case "always":
                at = one.known_from
                times[one.name] = film.span.start if at is None else at + round(settings.early * SECOND)
            case "introduced":
                at = known_at(one, film)
                times[one.name] = None if at is None else at + round(settings.early * SECOND)
            case "never":
                times[one.name] = None
    return times


def called(
    sighting: Sighting, known: Mapping[str, int | None], cast: Cast | None, settings: Settings
) -> str | None:
    """The name or label that `sighting` supports, or None: "someone" (spec 3.3.2, 3.3.4).

    A label is the cast file's and tells of the same person as the name, so it needs the same confidence.
    """
    if sighting.name is None or sighting.confidence < settings.name_confidence:
        return None
    if sighting.second and sighting.confidence - sighting.second_confidence < settings.name_margin:
        return None
    one = member(cast, sighting.name)
    if one is None:
        return None
    since = known.get(one.name)
    return one.name if since is not None and since <= sighting.span.start else one.label


def address(descriptions: Sequence[Description], cast: Cast | None) -> list[Description]:
    """Full name at the first mention, later as the cast file says: the first alias, or the pronoun.

    A pronoun stands only for the subject of a cue which continues the cue just before, where both tell of that one
    person alone. Texts only get shorter: what fitted its pause still does. On-screen text is left as it reads.
    """
    if cast is None:
        return list(descriptions)
    met: set[str] = set()
    addressed: list[Description] = []
    for cue in descriptions:
        text = cue.text
        here = [one for one in cast.cast if re.search(rf"\b{re.escape(one.name)}\b", text)]
        if cue.represents == "visual.nonText":
            for one in here:
                text = _later(text, one, first=one.name not in met)
            if len(here) == 1 and addressed and _continues(addressed[-1], cue, here[0], cast):
                text = _with_pronoun(text, here[0])
            met.update(one.name for one in here)
        addressed.append(replace(cue, text=text))
    return addressed


def _later(text: str, one: CastMember, first: bool) -> str:
    """`text` with the first alias for the character's name, but for its `first` mention."""
    if not one.aliases or len(one.aliases[0]) >= len(one.name):
        return text
    head, name, tail = text.partition(one.name)
    return head + (name if first else one.aliases[0]) + tail.replace(one.name, one.aliases[0])


def _continues(before: Description, cue: Description, one: CastMember, cast: Cast) -> bool:
    people = [fact.claim for fact in before.facts if fact.kind in ("who", "count")]
    return (
        cue.span.start - before.span.end < CLOSE
        and people == [one.name]
        and [fact.claim for fact in cue.facts if fact.kind in ("who", "count")] == people
        and sum(mentions(other, before.text) for other in cast.cast) <= 1
    )


def _with_pronoun(text: str, one: CastMember) -> str:
    if one.pronoun not in ("he", "she"):
        return text
    for name in spoken_names(one):
        if text.startswith(f"{name} "):
            return one.pronoun.capitalize() + text[len(name) :]
    return text
