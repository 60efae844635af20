"""From boxes in single pictures to people followed through a shot, with their bodies and faces.

`Follower` links boxes while the film passes, when its shots are not known yet; `gather` then breaks every chain
at the cuts, mends it where the same person was lost and found within one shot, and makes the Crowd.
"""

from __future__ import annotations

import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avtool.errors import MediaError
from avtool.perceive.objects import CLASSES, PERSON
from avtool.timeline import SECOND, Box, Shot, Span, Thing, Track
from avtool.workspace import replacing

REACH = 0.3  # least overlap (IoU) of a box, made square, with where the one it continues should be by now
LOST = int(1.6 * SECOND)  # a chain unseen for longer is not continued
MEND = 3 * SECOND  # a gap within a shot is mended up to this length where the descriptors agree
SAME = 0.45  # two faces nearer than this are one person's
STILL = 0.5  # overlap of the boxes before and after a gap without a face to compare

# What was seen, a row each; `chain` is the follower's number, `track` that of a Track.
BOX = np.dtype([("time", "i8"), ("chain", "i4"), ("label", "i2"), ("box", "f4", 4), ("score", "f4")])
BODY = np.dtype([("time", "i8"), ("chain", "i4"), ("keypoints", "f4", (17, 3))])
MEASURES = ("mouth_open", "mouth_width", "eye_open", "smile", "yaw", "pitch", "quality")
FACE = np.dtype(
    [("time", "i8"), ("chain", "i4"), ("box", "f4", 4)] + [(measure, "f4") for measure in MEASURES]
)
THING = np.dtype(
    [("thing", "i4"), ("label", "i2"), ("shot", "i4"), ("start", "i8"), ("end", "i8"), ("confidence", "f8")]
    + [("box", "f4", 4)]
)


@dataclass(frozen=True, slots=True, eq=False)
class Bodies:
    """One track's body: `times` (n,) in microseconds, `keypoints` (n, 17, 3) x, y in the picture and score."""

    times: np.ndarray
    keypoints: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """One track's face at `times` (n,) microseconds; `boxes` (n, 4) and measures (n,) are those of `faces.Face`.

    `descriptors` float32 (n, 128) hold NaN where the face was measured and not described.
    """

    times: np.ndarray
    boxes: np.ndarray
    mouth_open: np.ndarray
    mouth_width: np.ndarray
    eye_open: np.ndarray
    smile: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray
    quality: np.ndarray
    descriptors: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """Everyone and everything followed in a film. `bodies` and `faces` are by track id; `aspect` is the
    picture's width over its height, which makes distances of coordinates in [0, 1] true."""

    tracks: list[Track]
    bodies: dict[int, Bodies]
    faces: dict[int, Faces]
    things: list[Thing]
    aspect: float = 16 / 9

    @property
    def people(self) -> list[Track]:
        return [track for track in self.tracks if track.label == "person"]

    def save(self, path: Path) -> None:
        """Write an npz file at `path`, whole or not at all."""
        boxes = [
            ((time, track.id, CLASSES.index(track.label), box, score), track.shot)
            for track in self.tracks
            for time, box, score in zip(track.times, track.boxes, track.scores, strict=True)
        ]
        bodies = [
            np.rec.fromarrays((rows.times, np.full(len(rows.times), track), rows.keypoints), dtype=BODY)
            for track, rows in self.bodies.items()
        ]
        faces = [
            np.rec.fromarrays(
                (
                    rows.times,
                    np.full(len(rows.times), track),
                    rows.boxes,
                    *(getattr(rows, name) for name in MEASURES),
                ),
                dtype=FACE,
            )
            for track, rows in self.faces.items()
        ]
        descriptors = [rows.descriptors for rows in self.faces.values()]
        things = [
            (index, CLASSES.index(it.label), it.shot, it.span.start, it.span.end, it.confidence, box)
            for index, it in enumerate(self.things)
            for box in it.boxes
        ]
        with replacing(path) as beside, beside.open("wb") as file:
            np.savez_compressed(
                file,
                aspect=np.array(self.aspect),
                boxes=np.array([row for row, _ in boxes], BOX),
                shots=np.array([shot for _, shot in boxes], np.int64),
                bodies=np.concatenate([np.zeros(0, BODY), *bodies]),
                faces=np.concatenate([np.zeros(0, FACE), *faces]),
                descriptors=np.concatenate([np.zeros((0, 128), np.float32), *descriptors]),
                things=np.array(things, THING),
            )

    @classmethod
    def load(cls, path: Path) -> Crowd:
        """Read what `save` wrote. Raises MediaError where the file does not hold it."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(
                    tracks=_tracks(file["boxes"], file["shots"]),
                    bodies=_bodies(file["bodies"]),
                    faces=_faces(file["faces"], file["descriptors"]),
                    things=_thaw(file["things"]),
                    aspect=float(file["aspect"]),
                )
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as fault:
            raise MediaError(f"{path} does not hold the people of a film: delete it and run again") from fault


@dataclass(slots=True)
class _Last:
    """The last of a chain: when, what, its box, and how fast its centre moved (x and y a microsecond)."""

    time: int
    label: int
    box: np.ndarray
    speed: np.ndarray

    def ahead(self, time: int) -> np.ndarray:
        """Where the box should be at `time`."""
        return self.box + np.tile(self.speed * min(time - self.time, SECOND), 2)


class Follower:
    """Gives every box the number of the chain it continues, or a new one. `aspect` is the picture's width over
    its height."""

    def __init__(self, aspect: float) -> None:
        self._aspect = aspect
        self._next = 0
        self._live: dict[int, _Last] = {}

    def follow(self, time: int, labels: np.ndarray, boxes: np.ndarray) -> list[int]:
        """The chains of `boxes` (n, 4) with `labels` (n,) seen at `time`: the assignment that overlaps most."""
        from scipy.optimize import linear_sum_assignment  # late: a crowd is read back without it

        self._live = {chain: last for chain, last in self._live.items() if time - last.time <= LOST}
        chains = list(self._live)
        numbers = [-1] * len(boxes)
        if chains and len(boxes):
            ahead = np.stack([self._live[chain].ahead(time) for chain in chains])
            kinds = np.array([self._live[chain].label for chain in chains])
            overlaps = overlap(self._squares(boxes), self._squares(ahead))
            overlaps = np.where(labels[:, None] == kinds[None], overlaps, 0)
            for row, column in zip(*linear_sum_assignment(-overlaps), strict=True):
                if overlaps[row, column] >= REACH:
                    numbers[row] = chains[column]
        for row, number in enumerate(numbers):
            last = self._live.get(number)
            if last is None:
                numbers[row], self._next = self._next, self._next + 1
                speed = np.zeros(2)
            else:
                speed = (_centres(boxes[row]) - _centres(last.box)) / (time - last.time)
            self._live[numbers[row]] = _Last(time, int(labels[row]), boxes[row], speed)
        return numbers

    def _squares(self, boxes: np.ndarray) -> np.ndarray:
        """`boxes` made as wide as high, or as high as wide: a walker leaves the own narrow box in half a
        second."""
        centres, size = _centres(boxes), boxes[:, 2:] - boxes[:, :2]
        side = np.maximum(size[:, 0] * self._aspect, size[:, 1])
        half = np.stack((side / self._aspect, side), 1) / 2
        return np.concatenate((centres - half, centres + half), 1)

    def forget(self) -> None:
        """Let no chain go on: the picture has changed."""
        self._live.clear()


def _centres(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of `first` (n, 4) with every one of `second` (m, 4): (n, m)."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    opposite = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (opposite - corner).clip(0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (first, second)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def gather(
    boxes: np.ndarray,
    bodies: np.ndarray,
    faces: np.ndarray,
    descriptors: np.ndarray,
    shots: list[Shot],
    aspect: float,
) -> Crowd:
    """The Crowd of rows BOX, BODY and FACE; `descriptors` (n, 128) belong to `faces`. Rows outside of every
    shot are left out; no track crosses a cut."""
    pieces = {
        "boxes": _pieces(boxes, shots),
        "bodies": _pieces(bodies, shots),
        "faces": _pieces(faces, shots),
    }
    owner = _mend(boxes, pieces["boxes"], faces, pieces["faces"], descriptors)

    def owned(rows: np.ndarray, piece: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows that belong to a track, with its id for a chain, in order of time; and which those are."""
        track = np.array([owner.get(number, -1) for number in piece.tolist()], np.int64)
        kept = np.flatnonzero(track >= 0)
        rows = rows[kept]
        rows["chain"] = track[kept]
        return rows, kept

    boxes, kept = owned(boxes, pieces["boxes"])
    tracks = _tracks(boxes, pieces["boxes"][kept] // CHAINS)
    faces, kept = owned(faces, pieces["faces"])
    return Crowd(
        tracks=tracks,
        bodies=_bodies(owned(bodies, pieces["bodies"])[0]),
        faces=_faces(faces, descriptors[kept]),
        things=_things(tracks),
        aspect=aspect,
    )


CHAINS = 1 << 32  # a piece of a chain is numbered shot index * CHAINS + chain


def _pieces(rows: np.ndarray, shots: list[Shot]) -> np.ndarray:
    """The number of the piece, a chain within one shot, of every row; -1 for rows outside of every shot."""
    if not shots:
        return np.full(len(rows), -1)
    starts, ends = (np.array(side) for side in zip(*((s.span.start, s.span.end) for s in shots), strict=True))
    place = np.searchsorted(starts, rows["time"], side="right") - 1
    inside = (place >= 0) & (rows["time"] < ends[place])
    index = np.array([shot.index for shot in shots])[place]
    return np.where(inside, index * CHAINS + rows["chain"], -1)


def _mend(
    boxes: np.ndarray, pieces: np.ndarray, faces: np.ndarray, face_pieces: np.ndarray, descriptors: np.ndarray
) -> dict[int, int]:
    """The track of every piece. Tracks are numbered in the order in which they begin.

    A person who was lost goes on in a later piece of the same shot where descriptors agree, or, with one of the
    two not described, where the box is still at its place.
    """
    described = np.isfinite(descriptors[:, 0])
    rows: dict[int, list[int]] = defaultdict(list)
    for row, piece in enumerate(pieces.tolist()):
        if piece >= 0:
            rows[piece].append(row)
    owner: dict[int, int] = {}
    ends: dict[int, dict[int, int]] = defaultdict(dict)  # of every shot: its people's tracks and last pieces
    tracks = 0
    for piece, (begin, *_) in rows.items():
        found = None
        person = boxes["label"][begin] == PERSON
        in_shot = ends[piece // CHAINS]
        for track, before in in_shot.items() if person else ():
            last = rows[before][-1]
            gap = boxes["time"][begin] - boxes["time"][last]
            if not 0 < gap <= MEND:
                continue
            pair = [descriptors[(face_pieces == number) & described] for number in (before, piece)]
            if all(len(side) for side in pair):
                distance = np.linalg.norm(pair[0][:, None] - pair[1][None], axis=2).min()
                agree = distance < SAME
            else:
                shared = overlap(boxes["box"][[last]], boxes["box"][[begin]])[0, 0]
                distance, agree = 1 - shared, gap <= LOST and shared >= STILL
            if agree and (found is None or distance < found[0]):
                found = (distance, track)
        if found is None:
            owner[piece], tracks = tracks, tracks + 1
        else:
            owner[piece] = found[1]
        if person:
            in_shot[owner[piece]] = piece
    return owner


def _split(rows: np.ndarray) -> dict[int, np.ndarray]:
    """The positions of every chain's rows, in order of time."""
    order = np.lexsort((rows["time"], rows["chain"]))
    numbers, starts = np.unique(rows["chain"][order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)) if len(rows) else {}


def _tracks(boxes: np.ndarray, shots: np.ndarray) -> list[Track]:
    return [
        Track(
            id=track,
            shot=int(shots[rows[0]]),
            label=CLASSES[boxes["label"][rows[0]]],
            times=tuple(boxes["time"][rows].tolist()),
            boxes=tuple(map(tuple, boxes["box"][rows].tolist())),
            scores=tuple(boxes["score"][rows].tolist()),
        )
        for track, rows in _split(boxes).items()
    ]


def _bodies(bodies: np.ndarray) -> dict[int, Bodies]:
    return {
        track: Bodies(bodies["time"][rows], bodies["keypoints"][rows])
        for track, rows in _split(bodies).items()
    }


def _faces(faces: np.ndarray, descriptors: np.ndarray) -> dict[int, Faces]:
    return {
        track: Faces(
            times=faces["time"][rows],
            boxes=faces["box"][rows],
            **{measure: faces[measure][rows] for measure in MEASURES},
            descriptors=descriptors[rows],
        )
        for track, rows in _split(faces).items()
    }


def _things(tracks: list[Track]) -> list[Thing]:
    """The objects of every shot that were seen twice or more, with the most of them seen at once."""
    kinds: dict[tuple[int, str], list[Track]] = defaultdict(list)
    for track in tracks:
        if track.label != "person":
            kinds[track.shot, track.label].append(track)
    things = []
    for (shot, label), members in kinds.items():
        seen: dict[int, list[tuple[Box, float]]] = defaultdict(list)
        for track in members:
            for time, box, score in zip(track.times, track.boxes, track.scores, strict=True):
                seen[time].append((box, score))
        if len(seen) < 2:
            continue
        most = max(seen.values(), key=len)
        things.append(
            Thing(
                label=label,
                shot=shot,
                span=Span(min(seen), max(seen) + 1),
                count=len(most),
                confidence=float(np.mean([score for found in seen.values() for _, score in found])),
                boxes=tuple(box for box, _ in most),
            )
        )
    return things


def _thaw(rows: np.ndarray) -> list[Thing]:
    """Things from rows THING, one a box."""
    things = []
    for number in range(int(rows["thing"].max(initial=-1)) + 1):
        group = rows[rows["thing"] == number]
        one = group[0]
        boxes = tuple(map(tuple, group["box"].tolist()))
        things.append(
            Thing(
                label=CLASSES[one["label"]],
                shot=int(one["shot"]),
                span=Span(int(one["start"]), int(one["end"])),
                count=len(boxes),
                confidence=float(one["confidence"]),
                boxes=boxes,
            )
        )
    return things
