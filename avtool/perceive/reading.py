"""Reading: lines of text in one picture, by RapidOCR (PP-OCRv4 detection and recognition on ONNX Runtime)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from rapidocr_onnxruntime import RapidOCR

SHORT_SIDE = 320  # pixels, of the picture that lines are looked for in; they are read at full size
LINE = 36  # pixels: lines are measured at about this height
THREADS = 2


@dataclass(frozen=True, slots=True)
class Reading:
    text: str
    confidence: float


class Reader:
    """Finds lines of text in a picture, and reads them: two steps, since reading costs as much a line as finding."""

    def __init__(self) -> None:
        # With a limit of 32 pixels a picture is searched at the size it is given in.
        self._ocr = RapidOCR(intra_op_num_threads=THREADS, inter_op_num_threads=1, det_limit_side_len=32)

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
        pieces = self._search(band, min(LINE / height, 1.0)) + np.float32([0, top])
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
        return np.asarray(corners, np.float32) * np.float32([width / size[0], height / size[1]])

    def read(self, picture: np.ndarray, corners: np.ndarray) -> Reading:
        """The line between `corners` (4, 2) of `picture`. It is as sure as its weakest word."""
        crop = self._ocr.get_crop_img_list(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), corners[None])[0]
        # A line that touches the crop's edge loses its spaces: "NOENTRY". With this margin 1 in 100 does, not 8.
        margin = max(1, crop.shape[0] // 6)
        crop = cv2.copyMakeBorder(crop, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        text, _, (*_, sureties) = self._ocr.text_rec([crop], True)[0][0]
        words, at = [], 0
        for word in text.split(" "):
            letters = sureties[at : at + len(word)]
            at += len(word) + 1
            if letters:
                words.append(sum(letters) / len(letters))
        return Reading(_tidy(text), float(min(words, default=0.0)))


_CAMEL = re.compile(r"\b([A-Z]?[a-z]{2,})([A-Z][a-z]{2,})\b")


def _tidy(text: str) -> str:
    """`text` in plain punctuation, with the spaces that its capitals and commas ask for."""
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"([^\W\d])([,;:])(?=\w)", r"\1\2 ", text)
    return " ".join(_CAMEL.sub(_divide, text).split())


def _divide(match: re.Match[str]) -> str:
    """ "HarbourOffice" is two words since both are known; "McDonald" is one."""
    first, second = match.groups()
    return f"{first} {second}" if known(first) and known(second) else match.group()


@cache
def known(word: str) -> bool:
    """Whether the CMU pronouncing dictionary, 126 000 English words and names, has `word`."""
    import pronouncing  # reads the dictionary, a quarter of a second, at its first word

    return bool(pronouncing.phones_for_word(word.lower()))
