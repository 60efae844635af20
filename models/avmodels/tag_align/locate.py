"""Words in one picture: how surely each is there, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avmodels.tag_align import pictures
from avmodels.tag_align.config import Inference
from avmodels.tag_align.loss import LARGEST_SCALE
from avmodels.tag_align.model import TagAlign
from avmodels.tag_align.prompts import embed_words
from avmodels.tag_align.segment import PUBLISHED, Protocol, cosines, picture_scores, resize

# A word is as surely there as its best patches say, so large a share of them.
BEST = 0.05


class Located(NamedTuple):
    """One word in a picture: its score in [0, 1], and its map (height, width) of scores in [0, 1], float32."""

    word: str
    score: float
    map: np.ndarray


class Locator:
    """Finds the same words in many pictures: the words are embedded once."""

    def __init__(self, model: TagAlign, words: Sequence[str], how: Inference):
        self._model = model
        self._words = list(words)
        self._embedded = embed_words(model.clip_text_encoder, self._words, how.template)
        self.protocol = single(how)

    def __call__(self, picture: np.ndarray) -> list[Located]:
        """The words in picture (H, W, 3), RGB uint8, in the order they were given."""
        image = pictures.normalised(pictures.fit(picture, self.protocol.bounds))
        maps = picture_scores(self._model, image, self._embedded, self.protocol)
        at_size = resize(maps[None], *picture.shape[:2])[0]
        scores = presence(maps)
        return [
            Located(word, float(score), part.numpy())
            for word, score, part in zip(self._words, scores, at_size.float().cpu(), strict=True)
        ]

    @torch.inference_mode()
    def likeliest(self, picture: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
        """How likely each of the words is what is in a box (x0, y0, x1, y1 in [0, 1]) of picture (H, W, 3), RGB uint8,
        one of them being it: (words,), by the mean cosine of its patches, as CLIP names pictures."""
        image = pictures.normalised(pictures.fit(picture, self.protocol.bounds))[None]
        maps = cosines(self._model(image), self._embedded)[0]  # (words, h, w)
        (x0, y0, x1, y1), (height, width) = box, maps.shape[1:]
        top, left = min(int(y0 * height), height - 1), min(int(x0 * width), width - 1)
        inside = maps[:, top : max(round(y1 * height), top + 1), left : max(round(x1 * width), left + 1)]
        return (LARGEST_SCALE * inside.mean((1, 2))).softmax(0).numpy()


def single(how: Inference) -> Protocol:
    """The published protocol for words that need not exclude each other: each is scored by itself."""
    protocol = PUBLISHED["v1"]
    changed = {name: value for name in ("clip", "background") if (value := getattr(how, name)) is not None}
    return Protocol(**{**vars(protocol), **changed, "refine": how.refine})


@torch.inference_mode()
def presence(maps: Tensor) -> Tensor:
    """maps (K, H, W) -> the mean of each map's highest values, (K,)."""
    flat = maps.flatten(1)
    return flat.topk(max(1, round(BEST * flat.shape[1])), dim=1).values.mean(1)
