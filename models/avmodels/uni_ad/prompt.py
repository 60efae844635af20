"""The interleaved sequence: words, places of characters' tokens, places of video tokens.

Every fragment of text is tokenised on its own and without a BOS, as the published models were trained.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from avmodels.errors import WeightsError

Encode = Callable[[str], list[int]]

# Short names that the published code takes for an error in the list of characters (CMD-AD, TV-AD).
NO_NAMES = frozenset(
    ("He", "She", "The", "They", "Them", "It", "Its", "As", "And", "But", "Or", "How", "This", "That", "In")
)


@dataclass(frozen=True)
class Character:
    """Somebody who may be in the clip. `short` is the name as descriptions have it, where the file says."""

    id: str
    role: str
    actor: str
    short: str | None = None


@dataclass(frozen=True)
class Extra:
    """The ids of tokens that the language model does not have, behind its own `words`."""

    words: int
    video: int
    image: int
    pad: int
    context: int | None = None
    video_marks: tuple[int, int] | None = None
    image_marks: tuple[int, int] | None = None


def extra_ids(words: int, form: Literal["mad", "cmd-tv"], marks: bool = False) -> Extra:
    """The extra ids of a form over `words` words; `marks` (mad) start and end characters and video."""
    if form == "cmd-tv":
        return Extra(words, words, words + 1, words + 3, context=words + 2)
    if marks:
        return Extra(
            words,
            words,
            words + 3,
            words + 6,
            video_marks=(words + 1, words + 2),
            image_marks=(words + 4, words + 5),
        )
    return Extra(words, words, words + 1, words + 2)


@dataclass(frozen=True)
class Form:
    """How a prompt is written.

    `name` is the published form; `video` and `image` are the tokens of a video and of a character; with `actor`
    a character's actor is named, with `exemplar` the character is shown. `marks` start and end characters and
    video, and put the language model's BOS before the description; `short_roles` keeps one word of a role.
    """

    name: Literal["mad", "cmd-tv"]
    video: int
    image: int
    actor: bool = True
    exemplar: bool = True
    marks: bool = False
    short_roles: bool = False


def prompt(
    encode: Encode,
    form: Form,
    extra: Extra,
    characters: Sequence[Character],
    featured: Sequence[str],
    bos: int | None,
) -> tuple[list[int], list[Character]]:
    """The ids of a prompt, and the characters that are shown in it, in order.

    `featured` are the ids of those who have an exemplar: the form of CMD-AD and TV-AD leaves the others out, and
    those without a proper short name. Raises WeightsError for a form with marks where the language model has no
    token that begins a text.
    """
    if form.marks and bos is None:
        raise WeightsError("the language model has no token that begins a text (BOS), which this form needs")
    kept = [character for character in characters if form.name == "mad" or named(character, featured)]
    ids: list[int] = []
    if kept:
        part = encode("Possible characters:" if form.name == "mad" else "Possible characters :")
        shown = [extra.image] * form.image if form.exemplar else []
        for character in kept:
            # Whether a character is the last one is told by the whole list, even if that one is left out.
            last = character is characters[-1]
            part += encode(introduction(form, character)) + shown + encode(separator(form, last))
        ids += marked(part, extra.image_marks)
    ids += encode("Describe ") + marked([extra.video] * form.video, extra.video_marks) + encode(":")
    if form.marks and bos is not None:
        ids.append(bos)
    if extra.context is not None:
        ids.append(extra.context)
    return ids, kept if form.exemplar else []


def named(character: Character, featured: Sequence[str]) -> bool:
    """Whether the form of CMD-AD and TV-AD takes a character."""
    return bool(character.short) and character.short not in NO_NAMES and character.id in featured


def introduction(form: Form, character: Character) -> str:
    """The words that introduce a character."""
    role = character.role if form.name == "mad" else character.short or character.role
    if form.short_roles:
        role = short(role)
    return f"{role} played by {character.actor}" if form.actor and character.actor else role


def separator(form: Form, last: bool) -> str:
    """What stands behind a character."""
    return ("." if last else ";") + ("" if form.name == "mad" else " ")


def short(role: str) -> str:
    """The first word of a role; the second without its punctuation if the first is a title such as `Dr.`"""
    words = role.split()
    if words and words[0].endswith(".") and len(words) > 1:
        return words[1].strip(string.punctuation)
    return words[0] if words else role


def marked(ids: list[int], marks: tuple[int, int] | None) -> list[int]:
    return ids if marks is None else [marks[0], *ids, marks[1]]
