"""Describing a set of clips, and how good that is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from avmodels.metrics import caption, characters, ptb
from avmodels.uni_ad.batches import evaluation_batch, shared_places
from avmodels.uni_ad.config import Describing
from avmodels.uni_ad.data import Told
from avmodels.uni_ad.generate import Rules, beam_search, greedy, sample, words_only
from avmodels.uni_ad.language import Words
from avmodels.uni_ad.model import UniAD


def rules(config: Describing, model: UniAD) -> Rules:
    """The rules of generation; in the form mad hypotheses begin with a BOS that is never fed."""
    how = config.generation
    start = model.gpt.config.bos_token_id if config.model.form == "mad" else None
    return Rules(how.beams, how.longest, how.repetition, how.grams, start, how.temperature, how.top_p)


@torch.no_grad()
def describe(
    model: UniAD, told: Sequence[Told], config: Describing, words: Words, here: Accelerator
) -> list[str]:
    """A description of everything, in order, made by all processes together."""
    how = rules(config, model)
    search = sample if config.generation.sampled else beam_search if how.beams > 1 else greedy
    mine = range(here.process_index, len(told), here.num_processes)
    # Prompts of like length are padded little.
    items = sorted(((number, told[number].read()) for number in mine), key=lambda one: len(one[1].prompt))
    found: list[tuple[int, str]] = []
    for start in range(0, len(items), config.training.batch):
        part = items[start : start + config.training.batch]
        read = [one for _, one in part]
        shared = shared_places(read, model.extra.video, model.extra.image)
        batch = evaluation_batch(read, model.extra.pad)
        batch = {name: value.to(here.device) for name, value in batch.items()}
        with here.autocast():
            mapped = model.map_video(batch["frames"]), model.map_characters(batch["exemplars"])
            said = search(model, model.embed(batch["ids"], *mapped), batch["mask"], how, shared)
        texts = [words.decode(words_only(one.ids, model.words)).strip() for one in said]
        found += zip((number for number, _ in part), texts, strict=True)
    if here.num_processes > 1:
        found = gather_object(found)
    return [text for _, text in sorted(found)]


def measure(
    model: UniAD,
    told: Sequence[Told],
    config: Describing,
    words: Words,
    here: Accelerator,
    results: Path | None = None,
) -> dict[str, float]:
    """CIDEr and ROUGE-L times 100, their sum `score`, and precision and recall of the candidates' names.

    Writes predictions.jsonl, a line a description with its reference, into `results`.
    """
    said = describe(model, told, config, words, here)
    generated, references = ptb.tokenize_all(said), [[ptb.tokenize(one.text)] for one in told]
    cider, rouge = (metric(generated, references) for metric in (caption.cider, caption.rouge_l))
    casts = [{person: [person] for person in one.people} for one in told]
    everyone = {person: [person] for cast in casts for person in cast}
    named = [characters.named(text, everyone) for text in said]
    true = [characters.named(one.text, everyone) for one in told]
    found = characters.found(named, true)
    if results is not None and here.is_main_process:
        lines = [
            json.dumps({"film": one.film, "said": text, "reference": one.text}, ensure_ascii=False)
            for one, text in zip(told, said, strict=True)
        ]
        results.mkdir(parents=True, exist_ok=True)
        (results / "predictions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {
        "cider": 100 * cider.corpus,
        "rouge_l": 100 * rouge.corpus,
        "score": 100 * (cider.corpus + rouge.corpus),
        "name_precision": 100 * found.precision,
        "name_recall": 100 * found.recall,
        "descriptions": len(said),
    }
