"""What Uni-AD's parts are worth, and what its rewriting saves: `python bench/uni_ad.py [--json FILE]`.

The ablation of the paper on toy films: all of it, then without character refinement, without the clip before, and
without the contrastive loss, with three seeds each. Then how fast SmolLM2 describes clips with five beams, by the
published loop stated anew (fp32, a clip at a time, the prompt read six times) and by ours, in processor time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avmodels import run, zoo
from avmodels.engine.log import records
from avmodels.uni_ad import language, toy
from avmodels.uni_ad.batches import Item, evaluation_batch
from avmodels.uni_ad.generate import Rules, beam_search, disciplined
from avmodels.uni_ad.model import Size, UniAD
from avmodels.uni_ad.prompt import Character, Form, prompt
from avtool.weights import where

SEEDS = (0, 1, 2)
LANGUAGE = "smollm2-135m-instruct"
# Toy descriptions to learn and held out.
LEARNED, HELD_OUT = 960, 80
METRICS = ("cider", "rouge_l", "name_precision", "name_recall")
# Clips that are described, with two characters each, in so many new tokens.
CLIPS, LONGEST = 2, 12

# What the paper takes away, as settings of the tiny configuration.
WITHOUT = {
    "all": (),
    "without_refinement": ("data.told=char", "data.candidates=char"),
    "without_context": ("data.context=false",),
    "without_contrast": ("objectives.contrast=0",),
}


def ablation(seeds: tuple[int, ...] = SEEDS) -> dict[str, Any]:
    """Metrics on held-out toy films, of each seed, mean and spread (standard deviation)."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "toy"
        toy.make(data, LEARNED, HELD_OUT)
        found["refinement"] = refine(data, Path(folder) / "refinement")
        for name, settings in WITHOUT.items():
            runs = []
            for seed in seeds:
                place = Path(folder) / f"{name}-{seed}"
                config = zoo.load("uni-ad", "tiny", (*settings, f"training.seed={seed}"))
                run.train("uni-ad", config, data, place)
                runs.append([record for record in records(place) if "cider" in record][-1])
                print(name, seed, {metric: round(runs[-1][metric], 1) for metric in METRICS}, flush=True)
            found[name] = {
                metric: {
                    "runs": [one[metric] for one in runs],
                    "mean": statistics.mean(one[metric] for one in runs),
                    "spread": statistics.stdev(one[metric] for one in runs) if len(runs) > 1 else 0.0,
                }
                for metric in METRICS
            }
    return found


def refine(data: Path, place: Path) -> dict[str, float]:
    """Learns who will be named, and puts those left into the evaluation list; how good that is."""
    config = zoo.load("uni-ad", "tiny-refinement")
    run.train("uni-ad", config, data, place)
    metrics = run.evaluate("uni-ad", config, place / "model.safetensors", data, place / "scores")
    (place / "scores" / "refined.json").replace(data / "eval.json")
    return metrics


def describer() -> UniAD:
    """SmolLM2 with a mapping of MAD's form."""
    torch.manual_seed(0)
    size = Size("mad", heads=9, depth=1, lora=None)
    return UniAD(size, language.pretrained(where(LANGUAGE))).eval()


def clips(model: UniAD) -> list[Item]:
    """Clips of made features, with two characters each."""
    words = language.words(where(LANGUAGE))
    draw = torch.Generator().manual_seed(0)
    found = []
    for number in range(CLIPS):
        cast = [
            Character(f"{one}", name, f"Actor {name}") for one, name in enumerate(("Marcus Hale", "Ines"))
        ]
        ids, _ = prompt(words.encode, Form("mad", 30, 30), model.extra, cast[: 1 + number % 2], (), 1)
        frames = torch.randn(16, 768, generator=draw).numpy()
        people = [torch.randn(768, generator=draw).numpy() for _ in cast[: 1 + number % 2]]
        found.append(Item(ids, frames, people))
    return found


@torch.no_grad()
def as_published(model: UniAD, items: list[Item], rules: Rules) -> int:
    """The published loop stated anew; the tokens it made.

    A clip at a time: the whole model reads the prompt for its embeddings alone and makes logits of every place, then
    reads it again as many times as there are beams, and every beam's scores are made less likely in turn.
    """
    made = 0
    for one in items:
        batch = evaluation_batch([one], model.extra.pad)
        mapped = model.map_video(batch["frames"]), model.map_characters(batch["exemplars"])
        embeds = model.embed(batch["ids"], *mapped)
        model.logits(model.read(embeds, use_cache=False).last_hidden_state)
        copies = embeds.repeat(rules.beams, 1, 1)
        places = torch.arange(embeds.shape[1]).repeat(rules.beams, 1)
        read = model.read(copies, position_ids=places, use_cache=True)
        logits = model.logits(read.last_hidden_state)[:, -1].float()
        ids = torch.zeros(rules.beams, 0, dtype=torch.long)
        totals = torch.full((rules.beams,), -1e9)
        totals[0] = 0
        for step in range(rules.longest):
            scores = logits.log_softmax(-1)
            scores = torch.cat([punished(scores[row], ids[row], rules)[None] for row in range(rules.beams)])
            best, flat = (scores + totals[:, None]).flatten().topk(2 * rules.beams)
            rows, tokens = flat // scores.shape[-1], flat % scores.shape[-1]
            open_ones = (tokens != model.eos).nonzero()[: rules.beams, 0]
            totals, rows, tokens = best[open_ones], rows[open_ones], tokens[open_ones]
            ids = torch.cat([ids[rows], tokens[:, None]], dim=1)
            if step + 1 == rules.longest:
                break
            read.past_key_values.reorder_cache(rows)
            places = places[:, -1:] + 1
            read = model.read(
                model.embed_ids(tokens)[:, None],
                position_ids=places,
                past_key_values=read.past_key_values,
                use_cache=True,
            )
            logits = model.logits(read.last_hidden_state)[:, -1].float()
        made += ids.shape[1]
    return made


def punished(scores: Tensor, ids: Tensor, rules: Rules) -> Tensor:
    """One beam's scores (vocabulary,) after what it said."""
    return disciplined(scores[None], ids[None], rules)[0]


@torch.no_grad()
def as_ours(model: UniAD, items: list[Item], rules: Rules) -> int:
    """All clips in one batch, each prompt read once; the tokens made."""
    batch = evaluation_batch(items, model.extra.pad)
    mapped = model.map_video(batch["frames"]), model.map_characters(batch["exemplars"])
    said = beam_search(model, model.embed(batch["ids"], *mapped), batch["mask"], rules)
    return sum(len(one.ids) for one in said)


def generation() -> dict[str, Any]:
    """Tokens and descriptions a second of processor time."""
    rules, slow = Rules(longest=LONGEST), describer()
    fast = deepcopy(slow)
    fast.gpt.to(torch.bfloat16)
    items = clips(slow)
    ways: dict[str, Callable[[], int]] = {
        "published": lambda: as_published(slow, items, rules),
        "ours": lambda: as_ours(fast, items, rules),
    }
    found: dict[str, Any] = {}
    for name, way in ways.items():
        began = time.process_time()
        made = way()
        seconds = time.process_time() - began
        found[name] = {
            "seconds": seconds,
            "tokens_per_second": made / seconds,
            "descriptions_per_second": CLIPS / seconds,
        }
    for rate in ("tokens_per_second", "descriptions_per_second"):
        found[f"times_as_many_{rate}"] = found["ours"][rate] / found["published"][rate]
    return found


PARTS: dict[str, Callable[[], dict[str, Any]]] = {"generation": generation, "ablation": ablation}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: part() for name, part in PARTS.items() if arguments.only in (None, name)}
    text = json.dumps(found, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
