"""Who of the cast is seen, in the space of a network's features: exemplars of the film, from portraits or from faces.

A portrait is unlike the film in light, make-up and camera. AutoAD II (arXiv 2310.06838, section 3.2) therefore looks in
the film for the frames most like the portrait, and takes their mean for the character. How like a frame is to that
mean says little by itself: it is held against how like the exemplar's own frames are to each other, and against the
rest of the film. The published curve of this similarity begins at a precision of about 0.8 and is at 0.75 for a fifth
of all appearances, which bounds what is given here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avmodels.uni_ad import frames
from avmodels.uni_ad.characters import APART, EXEMPLARS, exemplar, exemplar_frames, unit
from avmodels.uni_ad.frames import Extractor
from avtool import weights
from avtool.perceive.characters import read_portrait
from avtool.timeline import Shot, Sighting, Span

if TYPE_CHECKING:
    from avtool.cast import Cast, CastMember
    from avtool.perceive.frames import Features
    from avtool.perception import Perception
    from avtool.settings import Settings

SUREST = 0.8  # the precision at which the published curve begins
APARTNESS = 3.0  # deviations of the film's frames that exemplars must lie above them
NOBODY = -1  # the track of a sighting that is of a shot as a whole


def clip(settings: Settings) -> Extractor:
    """CLIP's features of frames: the setting's file, or what was pulled. Raises MissingError, WeightsError."""
    return frames.clip(Path(settings.clip) if settings.clip else weights.where("clip-vit-l-14"))


def of_cast(seen: Perception, names: Collection[str]) -> dict[str, np.ndarray]:
    """The exemplars of those of the cast whose name or label is among `names`, by that.

    Where the sense for faces saw them, the mean of the frames it is surest of (as AutoAD-Zero finds characters), else
    the frames most like their portraits; for features that are several tokens, those of the portrait itself.
    """
    made_by = seen.extractor
    assert made_by is not None
    wanted = [
        (called, one)
        for one in (seen.cast.cast if seen.cast else ())
        for called in (one.name, one.label)
        if called in names and called is not None
    ]
    if len(made_by.shape) > 1:
        return {called: portraits(one, made_by)[0] for called, one in wanted}
    film, times = seen.features.at(slice(None)), seen.features.times
    found = {}
    for called, one in wanted:
        faces = [sighting for sighting in seen.sightings if sighting.name == one.name and sighting.faces]
        surest = sorted(faces, key=lambda sighting: -sighting.confidence)[:EXEMPLARS]
        if surest and seen.settings.characters != "clip":
            near = [min(bisect_left(times, sighting.span.middle), len(times) - 1) for sighting in surest]
            found[called] = exemplar(film, np.array(near))
        else:
            found[called] = exemplar(film, likest(film, portrait(one, made_by)))
    return found


def portraits(member: CastMember, extractor: Extractor) -> np.ndarray:
    """The features (images, ...) of a character's portraits."""
    return np.concatenate(
        [extractor.read(read_portrait(member.name, image)[None]) for image in member.images]
    )


def portrait(member: CastMember, extractor: Extractor) -> np.ndarray:
    """One vector for all portraits of a character."""
    return unit(portraits(member, extractor)).mean(0)


def likest(film: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The exemplar's frames in a film's features (frames, width); a short film's lie nearer together."""
    apart = min(APART, len(film) // (4 * EXEMPLARS))
    return exemplar_frames(film, vector, min(EXEMPLARS, len(film)), apart)


def recognise(
    features: Features, cast: Cast, extractor: Extractor, shots: Sequence[Shot], settings: Settings
) -> list[Sighting]:
    """Who of the cast is in which shot, told by the features of its frames alone.

    The features are vectors. A name whose exemplar is made of the same frames as another's is doubted (`second`).
    """
    if not len(features.times) or not cast.cast:
        return []
    film = features.at(slice(None))
    picked = [likest(film, portrait(one, extractor)) for one in cast.cast]
    chances = np.stack([chances_of(film, frames) for frames in picked], axis=1)
    sightings = []
    for shot in shots:
        first, last = np.searchsorted(features.times, (shot.span.start, shot.span.end))
        if first == last:
            continue
        sure = SUREST * np.median(chances[first:last], axis=0)
        for number in np.flatnonzero(sure >= settings.name_confidence).tolist():
            rivals = [
                other
                for other in range(len(picked))
                if other != number and alike(picked[number], picked[other])
            ]
            second = max(rivals, key=lambda other: sure[other], default=None)
            sightings.append(
                Sighting(
                    track=NOBODY,
                    shot=shot.index,
                    span=Span(int(features.times[first]), int(features.times[last - 1]) + 1),
                    name=cast.cast[number].name,
                    confidence=float(sure[number]),
                    second=None if second is None else cast.cast[second].name,
                    second_confidence=0.0 if second is None else float(sure[second]),
                )
            )
    return sightings


def chances_of(film: np.ndarray, picked: np.ndarray) -> np.ndarray:
    """The probability (frames,) that each frame shows the character whose exemplar is made of the `picked` ones.

    Even half way between the film's frames and what the picked ones are to each other, in deviations of the film's;
    nothing where they do not stand out.
    """
    rows = unit(film)
    near = rows @ unit(exemplar(film, picked))
    middle = float(np.median(near))
    spread = 1.4826 * float(np.median(np.abs(near - middle))) + 1e-6
    own = [float(rows[one] @ unit(film[np.setdiff1d(picked, one)].mean(0))) for one in picked.tolist()]
    apart = (float(np.median(own)) - middle) / spread
    if len(picked) < 2 or apart < APARTNESS:
        return np.zeros(len(film))
    return 1 / (1 + np.exp(-8 * ((near - middle) / spread / apart - 0.5)))


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two exemplars are made of some of the same moments."""
    return bool((np.abs(one[:, None] - other[None]) <= 5).any())


def joined(faces: Sequence[Sighting], whole: Sequence[Sighting], both: bool) -> list[Sighting]:
    """Sightings by face, with those of whole shots that no face speaks against.

    A shot's character is put to its track where that is the only one. With `both`, faces decide where they were read:
    such a shot gets no more names.
    """
    found = list(faces)
    for one in whole:
        here = [sighting for sighting in faces if sighting.shot == one.shot]
        if any(sighting.name == one.name for sighting in here):
            continue
        if both and here and all(sighting.faces for sighting in here):
            continue
        alone = here[0] if len(here) == 1 and here[0].name is None else None
        if alone:
            found[found.index(alone)] = _put(one, alone)
        else:
            found.append(one)
    return found


def _put(one: Sighting, track: Sighting) -> Sighting:
    """The sighting of a shot as that of its only track."""
    return replace(one, track=track.track, span=track.span, faces=track.faces)
