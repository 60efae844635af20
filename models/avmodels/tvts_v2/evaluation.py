"""The published tests: texts and videos find each other, clips are named, and transcripts put in order."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from avmodels.engine.judging import judge
from avmodels.engine.train import Batch
from avmodels.metrics import retrieval
from avmodels.nn.clip_text import trim
from avmodels.tvts_v2 import data, embedding, lists, loss, zero_shot
from avmodels.tvts_v2.config import Pretraining, ZeroShot
from avmodels.tvts_v2.model import TVTS

RETRIEVAL = {
    "msr-vtt": lists.msr_vtt,
    "didemo": lists.didemo,
    "lsmdc": lists.lsmdc,
    "webvid": partial(lists.webvid, split="val"),
}


def test(model: TVTS, folder: Path, results: Path, config: ZeroShot, here: Accelerator) -> dict[str, float]:
    """The metrics of the configuration's set, in per cent where they are shares; a table of every query's result
    is left in `results`. Raises DataError for lists that are wrong and for too many unreadable videos."""
    name = config.data.set
    if name in RETRIEVAL:
        return retrieve(model, RETRIEVAL[name](folder), results, config, here)
    if name == "ssv2-mc":
        return choose(model, lists.multiple_choice(folder), results, config, here)
    clips, names = lists.actions(folder, name)
    return recognise(model, clips, names, results, config, here)


def sort(
    model: nn.Module, clips: Sequence[lists.Narrated], config: Pretraining, here: Accelerator
) -> dict[str, float]:
    """`sorted`: the transcripts in per cent that are put in their places, one stretch of every video. `in order`:
    the videos of which all are."""

    def score(model: nn.Module, batch: Batch) -> dict[str, float]:
        tokens = batch["tokens"]
        texts = tokens.shape[1]
        logits = model(batch["video"], trim(tokens.transpose(0, 1).flatten(0, 1)), None, texts).places
        places = torch.arange(texts, device=logits.device).expand(logits.shape[:2])
        right = (logits.argmax(-1) == places).float().mean(1)
        ordered = loss.in_order(logits, places)
        return {"sorted": 100 * right.sum().item(), "in order": 100 * ordered.sum().item()}

    return judge(model, clips, data.sorting_reader(config), score, config.training, here)


def retrieve(
    model: TVTS, clips: Sequence[lists.Captioned], results: Path, config: ZeroShot, here: Accelerator
) -> dict[str, float]:
    """Ranks both ways, one caption a video; how many captions were cut, and videos unreadable."""
    texts = [clip.caption for clip in clips]
    vectors, unreadable = embedding.videos(model, [clip.path for clip in clips], config, here)
    similarities = loss.similarity(embedding.sentences(model, texts, here), vectors).numpy()
    ranks = {"t2v": retrieval.column_ranks(similarities), "v2t": retrieval.row_ranks(similarities)}
    rows = zip(clips, ranks["t2v"] + 1, ranks["v2t"] + 1, strict=True)
    table(
        here,
        results / "ranks.csv",
        ("video", "caption", "rank of video", "rank of caption"),
        ((clip.path.name, clip.caption, *both) for clip, *both in rows),
    )
    if config.data.dual_softmax:
        ranks["t2v DSL"] = retrieval.column_ranks(retrieval.dual_softmax(similarities))
    recalls = {
        f"{way} {name}": value for way in ranks for name, value in retrieval.recalls(ranks[way]).items()
    }
    cut = embedding.too_long(texts, model.size.text.context)
    return recalls | {"captions cut": cut, "unreadable": unreadable}


def recognise(
    model: TVTS,
    clips: Sequence[lists.Labelled],
    names: Sequence[str],
    results: Path,
    config: ZeroShot,
    here: Accelerator,
) -> dict[str, float]:
    """Top-1 and top-5 of the classes' names put into the template."""
    vectors, unreadable = embedding.videos(model, [clip.path for clip in clips], config, here)
    text = embedding.sentences(model, [config.data.template.format(name) for name in names], here)
    scores = zero_shot.logits(vectors, zero_shot.classes(text[:, None])).numpy()
    labels = np.array([clip.label for clip in clips])
    rows = zip(clips, scores.argmax(1), strict=True)
    table(
        here,
        results / "names.csv",
        ("video", "right", "named"),
        ((clip.path.name, names[clip.label], names[best]) for clip, best in rows),
    )
    return zero_shot.accuracy(scores, labels) | {"unreadable": unreadable}


def choose(
    model: TVTS, questions: Sequence[lists.Choice], results: Path, config: ZeroShot, here: Accelerator
) -> dict[str, float]:
    """Top-1 and top-5 among each video's own sentences; all videos have as many."""
    vectors, unreadable = embedding.videos(model, [question.path for question in questions], config, here)
    options = [option for question in questions for option in question.options]
    text = embedding.sentences(model, options, here).unflatten(0, (len(questions), -1)).transpose(0, 1)
    scores = zero_shot.logits(vectors, text).numpy()
    answers = np.array([question.answer for question in questions])
    rows = zip(questions, scores.argmax(1), strict=True)
    table(
        here,
        results / "names.csv",
        ("video", "right", "named"),
        (
            (question.path.name, question.options[question.answer], question.options[best])
            for question, best in rows
        ),
    )
    return zero_shot.accuracy(scores, answers) | {"unreadable": unreadable}


def table(here: Accelerator, path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV file, written by the first process, beside and then renamed."""
    if not here.is_main_process:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.part")
    with beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    os.replace(beside, path)
