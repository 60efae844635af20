"""Reading: lines of text in one picture, by RapidOCR (PP-OCRv4 detection and recognition on ONNX Runtime)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from rapidocr_onnxruntime import RapidOCR

from avtool import cores
from avtool.pronunciation import known
from avtool.weights import trusted

SHORT_SIDE = 256  # pixels, of the picture that lines are looked for in; they are read at full size
LINE = 36  # pixels: lines are measured at about this height
STRAY = " -~_|'`·•"  # what the ground at both ends of a line is read as
WIDER = 0.35  # heights of the line: read this far beyond both of its ends


@dataclass(frozen=True, slots=True)
class Reading:
    text: str
    confidence: float


class Reader:
    """Finds lines of text in a picture, and reads them: two steps, since reading costs as much a line as finding."""

    def __init__(self) -> None:
        # With a limit of 32 pixels a picture is searched at the size it is given in.
        self._ocr = RapidOCR(
            intra_op_num_threads=cores.share(),
            inter_op_num_threads=1,
            det_limit_side_len=32,
            det_model_path=str(trusted("rapidocr-detection")),
            rec_model_path=str(trusted("rapidocr-recognition")),
        )

    def find(self, picture: np.ndarray) -> np.ndarray:
        """Corners (lines, 4, 2) in pixels of `picture` RGB (height, width, 3), clockwise from the top left.

        They are rough, for the picture is searched small; `measure` makes them exact.
        """
        return self._search(picture, min(1.0, SHORT_SIDE / min(picture.shape[:2])))

    def measure(self, picture: np.ndarray, corners: np.ndarray) -> np.ndarray:
        """The corners (4, 2) of the whole line of which `find` saw at least a part."""
        (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
        height = y1 - y0
        top, bottom = max(0, int(y0 - height)), int(y1 + height)
        band = picture[top:bottom]
        pieces = self._search(band, min(LINE / height, 1.0)) + np.array([0, top], np.float32)
        row = [piece for piece in pieces if y0 < piece[:, 1].mean() < y1]
        left, right = x0, x1
        parts: list[np.ndarray] = []
        while grown := [p for p in row if p[:, 0].min() < right + height and p[:, 0].max() > left - height]:
            parts += grown
            row = [piece for piece in row if not any(piece is part for part in grown)]
            left = min(left, *(float(part[:, 0].min()) for part in grown))
            right = max(right, *(float(part[:, 0].max()) for part in grown))
        if not parts:
            return corners
        parts.sort(key=lambda part: float(part[:, 0].mean()))
        first, last = parts[0], parts[-1]
        return np.stack([first[0], last[1], last[2], first[3]])

    def _search(self, picture: np.ndarray, scale: float) -> np.ndarray:
        height, width = picture.shape[:2]
        size = (max(32, round(width * scale)), max(32, round(height * scale)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        corners, _ = self._ocr.text_det(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        if corners is None or not len(corners):
            return np.empty((0, 4, 2), np.float32)
        return np.asarray(corners, np.float32) * np.array([width / size[0], height / size[1]], np.float32)

    def read(self, picture: np.ndarray, corners: np.ndarray) -> Reading:
        """The line between `corners` (4, 2) of `picture`. It is as sure as its weakest word."""
        # A line that touches the crop's edge loses its spaces and half a letter: with margins 1 in 100 does, not 8.
        height = float(np.linalg.norm(corners[3] - corners[0]))
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        crop = self._ocr.get_crop_img_list(bgr, [_widened(corners, height * WIDER)])[0]
        border = max(1, round(height / 6))
        crop = cv2.copyMakeBorder(crop, border, border, border, border, cv2.BORDER_REPLICATE)
        # With its second argument it also gives the confidence of each letter, which its types leave out.
        lines: list[Any] = self._ocr.text_rec([crop], True)[0]
        text, _, (*_, sureties) = lines[0]
        words, at = [], 0
        for word in text.split(" "):
            letters = sureties[at : at + len(word)]
            at += len(word) + 1
            if any(map(str.isalnum, word)):
                words.append(sum(letters) / len(letters))
        return Reading(_tidy(text), float(min(words, default=0.0)))


def _widened(corners: np.ndarray, margin: float) -> np.ndarray:
    """`corners` with `margin` pixels more at both ends of the line."""
    along = corners[1] - corners[0]
    step = margin * along / max(1.0, float(np.linalg.norm(along)))
    return (corners + np.stack([-step, step, step, -step])).astype(np.float32)


# Words of two and three letters that a lost space may have left beside another. Longer ones are looked up.
_SHORT = frozenset(
    {
        *(
            "am",
            "at",
            "be",
            "by",
            "do",
            "go",
            "he",
            "if",
            "in",
            "is",
            "it",
            "me",
            "my",
            "no",
            "of",
            "on",
            "or",
            "so",
        ),
        *(
            "to",
            "up",
            "us",
            "we",
            "and",
            "are",
            "but",
            "can",
            "for",
            "had",
            "has",
            "her",
            "him",
            "his",
            "how",
            "its",
        ),
        *(
            "new",
            "not",
            "off",
            "old",
            "one",
            "our",
            "out",
            "she",
            "the",
            "two",
            "was",
            "way",
            "who",
            "why",
            "you",
        ),
    }
)


def _tidy(text: str) -> str:
    """`text` in plain punctuation, with spaces where the recogniser lost them."""
    text = unicodedata.normalize("NFKC", text).strip(STRAY)
    text = re.sub(r"\b([^\W\d_]{4,})(?=\d+\b)", r"\1 ", text)
    text = re.sub(r"([^\W\d])([,;:])(?=\w)", r"\1\2 ", text)
    return " ".join(re.sub(r"[^\W\d_]{5,}", lambda match: " ".join(_divide(match.group())), text).split())


def _divide(letters: str) -> list[str]:
    """`letters` as the fewest words: "NOENTRY" is two; what is a word, or cannot be divided, is one.

    A name taken apart ("Strange ways") sounds as it should; words run together do not.
    """
    if known(letters):
        return [letters]
    best: list[list[str]] = [[]]  # the fewest words up to each letter; empty where there are none
    for end in range(1, len(letters) + 1):
        found = [
            [*best[start], letters[start:end]]
            for start in range(end)
            if (best[start] or not start) and _is_part(letters[start:end])
        ]
        best.append(min(found, key=len, default=[]))
    return best[-1] or [letters]


def _is_part(letters: str) -> bool:
    return letters.lower() in _SHORT or (len(letters) >= 4 and known(letters))
