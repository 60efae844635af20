"""A film put together by hand: shots of five seconds, people, and what a perceiver would say of them."""

from pathlib import Path
from typing import Literal

from avtool.cast import Cast, CastMember
from avtool.timeline import (
    SECOND,
    Action,
    Description,
    Film,
    Gap,
    Shot,
    Sighting,
    Sound,
    Span,
    Speech,
    Tag,
    Text,
    TextRole,
    Thing,
    Track,
)

SpeechKind = Literal["dialogue", "song", "crowd"]

SHOT = 5.0  # seconds


def span(start: float, end: float) -> Span:
    return Span(round(start * SECOND), round(end * SECOND))


def cast(**ellen: object) -> Cast:
    """Marcus Hale and Ellen Ross; more of Ellen by keyword."""
    members = [
        {"name": "Marcus Hale", "images": ("m.png",), "aliases": ("Marcus",), "pronoun": "he"},
        {"name": "Ellen Ross", "images": ("e.png",), "aliases": ("Ellen",), "pronoun": "she", **ellen},
    ]
    return Cast(cast=tuple(CastMember.model_validate(member) for member in members))


def film(shots: int, pauses: bool = True) -> Film:
    whole = span(0, shots * SHOT)
    made = Film(Path("film.mp4"), whole)
    made.shots = [Shot(i, span(i * SHOT, (i + 1) * SHOT), "cut", 0.99) for i in range(shots)]
    made.gaps = [Gap(0, whole, whole, "edge", "edge")] if pauses else []
    return made


def person(
    made: Film,
    shot: int,
    name: str | None = None,
    confidence: float = 0.95,
    second: float = 0.0,
    seen: tuple[float, float] = (0, SHOT),
) -> int:
    """Someone in `shot`, `seen` in seconds from its beginning; the id of the new track."""
    track = len(made.tracks) + 1
    visible = span(shot * SHOT + seen[0], shot * SHOT + seen[1])
    times = tuple(range(visible.start, visible.end, SECOND // 4))
    made.tracks.append(
        Track(track, shot, "person", times, ((0.2, 0.1, 0.5, 0.9),) * len(times), (0.8,) * len(times))
    )
    runner_up = "Ellen Ross" if second else None
    made.sightings.append(
        Sighting(track, shot, made.tracks[-1].span, name, confidence if name else 0.0, runner_up, second)
    )
    return track


def act(made: Film, track: int, verb: str, at: float, until: float, confidence: float = 0.9, **what) -> None:
    """An action of `track`, in seconds from the beginning of its shot."""
    shot = next(one.shot for one in made.tracks if one.id == track)
    start = shot * SHOT
    made.actions.append(Action(track, shot, verb, span(start + at, start + until), confidence, **what))


def thing(made: Film, shot: int, label: str, count: int = 1, confidence: float = 0.9) -> None:
    made.things.append(Thing(label, shot, made.shots[shot].span, count, confidence))


def sound(made: Film, shot: int, like: int | None = None) -> None:
    """A sound all through `shot`: what makes it is in the picture, or in that of the shot `like`."""
    other = None if like is None else made.shots[like].span
    made.sounds.append(Sound(shot, made.shots[shot].span, like is None, 0.9, other))


def tag(made: Film, shot: int, label: str, confidence: float = 0.9) -> None:
    made.tags.append(Tag(label, shot, made.shots[shot].span, confidence))


def text(made: Film, words: str, role: TextRole, start: float, end: float, confidence: float = 0.95) -> None:
    shot = int(start / SHOT)
    made.texts.append(Text(words, span(start, end), (0.1, 0.1, 0.9, 0.2), confidence, role, shot))


def speech(made: Film, start: float, end: float, words: str = "", kind: SpeechKind = "dialogue") -> None:
    made.speech.append(Speech(span(start, end), kind, ("asr",), 0.95, words))


def cue(number: int, start: float, end: float, words: str, **more) -> Description:
    return Description(f"ad-{number:04}", span(start, end), words, **more)
