"""Actions in words: who does what, told together, "Marcus Hale walks, then looks down"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from avtool.narrate import phrases
from avtool.narrate.lexicon import english
from avtool.narrate.presence import Person, at_once, moments
from avtool.timeline import SECOND, Action, Fact, Film, Span

CONFIDENCE = 0.6  # precision before recall: weaker actions are not told
STRANGER = 0.6  # what a stranger's action is worth, of a named person's
SPEECH = ("speaks", "talks to", "talks on the phone")
TOGETHER = 4 * SECOND  # actions that begin within it are told together


@dataclass(frozen=True, slots=True)
class Deed:
    """A visible action: who, the verb phrase in the third person singular, its fact, its worth in [0, 1]."""

    who: Person
    verb: str
    span: Span
    fact: Fact
    worth: float
    other: Person | None = None


@dataclass(frozen=True, slots=True)
class Clause:
    """One subject (several people who do the same) and what it does, in time order."""

    people: tuple[Person, ...]
    count: int  # people seen to do it at one time
    deeds: tuple[Deed, ...]  # one a verb, in time order

    @property
    def worth(self) -> float:
        return sum(deed.worth for deed in self.deeds)

    @property
    def named(self) -> bool:
        return self.people[0].called is not None

    def facts(self) -> tuple[Fact, ...]:
        """Who is in it, those first who do something, and what they do."""
        involved = [*self.people[: self.count], *(deed.other for deed in self.deeds if deed.other)]
        return tuple(person.fact() for person in involved) + tuple(deed.fact for deed in self.deeds)

    def shorter(self, verbs: int) -> Clause:
        """The same subject with its `verbs` worthiest deeds."""
        best = sorted(self.deeds, key=lambda deed: -deed.worth)[:verbs]
        return Clause(self.people, self.count, tuple(deed for deed in self.deeds if deed in best))

    def subject(self) -> str:
        names = [person.called for person in self.people if person.called]
        return phrases.join(names) if names else phrases.people(self.count)

    def predicate(self) -> str:
        """The verbs in time order, agreeing with the subject."""
        several = self.count > 1 and (self.named or self.count < phrases.CROWD)
        pronoun = None if several else self.people[0].pronoun
        said = ""
        for before, deed in zip((None, *self.deeds), self.deeds, strict=False):
            if before:
                said += ", then " if deed.span.start >= before.span.end else " and "
            said += phrases.own(phrases.agree(deed.verb) if several else deed.verb, pronoun)
        return said


def sentence(told: Sequence[Clause]) -> str:
    """One or two clauses: "Marcus Hale comes close to Ellen Ross, and she smiles".

    The pronoun stands for someone named in the first clause, where nobody else there shares it.
    """
    first, *rest = told
    text = f"{first.subject()} {first.predicate()}"
    if rest:
        second = rest[0]
        subject = second.subject()
        (who, *more), before = second.people, first.people[0]
        if subject == first.subject() == "someone":
            subject = "someone else"
        elif who.pronoun in ("he", "she") and not more and who.pronoun != before.pronoun and before.pronoun:
            subject = who.pronoun if first.predicate().endswith(f" {who.called}") else subject
        text += f", and {subject} {second.predicate()}"
    return text


def find(people: Sequence[Person], scene: Film) -> list[Deed]:
    """What the `people` of a shot are seen to do, by time. Speech that is heard is not told (spec 3.3.6)."""
    owner = {track.id: person for person in people for track in person.tracks}
    found: list[Deed] = []
    mutual: set[tuple[str, frozenset[int]]] = set()
    for action in sorted(scene.actions, key=lambda action: (action.span, action.track, action.verb)):
        who = owner.get(action.track)
        if who is None or action.confidence < CONFIDENCE:
            continue
        if action.verb in SPEECH and any(action.span.overlap(speech.span) for speech in scene.speech):
            continue
        if action.other is not None:
            pair = (action.verb, frozenset((action.track, action.other)))
            if pair in mutual or action.other not in owner:
                continue  # told from the other side already, or of someone who may not be there
            mutual.add(pair)
        found.append(_deed(action, who, owner.get(action.other) if action.other is not None else None))
    return found


def _deed(action: Action, who: Person, other: Person | None) -> Deed:
    verb = action.verb
    if action.object and not verb.endswith(action.object):
        verb += f" {phrases.things(action.object, 1)}"
    if other:
        verb += f" {other.called or ('someone' if who.called else 'someone else')}"
    worths = english()["verb_worth"]
    worth = worths.get(action.verb, worths.get(action.verb.split()[0], 1.0)) * action.confidence
    tracks = (action.track,) if action.other is None else (action.track, action.other)
    times = next(moments(track.times, action.span) for track in who.tracks if track.id == action.track)
    confidence = min(action.confidence, other.confidence) if other and other.called else action.confidence
    fact = Fact("action", f"{who.called or 'someone'} {verb}", confidence, times, tracks)
    return Deed(who, verb, action.span, fact, worth * (1.0 if who.called else STRANGER), other)


def together(found: Sequence[Deed]) -> list[list[Deed]]:
    """Deeds by time, those told in one breath in one list."""
    groups: list[list[Deed]] = []
    for deed in found:
        if groups and deed.span.start - groups[-1][0].span.start < TOGETHER:
            groups[-1].append(deed)
        else:
            groups.append([deed])
    return groups


def clauses(found: Sequence[Deed]) -> list[Clause]:
    """One clause for all who do the same, named people first, then the worthiest.

    Of strangers only those enter a second clause who are in the picture beside those of the first: two tracks,
    one after the other, may well be one person.
    """
    by_person: dict[Person, dict[str, Deed]] = {}
    for deed in found:
        by_person.setdefault(deed.who, {}).setdefault(deed.verb, deed)
    alike: dict[tuple[bool, tuple[str, ...]], list[list[Deed]]] = {}
    for who, done in by_person.items():
        telling = _telling(list(done.values()))
        alike.setdefault((who.called is None, tuple(deed.verb for deed in telling)), []).append(telling)

    made: list[Clause] = []
    for (strange, _), group in alike.items():
        people = tuple(telling[0].who for telling in group)
        count = at_once(person.span for person in people) if strange else len(people)
        if count == 1:
            made.append(Clause(people[:1], 1, tuple(group[0])))
        else:
            made.append(Clause(people, count, tuple(map(_shared, zip(*group, strict=True)))))
    made.sort(key=lambda clause: (not clause.named, -clause.worth))

    strangers = [clause for clause in made if not clause.named]
    apart = [clause for clause in strangers[1:] if not _beside(strangers[0], clause)]
    return [clause for clause in made if clause not in apart]


def _beside(one: Clause, other: Clause) -> bool:
    return any(a.span.overlap(b.span) > 0 for a in one.people for b in other.people)


def _telling(done: list[Deed]) -> list[Deed]:
    """Without what goes without saying beside something better: who walks also stands."""
    best = max(deed.worth for deed in done)
    return [deed for deed in done if deed.worth > best / 4]


def _shared(same: tuple[Deed, ...]) -> Deed:
    """What several named people do alike, as one deed."""
    first = same[0]
    span = Span(min(deed.span.start for deed in same), max(deed.span.end for deed in same))
    facts = [deed.fact for deed in same]
    fact = Fact(
        "action",
        f"{phrases.join([deed.who.called for deed in same if deed.who.called] or ['someone'])} {first.verb}",
        min(fact.confidence for fact in facts),
        tuple(sorted({time for fact in facts for time in fact.times})),
        tuple(sorted({track for fact in facts for track in fact.tracks})),
    )
    return Deed(first.who, first.verb, span, fact, max(deed.worth for deed in same), first.other)
