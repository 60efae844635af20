"""The sense for people: who and what is in the picture, followed, with bodies and faces.

Every other frame is looked at in full (objects, bodies, faces); on the one between, only what moves fast is read
again: the limbs of the nearest people, where any show, and the mouths of known faces. The shots are not known during the pass; a
rough guess at cuts decides only where the effort goes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from avtool.perceive import bars, bodies, descriptor, detailed, faces, objects, tracks
from avtool.perceive.bodies import SEEN
from avtool.perceive.objects import PERSON
from avtool.perceive.postures import LEFT_ARM, LEFT_LEG, RIGHT_ARM, RIGHT_LEG
from avtool.perceive.tracks import BODY, BOX, FACE, MEASURES, Crowd, Follower
from avtool.timeline import SECOND, Shot

GLANCED = 3  # of the largest people are read on the frames between
BODIES = 6  # of the largest people in a frame are read; the others are followed by their boxes
BELIEVED = 7  # keypoints that must be seen on somebody whom the detector is unsure of
MOVING = [LEFT_ARM[2], RIGHT_ARM[2], *LEFT_LEG[1:], *RIGHT_LEG[1:]]  # joints: wrists, knees and ankles
THUMBNAIL = (96, 54)  # width and height
CUT = 24  # mean difference of the thumbnails' luma (0..255) that looks like a cut
READABLE = 0.2  # quality from which a face is worth a descriptor
STRETCH = SECOND // 4  # the n-th descriptor of a chain is of the best face of a stretch n times this


@dataclass(slots=True)
class Chain:
    """What is at hand of a person while followed; `chip` is the best face since `since`, to be described."""

    box: np.ndarray
    posed: bool = False  # whether its body is among those read on the last full look,
    limbs: bool = False  # whether a hand or a leg showed there,
    face: np.ndarray | None = None  # and the box of its face
    since: int = 0
    described: int = 0
    chip: np.ndarray | None = None
    row: int = 0
    quality: float = 0.0


class Rows:
    """A growing table: memory is that of its numbers alone."""

    def __init__(self, dtype: np.dtype) -> None:
        self._table = np.zeros(1024, dtype)
        self.count = 0

    def append(self, *values: object) -> None:
        if self.count == len(self._table):
            self._table = np.concatenate((self._table, np.zeros_like(self._table)))
        self._table[self.count] = values
        self.count += 1

    @property
    def table(self) -> np.ndarray:
        return self._table[: self.count]


class People:
    """A perceiver (see avtool.perceive) of pictures `height` x `width` as displayed."""

    fps: float | None = 4.0
    gray = False

    def __init__(self, height: int, width: int) -> None:
        self.size: tuple[int, int] | None = detailed(height, width)
        self._aspect = width / height
        self._boxes, self._bodies, self._faces = Rows(BOX), Rows(BODY), Rows(FACE)
        self._descriptors: dict[int, np.ndarray] = {}  # by row of the faces
        self._follower = Follower(self._aspect)
        self._chains: dict[int, Chain] = {}
        self._thumbnail: np.ndarray | None = None
        self._brightest = np.zeros((*THUMBNAIL[::-1], 3), np.uint8)  # of every pixel of the thumbnails so far
        self._full = True

    def see(self, times: np.ndarray, frames: np.ndarray) -> None:
        for time, frame in zip(times.tolist(), frames, strict=True):
            if self._changed(frame):
                self._forget()
                self._full = True
            if self._full:
                self._look(time, frame)
            else:
                self._glance(time, frame)
            self._full = not self._full

    def finish(self) -> None:
        self._forget()

    def people(self, shots: list[Shot]) -> Crowd:
        """Everyone and everything seen, followed through `shots`."""
        descriptors = np.full((self._faces.count, 128), np.nan, np.float32)
        for row, numbers in self._descriptors.items():
            descriptors[row] = numbers
        return tracks.gather(
            self._boxes.table, self._bodies.table, self._faces.table, descriptors, shots, self._aspect
        )

    def _look(self, time: int, frame: np.ndarray) -> None:
        """Find everything in a frame, follow it, and read the people."""
        found = self._detect(frame)
        persons = np.flatnonzero(found.labels == PERSON).tolist()
        nearest = sorted(persons, key=lambda row: -area(found.boxes[row]))[:BODIES]
        poses = {row: bodies.pose(frame, found.boxes[row]) for row in nearest}
        keep = self._believed(found, poses)
        boxes, labels, scores = found.boxes[keep], found.labels[keep], found.scores[keep]
        poses = {keep.index(row): pose for row, pose in poses.items() if row in keep}

        close_up = None
        if not (labels == PERSON).any():
            close_up = faces.find_close_up(frame)
            if close_up:
                boxes = np.concatenate((boxes, shoulders(close_up[0].box)[None]))
                labels, scores = np.append(labels, PERSON), np.append(scores, close_up[0].quality)
                poses[len(boxes) - 1] = bodies.pose(frame, boxes[-1])

        seen: dict[int, Chain] = {}
        for row, chain in enumerate(self._follower.follow(time, labels, boxes)):
            self._boxes.append(time, chain, labels[row], boxes[row], scores[row])
            if labels[row] != PERSON:
                continue
            state = self._chains.get(chain) or Chain(boxes[row], since=time)
            state.box, state.posed, state.face = boxes[row], row in poses, None
            self._chains[chain] = seen[chain] = state
            if row in poses:
                self._read(time, frame, chain, state, poses[row], close_up)
        for chain in [chain for chain, state in self._chains.items() if chain not in seen]:
            self._describe(self._chains[chain])
            self._chains[chain].posed = False

    def _detect(self, frame: np.ndarray) -> objects.Objects:
        """Objects of the picture without its black bars, so that the detector sees it as large as can be."""
        height, width = frame.shape[:2]
        rows, columns = bars.inside(self._brightest[None])
        y0, y1 = rows.start * height // THUMBNAIL[1], -(-rows.stop * height // THUMBNAIL[1])
        x0, x1 = columns.start * width // THUMBNAIL[0], -(-columns.stop * width // THUMBNAIL[0])
        found = objects.detect(frame[y0:y1, x0:x1])
        scale = np.array((x1 - x0, y1 - y0) * 2, np.float32)
        boxes = (found.boxes * scale + (x0, y0, x0, y0)) / (width, height, width, height)
        return objects.Objects(found.labels, boxes.astype(np.float32), found.scores)

    def _believed(self, found: objects.Objects, poses: dict[int, np.ndarray]) -> list[int]:
        """The rows of what is there: people the detector is unsure of must show a body, and nobody is two."""
        keep: list[int] = []
        for row, score in enumerate(found.scores.tolist()):  # best first
            pose = poses.get(row)
            unsure = score < objects.SCORE and (pose is None or (pose[:, 2] > SEEN).sum() < BELIEVED)
            twice = pose is not None and any(
                bodies.same(pose, poses[other], self._aspect) for other in keep if other in poses
            )
            if not unsure and not twice:
                keep.append(row)
        return keep

    def _read(
        self,
        time: int,
        frame: np.ndarray,
        chain: int,
        state: Chain,
        keypoints: np.ndarray,
        close_up: tuple[faces.Face, np.ndarray | None] | None,
    ) -> None:
        """Read the body, and the face where it shows; keep the best face to be described later."""
        self._bodies.append(time, chain, keypoints)
        state.limbs = bool((keypoints[MOVING, 2] > SEEN).any())
        if close_up is None:
            guess = faces.head(frame, state.box, keypoints)
            close_up = faces.find(frame, guess) if guess else None
        if close_up is None:
            return
        face, chip = close_up
        state.face = face.box
        self._note(time, chain, face)
        if time - state.since >= STRETCH * (state.described + 1):
            self._describe(state)
            state.since = time
        if chip is not None and face.quality > max(state.quality, READABLE):
            state.chip, state.row, state.quality = chip, self._faces.count - 1, face.quality

    def _glance(self, time: int, frame: np.ndarray) -> None:
        """Read again what moves fast: limbs and mouths."""
        posed = [chain for chain, state in self._chains.items() if state.posed]
        posed.sort(key=lambda chain: -area(self._chains[chain].box))
        for chain in posed[:GLANCED]:
            state = self._chains[chain]
            if state.limbs:
                keypoints = bodies.pose(frame, state.box)
                self._bodies.append(time, chain, keypoints)
                guess = faces.head(frame, state.box, keypoints)
                face = faces.glimpse(frame, guess) if guess else None
            else:
                face = faces.again(frame, state.face) if state.face is not None else None
            if face:
                self._note(time, chain, face)

    def _note(self, time: int, chain: int, face: faces.Face) -> None:
        self._faces.append(time, chain, face.box, *(getattr(face, measure) for measure in MEASURES))

    def _describe(self, state: Chain) -> None:
        """Describe the best face that waits."""
        if state.chip is not None:
            self._descriptors[state.row] = descriptor.describe(state.chip)
            state.described += 1
            state.chip, state.quality = None, 0.0

    def _forget(self) -> None:
        for state in self._chains.values():
            self._describe(state)
        self._chains.clear()
        self._follower.forget()

    def _changed(self, frame: np.ndarray) -> bool:
        """Whether the picture is all another than the one before."""
        nth = max(1, frame.shape[0] // (2 * THUMBNAIL[1]))
        thumbnail = cv2.resize(frame[::nth, ::nth], THUMBNAIL, interpolation=cv2.INTER_AREA)
        self._brightest = np.maximum(self._brightest, thumbnail)
        small = thumbnail.mean(2)
        before, self._thumbnail = self._thumbnail, small
        return before is not None and float(np.abs(small - before).mean()) > CUT


def area(box: np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def shoulders(face: np.ndarray) -> np.ndarray:
    """The box of head and shoulders around the box (4,) of a close-up's face."""
    x0, y0, x1, y1 = face
    width, height = x1 - x0, y1 - y0
    box = (x0 - 0.6 * width, y0 - 0.4 * height, x1 + 0.6 * width, y1 + 0.6 * height)
    return np.array(box, np.float32).clip(0, 1)
