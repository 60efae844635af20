"""The senses that watch and listen: the weights each stands on, and the others it reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avtool.media.probe import Probe

# The senses that watch the picture, and the weights each one stands on.
SIGHT: dict[str, tuple[str, ...]] = {
    "shots": ("transnetv2",),
    "looks": (),
    "people": (
        "nanodet-m-416",
        "movenet-thunder-256",
        "facemesh-192",
        "dlib-face-descriptor",
        "dlib-face-landmarks-5",
    ),
    "tags": ("efficientnet-lite2",),
    "texts": ("rapidocr-detection", "rapidocr-recognition"),
}
# What turns a sense's observations into records: the other senses it reads.
READS: dict[str, tuple[str, ...]] = {
    "shots": (),
    "looks": ("shots", "people"),
    "people": ("shots",),
    "tags": ("shots",),
    "texts": ("shots",),
}
HEARING = ("silero-vad", "whisper-tiny-en")


def watchers(film: Probe) -> dict[str, Any]:
    """A fresh perceiver for every sense of sight."""
    from avtool.perceive.look import Looks
    from avtool.perceive.people import People
    from avtool.perceive.shots import Shots
    from avtool.perceive.tags import Tags
    from avtool.perceive.text import Texts

    size = film.picture.height, film.picture.width
    return {
        "shots": Shots(),
        "looks": Looks(),
        "people": People(*size),
        "tags": Tags(*size),
        "texts": Texts(*size),
    }


def with_needs(senses: Iterable[str]) -> list[str]:
    """`senses` and those they read, each after what it reads."""
    ordered: list[str] = []
    for sense in senses:
        for one in (*with_needs(READS.get(sense, ())), sense):
            if one not in ordered:
                ordered.append(one)
    return ordered
