"""What networks of the model library add to the senses, each only where its weights are imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from avtool.perception import Perception
    from avtool.timeline import Action, Attribute, Sound


def made_by(stage: Literal["actions", "attributes", "sounds"]) -> list[Any]:
    """What decides the results of a stage's networks: the hashes of their weights, and their thresholds."""
    from avtool import detect, find, sights, tag

    of_stage: dict[str, tuple[Path | None, ...]] = {
        "actions": (detect.choose(None), find.imported()),
        "attributes": (tag.imported_weights(),),
        "sounds": (sights.choose(),),
    }
    found: list[Any] = [detect.digest(path) for path in of_stage[stage] if path]
    if stage == "actions" and (network := detect.choose(None)) is not None:
        from avtool.narrate import ava

        found.append(ava.least_of(network))
    return found


def actions(seen: Perception) -> list[Action]:
    """What EVAD and TVTSv2 see people do."""
    from avtool import detect, find

    found: list[Action] = []
    people = seen.crowd.people
    if (network := detect.choose(None)) is not None:
        from avtool.narrate import ava

        detections = detect.by_network(seen, network, progress=seen.progress)
        found += ava.actions(detections, people, ava.least_of(network))
    if (path := find.imported()) is not None:
        from avtool.narrate import moments

        encoders = find.load(path)
        ranked = find.index(seen, encoders, seen.progress)
        names = find.sentences(list(moments.DOINGS), encoders)
        found += moments.actions(ranked.parts, ranked.vectors, names, people)
    return found


def attributes(seen: Perception) -> list[Attribute]:
    """What TagAlign tells of things: their colours."""
    from avtool import tag
    from avtool.perceive import colours

    weights = tag.imported_weights()
    if weights is None:
        return []
    return colours.look(seen.source, seen.crowd.things, seen.crowd.tracks, weights)


def sounds(seen: Perception) -> list[Sound]:
    """The sounds whose source is surely seen, or not, by Speed Co-Augmentation."""
    from avtool import sights
    from avtool.perceive import sounds

    weights = sights.choose()
    if weights is None:
        return []
    matched = sights.match(seen, sights.load(weights), seen.progress)
    return sounds.judge(matched, seen.shots, seen.speech)
