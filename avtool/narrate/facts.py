"""The embedded narrator: short present-tense sentences about what was perceived, and nothing else.

A film becomes groups of candidates, one group a moment: what people do, who is there, where, what is to be
seen, what can be read. A group tells its moment at several lengths. Every sentence carries the facts it rests
on; what is weak or was just told is left out, for silence is better than filler.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from avtool.errors import UsageError
from avtool.narrate import deeds, phrases
from avtool.narrate.lexicon import english
from avtool.narrate.presence import Person, at_once, people_in
from avtool.settings import Settings
from avtool.timeline import SECOND, Candidate, Fact, Film, Represents, Shot, Span

if TYPE_CHECKING:
    from avtool.cast import Cast

# What a fact is worth at full confidence (spec 3.4: the story, who, where, what can be read, the rest).
WHO, PLACE, COUNT = 0.8, 0.6, 0.2
READ = {"title": 0.9, "caption": 0.8, "sign": 0.6, "credit": 0.3}
THING, FILLING = 0.2, 0.4  # things that are not among the salient ones: beside others, filling the picture
LEAST = 0.15  # a sentence worth less is filler

# Precision before recall: weaker perceptions are not told.
PLACE_CONFIDENCE = THING_CONFIDENCE = 0.6
TEXT_CONFIDENCE = 0.8
LARGE = 0.01  # of the picture: smaller things are not told

MEMORY = 30 * SECOND  # what was told is not told again within it (shot and reverse shot)
LEGIBLE = 700_000  # microseconds that on-screen text must stay to be read out (spec 3.5)
HEARD = 4 * SECOND  # text spoken this near need not be read out (spec 3.5)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One way to tell a moment."""

    text: str
    event: Span
    facts: tuple[Fact, ...]
    worth: float


@dataclass(frozen=True, slots=True)
class Moment:
    """What could be told of one moment of a shot: the same at several lengths, longest first."""

    shot: int
    sentences: tuple[Sentence, ...]
    represents: Represents = "visual.nonText"

    @property
    def event(self) -> Span:
        return self.sentences[0].event


def candidates(film: Film, cast: Cast | None, settings: Settings) -> list[Candidate]:
    """All sentences that could be spoken about `film`, by time: one group a moment, longest first.

    People are called as `settings.name_policy`, `name_confidence` and `name_margin` allow; full names
    throughout (`naming.address` shortens later mentions once it is known what is spoken). Raises UsageError for
    a language other than English.
    """
    if settings.language.split("-")[0].lower() != "en":
        raise UsageError(f"language {settings.language!r}: this narrator writes English only; set it to en")
    told = Told(film, settings)
    found: list[Moment] = []
    for shot in film.shots:
        people = people_in(shot, film, cast, settings)
        for moment in chain(
            _actions(shot, people, film, told),
            _company(shot, people, film, told),
            _things(shot, film, told),
        ):
            told.remember(moment)
            found.append(moment)
    found += _texts(film)
    found.sort(key=lambda moment: moment.event)
    return [
        Candidate(said.text, said.event, moment.shot, said.worth, group, said.facts, moment.represents)
        for group, moment in enumerate(found)
        for said in moment.sentences
    ]


class Told:
    """Claims and when they could last be told: in a moment within reach of a pause."""

    def __init__(self, film: Film, settings: Settings) -> None:
        self._pauses = [
            gap.usable.grow(round(settings.late * SECOND), round(settings.early * SECOND))
            for gap in film.gaps
        ]
        self._at: dict[str, int] = {}

    def lately(self, claim: str, time: int) -> bool:
        """Whether `claim` was told less than `MEMORY` before `time`."""
        return claim in self._at and time - self._at[claim] < MEMORY

    def remember(self, moment: Moment) -> None:
        if any(moment.event.overlap(pause) for pause in self._pauses):
            for sentence in moment.sentences:
                for fact in sentence.facts:
                    self._at[fact.claim] = moment.event.end


def _actions(shot: Shot, people: list[Person], film: Film, told: Told) -> Iterator[Moment]:
    """What people do, moment by moment; the first may open with a new place."""
    where = _place(shot, film, told)
    for group in deeds.together(deeds.deeds(shot, people, film)):
        fresh = [deed for deed in group if not told.lately(deed.fact.claim, deed.span.start)]
        if not fresh:
            continue
        first, *more = deeds.clauses(fresh)
        tellings = [[first.shorter(2)], [first.shorter(1)]]
        if more:
            tellings.insert(0, [first.shorter(2), more[0].shorter(1)])
        sentences = [_do(clauses, None, told) for clauses in tellings]
        if where and _opens(where):
            sentences.append(_do(tellings[0], where, told))
            where = None
        yield from _worth_telling(shot, sentences)


def _do(clauses: list[deeds.Clause], where: Fact | None, told: Told) -> Sentence:
    """Clauses as one sentence: "On a stage, Marcus Hale walks and points, and someone looks down."."""
    facts = tuple(dict.fromkeys(fact for clause in clauses for fact in clause.facts()))
    worth = sum(clause.worth for clause in clauses)
    worth += sum(_who_worth(fact, told) for fact in facts if fact.kind == "who")
    event = _hull([deed.span for clause in clauses for deed in clause.deeds])
    return _sentence(deeds.sentence(clauses), event, facts, worth, where)


def _company(shot: Shot, people: list[Person], film: Film, told: Told) -> Iterator[Moment]:
    """Who is there, where that changed and no action tells it; and where that is, in a new place."""
    acting = {deed.who for deed in deeds.deeds(shot, people, film)}
    named = [person for person in people if person.called and person not in acting]
    named = [person for person in named if not told.lately(person.called or "", person.span.start)]
    strangers = [person for person in people if not person.called]
    extra = at_once(track.span for person in strangers for track in person.tracks)
    where = _place(shot, film, told)
    opening = where if where and _opens(where) else None
    sentences: list[Sentence] = []
    if named:
        who = tuple(person.fact() for person in named)
        names = [person.called or "" for person in named]
        event = _hull([person.span for person in named])
        worth = sum(_who_worth(fact, told) for fact in who)
        sentences.append(_sentence(phrases.join(names), event, who, worth))
        if extra:
            count = _count(strangers, phrases.others(extra), extra)
            text = phrases.join([*names, count.claim])
            sentences.append(_sentence(text, event, (*who, count), worth + COUNT * count.confidence))
        if opening:
            sentences.append(_sentence(phrases.join(names), event, who, worth, opening))
    elif extra > 1 and not acting:
        count = _count(strangers, phrases.people(extra), extra)
        if not told.lately(count.claim, shot.span.start):
            event = _hull([person.span for person in strangers])
            worth = COUNT * count.confidence * (2 if extra >= phrases.CROWD else 1)
            sentences.append(_sentence(count.claim, event, (count,), worth))
            if opening:
                sentences.append(_sentence(count.claim, event, (count,), worth, opening))
    if where and not (opening and sentences):
        worth = PLACE * where.confidence
        yield from _worth_telling(shot, [_sentence(where.claim, shot.span, (where,), worth)])
    yield from _worth_telling(shot, sentences)


def _things(shot: Shot, film: Film, told: Told) -> Iterator[Moment]:
    """What is to be seen beside people: the most telling thing, and what is nearly as telling."""
    seen: list[tuple[float, Span, Fact]] = []
    for label, count, span, confidence, worth in _objects(shot, film):
        claim = phrases.things(label, count)
        if confidence >= THING_CONFIDENCE and not told.lately(claim, span.start):
            fact = Fact("thing", claim, confidence, (span.start, span.middle))
            seen.append((worth * confidence, span, fact))
    if not seen:
        return
    seen.sort(key=lambda item: -item[0])
    seen = [item for item in seen if item[0] > seen[0][0] / 2][:3]
    sentences = []
    for some in (seen, seen[:1]):
        facts = tuple(fact for *_, fact in some)
        event = _hull([span for _, span, _ in some])
        worth = sum(worth for worth, *_ in some)
        sentences.append(_sentence(phrases.join([fact.claim for fact in facts]), event, facts, worth))
    yield from _worth_telling(shot, sentences)


def _objects(shot: Shot, film: Film) -> Iterator[tuple[str, int, Span, float, float]]:
    """The things of a shot, detected or filling the picture: label, count, span, confidence and worth."""
    places, salient = english()["places"], english()["salient"]
    detected: set[str] = set()
    for thing in film.things:
        large = max(((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in thing.boxes), default=1.0) >= LARGE
        if thing.shot == shot.index and thing.label != "person" and large:
            detected.add(thing.label)
            yield thing.label, thing.count, thing.span, thing.confidence, salient.get(thing.label, THING)
    for tag in film.tags:
        if tag.shot == shot.index and tag.label not in places and tag.label not in detected:
            yield tag.label, 1, tag.span, tag.confidence, salient.get(tag.label, FILLING)


def _place(shot: Shot, film: Film, told: Told) -> Fact | None:
    """Where `shot` is, if that is sure and was not told lately."""
    places = english()["places"]
    seen = [
        tag
        for tag in film.tags
        if tag.shot == shot.index and tag.label in places and tag.confidence >= PLACE_CONFIDENCE
    ]
    if not seen:
        return None
    best = max(seen, key=lambda tag: tag.confidence)
    claim = places[best.label]
    if told.lately(claim, shot.span.start):
        return None
    return Fact("place", claim, best.confidence, (best.span.middle,))


def _opens(where: Fact) -> bool:
    """Whether one is in the place ("in a library"), so that a sentence may open with it."""
    return where.claim.split()[0] in ("in", "on", "at", "by")


def _texts(film: Film) -> Iterator[Moment]:
    """What can be read and is not heard, each text once (spec 3.5)."""
    read: set[str] = set()
    for text in sorted(film.texts, key=lambda text: text.span):
        words = text.text.lower().split()
        if (
            text.role not in READ
            or text.confidence < TEXT_CONFIDENCE
            or text.span.duration < LEGIBLE
            or not words
        ):
            continue
        if " ".join(words) in read or _heard(words, text.span, film):
            continue
        read.add(" ".join(words))
        kind = {"title": "Title", "caption": "A caption", "sign": "A sign", "credit": "Credits"}[text.role]
        fact = Fact("text", text.text, text.confidence, (text.span.start, text.span.middle))
        said = phrases.sentence(f"{kind}: {phrases.read_out(text.text)}")
        represents = _REPRESENTS.get(text.role, "visual.text")
        sentence = Sentence(said, text.span, (fact,), READ[text.role] * text.confidence)
        yield Moment(text.shot, (sentence,), represents)


_REPRESENTS: dict[str, Represents] = {"title": "visual.text.title", "credit": "visual.text.credit"}


def _heard(words: list[str], span: Span, film: Film) -> bool:
    """Whether most of the words are spoken near `span`."""
    near = span.grow(HEARD, HEARD)
    spoken = {
        word.strip(".,;:!?\"'").lower()
        for s in film.speech
        if s.span.overlap(near)
        for word in s.text.split()
    }
    return sum(word.strip(".,;:!?\"'") in spoken for word in words) >= 0.6 * len(words)


def _who_worth(fact: Fact, told: Told) -> float:
    """A name is news when it was not told lately; a stranger never is."""
    known = fact.claim != "someone" and not told.lately(fact.claim, fact.times[0])
    return WHO * fact.confidence if known else 0.0


def _count(people: list[Person], claim: str, count: int) -> Fact:
    surest = sorted(people, key=lambda person: -person.confidence)[:count]
    times = tuple(sorted({time for person in surest for time in person.fact().times}))
    tracks = tuple(track.id for person in surest for track in person.tracks)
    return Fact("count", claim, min(person.confidence for person in surest), times, tracks)


def _sentence(
    text: str, event: Span, facts: tuple[Fact, ...], worth: float, where: Fact | None = None
) -> Sentence:
    if where:
        text, facts, worth = f"{where.claim}, {text}", (where, *facts), worth + PLACE * where.confidence
    return Sentence(phrases.sentence(text), event, facts, worth)


def _hull(spans: list[Span]) -> Span:
    return Span(min(span.start for span in spans), max(span.end for span in spans))


def _worth_telling(shot: Shot, sentences: list[Sentence]) -> Iterator[Moment]:
    """The moment with its sentences from long to short, without doubles and filler; none if nothing is left."""
    kept = {said.text: said for said in sentences if said.worth >= LEAST}
    if kept:
        yield Moment(shot.index, tuple(sorted(kept.values(), key=lambda said: -len(said.text))))
