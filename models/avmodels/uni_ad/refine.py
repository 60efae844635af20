"""Character refinement: which candidates a description will name, told by their exemplars and a clip's frames.

The published lists are its results; neither its code nor its weights were released. Ours is AutoAD II's recogniser
(characters.Recogniser), asked who is named in place of who is seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from avmodels.data.samples import Sample, Samples
from avmodels.engine.processes import onto
from avmodels.engine.train import Batch, Task
from avmodels.errors import DataError
from avmodels.uni_ad import data, films
from avmodels.uni_ad.batches import clip_frames
from avmodels.uni_ad.characters import Block, Recogniser, recognition_loss
from avmodels.uni_ad.config import Refining

# Who is named in a record, and who may be (as the published lists call them).
NAMED = "ad_chars_in_chars"


def build(config: Refining) -> Recogniser:
    """The network of a configuration, with random weights."""
    how = config.model
    return Recogniser(how.features, how.depth, how.heads, project=how.project)


class Clips:
    """The records of a list as what the recogniser reads: exemplars (most, width), frames (16, width), who is there
    and who is named (most,)."""

    def __init__(self, folder: Path, config: Refining, found: Any):
        self.path = folder / config.data.features
        self.faces = data.exemplars(folder / config.data.exemplars)
        self.most, self.width = config.model.most, config.model.features
        entries = found.items() if isinstance(found, Mapping) else [(one["movie_id"], [one]) for one in found]
        self.records: list[tuple[str, Mapping[str, Any]]] = []
        self.samples: list[films.Sample] = []
        for film, some in entries:
            for entry in some:
                sample = films.mad_sample(entry, film, config.data.candidates)
                if sample is not None and sample.characters:
                    self.records.append((film, entry))
                    self.samples.append(sample)
        if not self.samples:
            raise DataError(f"no record has {config.data.candidates}")

    def read(self, number: int, drawn: bool) -> Sample:
        """One record's tensors."""
        sample, (film, entry) = self.samples[number], self.records[number]
        frames = clip_frames(data.film_part(self.path, sample), data.within(sample), drawn)
        people = sample.characters[: self.most]
        named = {one["id"] for one in entry.get(NAMED, ())}
        exemplars = np.zeros((self.most, self.width), np.float32)
        present, target = np.zeros(self.most, bool), np.zeros(self.most, bool)
        for place, one in enumerate(people):
            face = self.faces.get(f"{film}_{one.id}")
            if face is not None:
                exemplars[place], present[place], target[place] = face, True, one.id in named
        parts = {"exemplars": exemplars, "frames": frames, "present": present, "target": target}
        return {name: torch.from_numpy(part) for name, part in parts.items()}


def task(config: Refining, folder: Path) -> Task:
    """Learn from the training list who is named; judged on the evaluation list by precision and recall."""
    learned = Clips(folder, config, data.read_list(folder / config.data.train))
    held_out = Clips(folder, config, data.read_list(folder / config.data.evaluation))
    numbers = list(range(len(learned.samples)))
    return Task(
        model=build(config),
        sources=(Samples(numbers, lambda one: [learned.read(one, True)], config.training.seed),),
        groups=lambda model: [
            {
                "params": list(model.parameters()),
                "weight_decay": config.schedule.weight_decay,
                "lr_scale": 1.0,
            }
        ],
        loss=loss,
        units=(Block,),
        about={"system": "uni-ad", "config": config.model_dump(mode="json")},
        evaluate=lambda model, here: measure(model, held_out, config, here),
        best="f1",
    )


def loss(model: nn.Module, batch: Batch) -> Tensor:
    """Named against not, of those who are there."""
    logits = model(batch["exemplars"], batch["frames"], batch["present"])
    return recognition_loss(logits, batch["target"], batch["present"])


@torch.no_grad()
def probabilities(model: nn.Module, clips: Clips, batch: int, here: Accelerator) -> list[list[float]]:
    """How likely each candidate of each record is named."""
    model.eval()
    found: list[list[float]] = []
    for start in range(0, len(clips.samples), batch):
        numbers = range(start, min(start + batch, len(clips.samples)))
        items = [clips.read(number, False) for number in numbers]
        part = onto({name: torch.stack([one[name] for one in items]) for name in items[0]}, here.device)
        with here.autocast():
            rows = model(part["exemplars"], part["frames"], part["present"]).float().sigmoid()
        rows = rows.masked_fill(~part["present"], 0).tolist()
        found += [
            row[: len(clips.samples[number].characters)] for number, row in zip(numbers, rows, strict=True)
        ]
    model.train()
    return found


def measure(model: nn.Module, clips: Clips, config: Refining, here: Accelerator) -> dict[str, float]:
    """Precision and recall of those left, and how many candidates there were and are left a description."""
    chances = probabilities(model, clips, config.training.batch, here)
    right = kept = named = candidates = 0
    for number, row in enumerate(chances):
        (_, entry), sample = clips.records[number], clips.samples[number]
        true = {one["id"] for one in entry.get(NAMED, ())} & {one.id for one in sample.characters}
        left = {one.id for one, p in zip(sample.characters, row, strict=False) if p > config.threshold}
        right, kept, named = right + len(left & true), kept + len(left), named + len(true)
        candidates += len(sample.characters)
    precision, recall = right / max(kept, 1), right / max(named, 1)
    return {
        "precision": 100 * precision,
        "recall": 100 * recall,
        "f1": 200 * precision * recall / max(precision + recall, 1e-9),
        "candidates": candidates / len(chances),
        "left": kept / len(chances),
    }


def refined(
    model: nn.Module, config: Refining, folder: Path, found: Any, here: Accelerator
) -> dict[str, Any]:
    """The evaluation list with those left under `prob`, and all chances under `prob_data`, as published."""
    clips = Clips(folder, config, found)
    chances = probabilities(model, clips, config.training.batch, here)
    by_record = {id(entry): row for (_, entry), row in zip(clips.records, chances, strict=True)}
    return {
        film: [
            {
                **entry,
                "prob": left(
                    entry.get(config.data.candidates, ()), by_record.get(id(entry), ()), config.threshold
                ),
                "prob_data": by_record.get(id(entry), []),
            }
            for entry in entries
        ]
        for film, entries in found.items()
    }


def left(people: Sequence[Any], row: Sequence[float], threshold: float) -> list[Any]:
    return [one for one, chance in zip(people, row, strict=False) if chance > threshold]


def write(document: Any, path: Path) -> None:
    """A list as JSON, written beside and then renamed."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(document), encoding="utf-8")
    beside.replace(path)
