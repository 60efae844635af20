"""The embedded narrator: short present-tense sentences about what was perceived, and nothing else.

A film becomes groups of candidates, one group a moment: what people do, who is there, where, what is to be
seen, what can be read. A group tells its moment at several lengths. Every sentence carries the facts it rests
on; what is weak or was just told is left out, for silence is better than filler.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from avtool.errors import UsageError
from avtool.narrate import deeds, naming, phrases
from avtool.narrate.deeds import Clause, Deed
from avtool.narrate.lexicon import english
from avtool.narrate.presence import Person, at_once, people_in
from avtool.settings import Settings
from avtool.timeline import SECOND, Candidate, Fact, Film, Represents, Span, TextRole, Thing

if TYPE_CHECKING:
    from avtool.cast import Cast

# What a fact is worth at full confidence (spec 3.4: the story, who, where, what can be read, the rest).
WHO_FIRST, WHO, PLACE, COUNT = 1.2, 0.8, 0.6, 0.2
UNSEEN, HEARD_TOO = (
    0.5,
    0.5,
)  # what is heard and not seen; what is seen, of its worth, where it is heard as well
THING, FILLING = 0.2, 0.4  # things that are not among the salient ones: beside others, filling the picture
# On-screen text: how it is announced, its worth, what it is to W3C DAPT.
READ: dict[TextRole, tuple[str, float, Represents]] = {
    "title": ("Title", 0.9, "visual.text.title"),
    "caption": ("A caption", 0.8, "visual.text"),
    "sign": ("A sign", 0.6, "visual.text"),
    "credit": ("Credits", 0.3, "visual.text.credit"),
}
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
    english_only(settings)
    told = Told(film, settings)
    known = naming.known(cast, film, settings)
    found: list[Moment] = []
    for scene in _shots(film):
        people = people_in(scene, known, cast, settings)
        doing = deeds.find(people, scene)
        company = [person for person in people if not any(deed.who is person for deed in doing)]
        for moment in chain(
            _actions(doing, scene, told), _company(company, bool(doing), scene, told), _things(scene, told)
        ):
            told.remember(moment)
            found.append(moment)
    found += chain(_texts(film), _unseen(film))
    return _grouped(found)


def read_texts(film: Film, first: int) -> list[Candidate]:
    """The sentences on what can be read and on sounds whose source is not seen, for a narrator that tells of the
    rest; groups from `first` on."""
    return _grouped(chain(_texts(film), _unseen(film)), first)


def english_only(settings: Settings) -> None:
    """Raises UsageError for a language other than English."""
    if settings.language.split("-")[0].lower() != "en":
        raise UsageError(f"language {settings.language!r}: this narrator writes English only; set it to en")


def _grouped(moments: Iterable[Moment], first: int = 0) -> list[Candidate]:
    """Moments as candidates, by time."""
    return [
        Candidate(said.text, said.event, moment.shot, said.worth, group, said.facts, moment.represents)
        for group, moment in enumerate(sorted(moments, key=lambda moment: moment.event), first)
        for said in moment.sentences
    ]


def _shots(film: Film) -> Iterator[Film]:
    """`film` shot by shot: each with its own tracks, sightings, actions, things, attributes, tags and sounds."""
    kinds = ("tracks", "sightings", "actions", "things", "attributes", "tags", "sounds")
    parts: dict[int, Film] = {
        shot.index: replace(film, shots=[shot], **{kind: [] for kind in kinds}) for shot in film.shots
    }
    for kind in kinds:
        for record in getattr(film, kind):
            if record.shot in parts:
                getattr(parts[record.shot], kind).append(record)
    yield from parts.values()


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

    def ever(self, claim: str) -> bool:
        """Whether `claim` was told before."""
        return claim in self._at

    def remember(self, moment: Moment) -> None:
        if any(moment.event.overlap(pause) for pause in self._pauses):
            for sentence in moment.sentences:
                for fact in sentence.facts:
                    self._at[fact.claim] = self._at[fact.kind] = moment.event.end


def _actions(doing: list[Deed], scene: Film, told: Told) -> Iterator[Moment]:
    """What people do, moment by moment; the first may open with a new place."""
    where = _place(scene, told)
    for group in deeds.together(doing):
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
        yield from _worth_telling(scene, sentences)


def _do(clauses: list[Clause], where: Fact | None, told: Told) -> Sentence:
    """Clauses as one sentence: "On a stage, Marcus Hale walks and points, and someone looks down."."""
    facts = tuple(dict.fromkeys(fact for clause in clauses for fact in clause.facts()))
    worth = sum(clause.worth for clause in clauses)
    worth += sum(_who_worth(fact, told) for fact in facts if fact.kind == "who")
    event = _hull([deed.span for clause in clauses for deed in clause.deeds])
    return _sentence(deeds.sentence(clauses), event, facts, worth, where)


def _company(people: list[Person], action: bool, scene: Film, told: Told) -> Iterator[Moment]:
    """Who else is there, where that changed, and where that is, in a new place.

    `people` are those whom no action tells of; with an `action`, strangers beside it are not told.
    """
    named = [one for one in people if one.called and not told.lately(one.called, one.span.start)]
    strangers = [one for one in people if not one.called]
    where = _place(scene, told)
    who = tuple(person.fact() for person in named)
    names = [fact.claim for fact in who]
    worth = sum(_who_worth(fact, told) for fact in who)
    event = _hull([one.span for one in named or strangers]) if named or strangers else scene.shots[0].span

    sentences: list[Sentence] = []
    if named:
        sentences.append(_sentence(phrases.join(names), event, who, worth))
    if count := _count(strangers, bool(named)):
        crowd = count.claim == phrases.people(phrases.CROWD)
        told_so = told.lately(
            count.claim if crowd else "count", event.start
        )  # whether four or five is no news
        if named or not (action or told_so):
            more = COUNT * count.confidence * (2 if crowd else 1)
            sentences.append(
                _sentence(phrases.join([*names, count.claim]), event, (*who, count), worth + more)
            )
    if where and sentences and _opens(where):
        said = sentences[0]
        sentences.append(_sentence(said.text.rstrip("."), event, said.facts, said.worth, where))
    elif where:
        alone = _sentence(where.claim, scene.shots[0].span, (where,), PLACE * where.confidence)
        yield from _worth_telling(scene, [alone])
    yield from _worth_telling(scene, sentences)


def _count(strangers: list[Person], beside: bool) -> Fact | None:
    """How many `strangers` are seen at one time, `beside` people who are named; one alone is no news."""
    count = at_once(track.span for person in strangers for track in person.tracks)
    if count < 2 - beside:
        return None
    surest = sorted(strangers, key=lambda person: -person.confidence)[:count]
    times = tuple(sorted({time for person in surest for time in person.fact().times}))
    tracks = tuple(track.id for person in surest for track in person.tracks)
    claim = phrases.others(count) if beside else phrases.people(count)
    return Fact("count", claim, min(person.confidence for person in surest), times, tracks)


def _things(scene: Film, told: Told) -> Iterator[Moment]:
    """What is to be seen beside people: the most telling thing, and what is nearly as telling."""
    like = {attribute.label: attribute for attribute in scene.attributes}
    seen: list[tuple[float, str, Span, tuple[Fact, ...]]] = []
    for label, count, span, confidence, worth in _objects(scene):
        if confidence >= THING_CONFIDENCE and not told.lately(label, span.start):
            facts = (Fact("thing", label, confidence, (span.start, span.middle)),)
            word = ""
            if count == 1 and (own := like.get(label)):
                word = own.word
                facts += (Fact("attribute", f"{word} {label}", own.confidence, (own.time,)),)
            seen.append((worth * confidence, phrases.things(label, count, word), span, facts))
    seen.sort(key=lambda item: -item[0])
    seen = [item for item in seen if item[0] > seen[0][0] / 2][:3]
    sentences = []
    for some in (seen, seen[:1]) if seen else ():
        worths, names, spans, facts = zip(*some, strict=True)
        sentences.append(_sentence(phrases.join(names), _hull(spans), tuple(chain(*facts)), sum(worths)))
    yield from _worth_telling(scene, sentences)


def _objects(scene: Film) -> Iterator[tuple[str, int, Span, float, float]]:
    """The things of a shot, detected or filling the picture: label, count, span, confidence and worth.

    What two senses see is as sure as the surer of them.
    """
    places, salient = english()["places"], english()["salient"]
    filling = {tag.label: tag for tag in scene.tags if tag.label not in places}
    for thing in scene.things:
        large = max(((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in thing.boxes), default=1.0) >= LARGE
        if thing.label != "person" and large:
            tag = filling.pop(thing.label, None)
            confidence = max(thing.confidence, tag.confidence if tag else 0.0)
            worth = salient.get(thing.label, THING) * (HEARD_TOO if _sounds(thing, scene) else 1)
            yield thing.label, thing.count, thing.span, confidence, worth
    for tag in filling.values():
        yield tag.label, 1, tag.span, tag.confidence, salient.get(tag.label, FILLING)


def _sounds(thing: Thing, scene: Film) -> bool:
    """Whether a thing makes a sound that is seen, so that the listener knows of it without being told."""
    return thing.label in english()["sounding"] and any(
        sound.seen and sound.span.overlap(thing.span) for sound in scene.sounds
    )


def _unseen(film: Film) -> Iterator[Moment]:
    """What is heard and not seen, where another moment shows plainly what makes that sound."""
    told: dict[str, int] = {}
    for sound in film.sounds:
        if sound.like is None:
            continue
        there = {thing.label: thing for thing in _sounding(film, sound.like)}
        here = {thing.label for thing in film.things if thing.shot == sound.shot}
        if len(there) != 1 or here & there.keys():
            continue
        ((label, thing),) = there.items()
        if label not in told or sound.span.start - told[label] >= MEMORY:
            confidence = min(sound.confidence, thing.confidence)
            fact = Fact("sound", label, confidence, (sound.span.start, sound.like.middle))
            said = phrases.sentence(f"{phrases.things(label, 1)} is heard, out of sight")
            yield Moment(sound.shot, (Sentence(said, sound.span, (fact,), UNSEEN * confidence),))
        told[label] = sound.span.end


def _sounding(film: Film, span: Span) -> Iterator[Thing]:
    """The things that are surely seen at a time and can be heard."""
    for thing in film.things:
        sure = thing.confidence >= THING_CONFIDENCE and thing.label in english()["sounding"]
        if sure and thing.span.overlap(span):
            yield thing


def _place(scene: Film, told: Told) -> Fact | None:
    """Where the shot is, if that is sure and was not told lately."""
    places = english()["places"]
    seen = [tag for tag in scene.tags if tag.label in places and tag.confidence >= PLACE_CONFIDENCE]
    if not seen:
        return None
    best = max(seen, key=lambda tag: tag.confidence)
    claim = places[best.label]
    if told.lately(claim, best.span.start):
        return None
    return Fact("place", claim, best.confidence, (best.span.middle,))


def _opens(where: Fact) -> bool:
    """Whether one is in the place ("in a library"), so that a sentence may open with it."""
    return where.claim.split()[0] in ("in", "on", "at", "by")


def _texts(film: Film) -> Iterator[Moment]:
    """What can be read and is not heard, each text once (spec 3.5)."""
    read: set[str] = set()
    for text in sorted(film.texts, key=lambda text: text.span):
        if text.role not in READ or text.confidence < TEXT_CONFIDENCE or text.span.duration < LEGIBLE:
            continue
        words = text.text.lower().split()
        if not words or " ".join(words) in read or _heard(words, text.span, film):
            continue
        read.add(" ".join(words))
        kind, worth, represents = READ[text.role]
        fact = Fact("text", text.text, text.confidence, (text.span.start, text.span.middle))
        said = phrases.sentence(f"{kind}: {phrases.read_out(text.text)}")
        yield Moment(text.shot, (Sentence(said, text.span, (fact,), worth * text.confidence),), represents)


def _heard(words: list[str], span: Span, film: Film) -> bool:
    """Whether most of the words are spoken near `span`."""
    near = span.grow(HEARD, HEARD)
    spoken = " ".join(speech.text.lower() for speech in film.speech if speech.span.overlap(near))
    heard = set(re.findall(r"\w+", spoken))
    return sum(word in heard for word in re.findall(r"\w+", " ".join(words))) >= 0.6 * len(words)


def _who_worth(fact: Fact, told: Told) -> float:
    """A name is news when it was not told lately, most of all the first time; a stranger never is."""
    if fact.claim == "someone" or told.lately(fact.claim, fact.times[0]):
        return 0.0
    return (WHO if told.ever(fact.claim) else WHO_FIRST) * fact.confidence


def _sentence(
    text: str, event: Span, facts: tuple[Fact, ...], worth: float, where: Fact | None = None
) -> Sentence:
    if where:
        text, facts, worth = f"{where.claim}, {text}", (where, *facts), worth + PLACE * where.confidence
    return Sentence(phrases.sentence(text), event, facts, worth)


def _hull(spans: Sequence[Span]) -> Span:
    return Span(min(span.start for span in spans), max(span.end for span in spans))


def _worth_telling(scene: Film, sentences: list[Sentence]) -> Iterator[Moment]:
    """The moment with its sentences from long to short, without doubles and filler; none if nothing is left."""
    kept = {said.text: said for said in sentences if said.worth >= LEAST}
    if kept:
        yield Moment(scene.shots[0].index, tuple(sorted(kept.values(), key=lambda said: -len(said.text))))
