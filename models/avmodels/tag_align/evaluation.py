"""Zero-shot segmentation, measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, Dataset

from avmodels.data.clips import UnreadableError
from avmodels.engine.judging import limit, total
from avmodels.tag_align import datasets, miou, pictures
from avmodels.tag_align.config import Alignment, Contrasting
from avmodels.tag_align.datasets import DataSet
from avmodels.tag_align.model import TagAlign
from avmodels.tag_align.prompts import embed_words
from avmodels.tag_align.segment import segment


class Labelled(Dataset[dict[str, Any]]):
    """Pictures ready for the network, and their label maps; for one that cannot be read, why, as `unreadable`."""

    def __init__(self, items: list[tuple[Path, Path]], data: DataSet, bounds: tuple[int, int]):
        self._items = items
        self._data = data
        self._bounds = bounds

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, number: int) -> dict[str, Any]:
        path, label_path = self._items[number]
        try:
            picture, label = datasets.read_picture(path), datasets.read_label(label_path, self._data)
            if picture.shape[:2] != label.shape:
                raise UnreadableError(
                    f"{path} is {picture.shape[1]} x {picture.shape[0]}, {label_path} {label.shape[1]} x {label.shape[0]}"
                )
        except UnreadableError as error:
            return {"unreadable": str(error)}
        picture = datasets.reduced(picture) if self._data.colour else picture
        fitted = pictures.normalised(pictures.fit(picture, self._bounds))
        return {"image": fitted, "label": label, "size": picture.shape[:2]}


@torch.inference_mode()
def areas_of(
    model: TagAlign, data: DataSet, root: Path, config: Alignment | Contrasting, here: Accelerator
) -> tuple[miou.Areas, int]:
    """The areas over all pictures of a data set, and how many pictures could not be read.

    Raises DataError where more than training.max_unreadable of them cannot.
    """
    how = datasets.protocol(config.inference, data)
    words = embed_words(model.clip_text_encoder, data.words, config.inference.template)
    items = datasets.listing(data, root)
    mine = Labelled(items[here.process_index :: here.num_processes], data, how.bounds)
    areas, unreadable = np.zeros((4, len(data.classes)), np.int64), 0
    for item in DataLoader(mine, batch_size=None, num_workers=config.training.workers):
        if "unreadable" in item:
            unreadable += 1
            print(f"skipped: {item['unreadable']}", file=sys.stderr)
            continue
        with here.autocast():
            height, width = item["size"]
            image = item["image"].to(here.device)
            found = segment(model, image, words, how, (height, width), data.background)
        prediction, label = found.cpu().numpy().astype(np.int32), np.asarray(item["label"])
        if prediction.shape != label.shape:  # of a picture that was reduced
            prediction = cv2.resize(prediction, label.shape[::-1], interpolation=cv2.INTER_NEAREST)
        areas += np.stack(miou.areas(prediction, label, len(data.classes), data.ignored))
    *flat, missed = total([*areas.ravel().tolist(), unreadable], here)
    limit(missed, len(items), config.training.max_unreadable)
    return miou.Areas(*np.array(flat).astype(np.int64).reshape(4, -1)), int(missed)


def measure(
    model: TagAlign,
    root: Path,
    config: Alignment | Contrasting,
    here: Accelerator,
    results: Path | None = None,
) -> dict[str, float]:
    """Mean intersection over union in percent on each of inference.data below `root`, and their mean as `miou`.

    With `results`, writes each data set's intersection over union by class to `results`/<name>.json.
    """
    metrics: dict[str, float] = {}
    missed = 0
    for name in config.inference.data:
        data = datasets.find(name, root)
        areas, unreadable = areas_of(model, data, root, config, here)
        metrics[name] = miou.mean_iou(areas)
        missed += unreadable
        if results is not None and here.is_main_process:
            pairs = zip(data.classes, miou.ious(areas), strict=True)
            by_class = [(word, None if np.isnan(iou) else round(float(iou), 4)) for word, iou in pairs]
            results.mkdir(parents=True, exist_ok=True)
            (results / f"{name}.json").write_text(json.dumps(by_class, indent=1), encoding="utf-8")
    return metrics | {"miou": float(np.mean(list(metrics.values()))), "unreadable": missed}
