"""COCO's average precision of boxes and masks, by its own evaluation."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, Literal

# The names of COCO's measures, in the order of its list.
MEASURES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


def average_precision(
    truth: Any, rows: list[dict[str, Any]], kind: Literal["bbox", "segm"], images: Sequence[int] | None = None
) -> dict[str, float]:
    """COCO's measures of results by `bbox` or `segm`, in percent; left out where there are no such objects.

    truth is pycocotools' COCO (whose types are looser than its stubs say); `rows` are results as its files have
    them, `images` the numbers of those to judge (None: all).
    """
    from pycocotools.cocoeval import COCOeval

    if not rows:
        return dict.fromkeys(MEASURES[:3], 0.0)
    with quiet():
        evaluation = COCOeval(truth, truth.loadRes(rows), kind)
        if images is not None:
            evaluation.params.imgIds = list(images)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    means = zip(MEASURES, evaluation.stats, strict=False)
    return {name: 100 * float(value) for name, value in means if value >= 0}


def indexed(document: dict[str, Any]) -> Any:
    """A document of COCO's form as pycocotools' COCO. Raises KeyError or TypeError where it is of another form."""
    from pycocotools.coco import COCO

    held: Any = COCO()
    held.dataset = document
    with quiet():
        held.createIndex()
    return held


def quiet() -> contextlib.AbstractContextManager[Any]:
    """Keeps pycocotools from telling its progress on standard output, which is for results."""
    return contextlib.redirect_stdout(io.StringIO())
