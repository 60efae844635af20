"""Faces to name: groups the people of a film by face, and draws them on a sheet for somebody who knows them.

Tracks whose mean descriptors are near each other are one person (average linkage; two tracks seen in one picture
never are). On the tracks of four real clips no two people are mixed up to a distance of 0.60; at 0.55 a singer's
47 tracks of a tiny music video fall in three groups, one of them with sunglasses, and four strays: a person who
comes twice is easily mended by hand, two people in one are not.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from avtool.errors import UsageError
from avtool.perceive.characters import described, together
from avtool.perceive.faces import chips
from avtool.timeline import SECOND, Span, Track, clock, merge
from avtool.workspace import replacing

if TYPE_CHECKING:
    from avtool.media.probe import Probe
    from avtool.perceive.people import Crowd

NEAR = 0.55  # mean distance up to which groups of tracks are one person
BRIEF = 1.5  # seconds: who is on screen for less is left out
SHOWN = 40  # people on the sheet at most, those longest on screen
CROPS = 6  # of each person on the sheet
PORTRAITS = 3  # of each person in the draft
STEP = SECOND // 2  # at which people are looked for
MARGIN = 0.5  # around a face, in longer sides of its box
SIDE = 240  # pixels of a crop

PAGE, INK, FAINT, RULE = "#ffffff", "#1b1f24", "#6a737d", "#e3e6ea"
CELL, GAP, EDGE, LABEL = 168, 14, 40, 230  # pixels of the sheet: a crop, between crops, the margin, the names


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody found: the tracks, when first seen (microseconds), how long on screen, portraits written."""

    name: str
    first: int
    seconds: float
    tracks: tuple[int, ...]
    portraits: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Discovery:
    """The contact sheet, the draft cast file, and who is in them, longest on screen first."""

    sheet: Path
    cast: Path
    people: tuple[Person, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """One face of a person: where and when, and how well it is seen."""

    time: int
    shot: int
    box: np.ndarray
    quality: float


def discover(film: Probe, crowd: Crowd, folder: str | Path) -> Discovery:
    """Write `faces.png`, `cast.json` and portraits into `folder`; naming people in the file makes it a cast.

    Raises UsageError where the folder already holds a cast file, which somebody may have filled in.
    """
    folder = Path(folder)
    draft, sheet = folder / "cast.json", folder / "faces.png"
    if draft.exists():
        raise UsageError(f"{draft} is there already; name another folder, or remove it to begin anew")
    folder.mkdir(parents=True, exist_ok=True)

    groups = sorted(_groups(crowd), key=lambda tracks: -_on_screen(tracks))
    long = [tracks for tracks in groups if _on_screen(tracks) >= BRIEF][:SHOWN]
    people, rows = [], []
    for tracks in long:
        looks = _looks(crowd, tracks)
        crops = _crops(film, looks)
        best = sorted(range(len(looks)), key=lambda number: -looks[number].quality)
        clear = [crops[number] for number in best if len(chips(np.asarray(crops[number]))) == 1][:PORTRAITS]
        if not clear:
            continue
        number = len(people) + 1
        portraits = tuple(folder / f"person-{number}-{letter}.png" for letter in "abc"[: len(clear)])
        for path, crop in zip(portraits, clear, strict=True):
            _save(crop, path)
        first = min(track.times[0] for track in tracks)
        ids = tuple(track.id for track in tracks)
        people.append(Person(f"Person {number}", first, _on_screen(tracks), ids, portraits))
        rows.append((looks, crops))

    _save(_sheet(film.path.name, people, rows, len(groups) - len(people)), sheet)
    members = [
        {
            "name": person.name,
            "images": [portrait.name for portrait in person.portraits],
            "note": f"first seen at {_clock(person.first)}, {person.seconds:.0f} s on screen",
        }
        for person in people
    ]
    with replacing(draft) as beside:
        beside.write_text(
            json.dumps({"cast": members}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return Discovery(sheet, draft, tuple(people))


def _groups(crowd: Crowd) -> list[list[Track]]:
    """The tracks of each person whose face was read."""
    from scipy.spatial.distance import cdist
    from sklearn.cluster import AgglomerativeClustering

    tracks = [track for track in crowd.people if len(described(crowd, track))]
    if len(tracks) < 2:
        return [[track] for track in tracks]
    means = np.stack([_mean(crowd, track) for track in tracks])
    distances = cdist(means, means)
    shots: dict[int, list[int]] = {}
    for row, track in enumerate(tracks):
        shots.setdefault(track.shot, []).append(row)
    for rows in shots.values():
        for one, other in combinations(rows, 2):
            if together(tracks[one], tracks[other]):
                distances[one, other] = distances[other, one] = 1e6  # so far that no mean comes near
    labels = AgglomerativeClustering(
        n_clusters=None,  # pyright: ignore[reportArgumentType]  as many as the distance makes
        metric="precomputed",
        linkage="average",
        distance_threshold=NEAR,
    ).fit_predict(distances)
    groups: dict[int, list[Track]] = {}
    for label, track in zip(labels.tolist(), tracks, strict=True):
        groups.setdefault(label, []).append(track)
    return list(groups.values())


def _mean(crowd: Crowd, track: Track) -> np.ndarray:
    """The track's descriptor (128,): the mean of its faces', the clearer the heavier."""
    faces, rows = crowd.faces[track.id], described(crowd, track)
    return np.average(faces.descriptors[rows], axis=0, weights=faces.quality[rows])


def _on_screen(tracks: list[Track]) -> float:
    """Seconds during which one of the tracks is seen."""
    return sum(
        span.seconds for span in merge(Span(track.times[0], track.times[-1] + STEP) for track in tracks)
    )


def _looks(crowd: Crowd, tracks: list[Track]) -> list[_Look]:
    """At most CROPS looks at a person in order of time: the best of each shot, then the second best, and so on."""
    looks = [
        _Look(int(faces.times[row]), track.shot, faces.boxes[row], float(faces.quality[row]))
        for track in tracks
        for faces in [crowd.faces[track.id]]
        for row in described(crowd, track).tolist()
    ]
    turns: Counter[int] = Counter()
    ranked = []
    for look in sorted(looks, key=lambda look: -look.quality):
        ranked.append((turns[look.shot], look))
        turns[look.shot] += 1
    chosen = sorted(ranked, key=lambda pair: pair[0])[:CROPS]
    return sorted((look for _, look in chosen), key=lambda look: look.time)


def _crops(film: Probe, looks: list[_Look]) -> list[Image.Image]:
    """The faces with some hair and neck, square, SIDE pixels."""
    from avtool.media.frames import grab

    frames = grab(film, [look.time for look in looks])
    crops = []
    for look, frame in zip(looks, frames, strict=True):
        height, width = frame.shape[:2]
        x0, y0, x1, y1 = look.box * (width, height, width, height)
        side = min(max(x1 - x0, y1 - y0) * (1 + 2 * MARGIN), width, height)
        left = np.clip((x0 + x1 - side) / 2, 0, width - side)
        top = np.clip((y0 + y1 - side) / 2, 0, height - side)
        box = (left, top, left + side, top + side)
        crops.append(Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.LANCZOS, box))
    return crops


def _sheet(
    title: str, people: list[Person], rows: list[tuple[list[_Look], list[Image.Image]]], more: int
) -> Image.Image:
    """The page: a row for each person, with the times of the crops under them."""
    row, top = CELL + 44, 130
    width = EDGE * 2 + LABEL + CROPS * CELL + (CROPS - 1) * GAP
    page = Image.new("RGB", (width, top + max(1, len(people)) * row + 70), PAGE)
    draw = ImageDraw.Draw(page)
    fonts = {size: ImageFont.load_default(size) for size in (14, 16, 24, 32)}
    draw.text((EDGE, 32), title, INK, fonts[32])
    count = {0: "No face could be read", 1: "1 person"}.get(len(people), f"{len(people)} people")
    if more:
        count += f", and {more} seen too briefly or unclearly to be shown"
    draw.text((EDGE, 78), count, FAINT, fonts[16])
    for number, (person, (looks, crops)) in enumerate(zip(people, rows, strict=True)):
        y = top + number * row
        draw.line((EDGE, y - 12, width - EDGE, y - 12), RULE, 1)
        draw.text((EDGE, y + 34), person.name, INK, fonts[24])
        draw.text((EDGE, y + 72), f"{person.seconds:.1f} s on screen", FAINT, fonts[16])
        draw.text((EDGE, y + 96), f"first seen {_clock(person.first)}", FAINT, fonts[16])
        for column, (look, crop) in enumerate(zip(looks, crops, strict=True)):
            x = EDGE + LABEL + column * (CELL + GAP)
            page.paste(crop.resize((CELL, CELL), Image.Resampling.LANCZOS), (x, y))
            draw.text((x + CELL / 2, y + CELL + 4), _clock(look.time), FAINT, fonts[14], anchor="ma")
    hint = "Name them in cast.json; where one person has two rows, put both rows' images under one name."
    draw.text((EDGE, page.height - 42), hint, FAINT, fonts[16])
    return page


def _clock(time: int) -> str:
    """The time to the second."""
    return clock(time).partition(".")[0]


def _save(picture: Image.Image, path: Path) -> None:
    with replacing(path) as beside:
        picture.save(beside, format="PNG")
