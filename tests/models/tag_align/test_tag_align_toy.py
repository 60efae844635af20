"""The toy pictures: what their captions say is what their maps show, and what is held out was never said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from avmodels.tag_align import datasets, lists, toy


def test_captions_tags_and_maps_agree(tmp_path: Path) -> None:
    toy.make(tmp_path, 40, 6)
    words = lists.tag_words(tmp_path / "tags.csv", 10)
    assert set(words) == {*toy.FIGURES, *toy.COLOURS}
    pairs = lists.read_pairs([tmp_path], 10)
    assert len(pairs) == 40
    for number, caption in enumerate(pairs.captions):
        said = {words[tag] for tag in pairs.present(number)}
        assert said == {word for word in caption.replace(",", "").split() if word in words}
        assert not {f"{colour} {shape}" for shape, colour in zip(toy.FIGURES, toy.COLOURS, strict=True)} & {
            " ".join(two) for two in zip(caption.split(), caption.split()[1:], strict=False)
        }
    for kind in ("colours", "shapes"):
        data = datasets.from_json(json.loads((tmp_path / f"{kind}.json").read_text()))
        items = datasets.listing(data, tmp_path)
        assert len(items) == 6
        shown = [np.unique(np.asarray(Image.open(label))) for _, label in items]
        assert all(len(classes) == 4 and classes[-1] == toy.NOWHERE for classes in shown)
