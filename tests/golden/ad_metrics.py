"""Runs the golden cases of the metrics of audio description."""

from __future__ import annotations

import importlib.util
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avmodels.metrics import actions, bertscore, caption, critic, judge, meteor, neighbours, ptb
from tests.golden.case import Case, fill

Outputs = dict[str, Any]

# METEOR is Java's alone, and its jar comes with a package that avtool can do without.
OPTIONAL = ("meteor", "meteor_each")


def run(case: Case) -> Outputs:
    """Our outputs of one case, by name."""
    kinds: dict[str, Callable[[Case], Outputs]] = {
        "ptb-tokens": ptb_tokens,
        "corpus": corpus,
        "multi-reference": corpus,
        "edges": edges,
        "recall-neighbours": recall_neighbours,
        "critic": critic_overlaps,
        "bertscore-greedy": bertscore_greedy,
        "action-score": action_score,
        "llm-ad-eval-parse": judged,
    }
    if case.spec["kind"] not in kinds:
        raise NotImplementedError(f"ad-metrics has no cases of kind {case.spec['kind']!r}")
    return kinds[case.spec["kind"]](case)


def same(ours: Any, theirs: Any) -> None:
    """Holds texts, which the stored numbers do not cover, to those of the case."""
    assert ours == theirs, f"{ours!r}, expected {theirs!r}"


def crc32(texts: Sequence[str]) -> list[int]:
    return [zlib.crc32(text.encode()) for text in texts]


def ptb_tokens(case: Case) -> Outputs:
    texts = ptb.tokenize_all(case.spec["inputs_json"]["sentences"])
    same(texts, case.spec["expected_json"]["tokenised"])
    return {"tokens": [len(text.split()) for text in texts], "crc32": crc32(texts)}


def corpus(case: Case) -> Outputs:
    """CIDEr, ROUGE-L and BLEU of a corpus with one reference a sample or several."""
    given = case.spec["inputs_json"]
    lists = [[texts] if isinstance(texts, str) else texts for texts in given["references"]]
    references = [ptb.tokenize_all(texts) for texts in lists]
    generated = ptb.tokenize_all(given["generated"])
    got = consensus(generated, references)
    bleu = caption.bleu(generated, references)
    got |= {"bleu": [scores.corpus for scores in bleu], "bleu_each": [scores.each for scores in bleu]}
    if expected := case.spec.get("expected_json"):
        same([texts[0] for texts in references], expected["references_tokenised"])
        same(generated, expected["generated_tokenised"])
    if jar := meteor_jar():
        judged = meteor.meteor(generated, references, jar)
        got |= {"meteor": judged.corpus, "meteor_each": judged.each}
    # The published table of frequencies also has a row for every n-gram of the generated sentences.
    frequencies = caption.document_frequencies(references)
    generated_too = caption.document_frequencies([[text] for text in generated])
    return got | {
        "df_size": [len(one | other) for one, other in zip(frequencies, generated_too, strict=True)],
        "df_sum": [counts.total() for counts in frequencies],
        "log_ref_count": np.log(len(references)),
        "crc32_ref": crc32([texts[0] for texts in references]),
        "crc32_hyp": crc32(generated),
        "uni_ad_cider_x100": 100 * got["cider"],
        "uni_ad_rouge_l_x100": 100 * got["rouge_l"],
    }


def meteor_jar() -> Path | None:
    """METEOR's jar, where pycocoevalcap and Java are there."""
    found = importlib.util.find_spec("pycocoevalcap")
    if found is None or shutil.which("java") is None:
        return None
    return Path(*(found.submodule_search_locations or ())) / "meteor" / "meteor-1.5.jar"


def consensus(generated: list[str], references: list[list[str]]) -> Outputs:
    cider, rouge = caption.cider(generated, references), caption.rouge_l(generated, references)
    return {
        "cider": cider.corpus,
        "cider_each": cider.each,
        "rouge_l": rouge.corpus,
        "rouge_l_each": rouge.each,
    }


def edges(case: Case) -> Outputs:
    """Given tokens, and the corpora the notes of the case describe."""
    given = case.spec["inputs_json"]

    def perfect(*texts: str) -> caption.Scores:
        return caption.cider(texts, [[text] for text in texts])

    long, other = "a man walks his dog", "she reads an old letter"
    return consensus(given["generated_tokenised"], [[text] for text in given["references_tokenised"]]) | {
        "corpus_of_one": perfect(long).corpus,
        "all_same": perfect(long, long).corpus,
        "perfect_two": perfect(long, other).corpus,
        "perfect_short_each": perfect("he waves", other).each,
    }


def recall_neighbours(case: Case) -> Outputs:
    similarity = case.inputs()["similarity"]
    similarity = similarity + case.spec["config"]["diagonal_boost"] * np.eye(
        len(similarity), dtype=np.float32
    )
    got: Outputs = {}
    for setting in case.spec["config"]["settings"]:
        name = f"N{setting['N']}_k{'_'.join(map(str, setting['topk']))}"
        windows = neighbours.recall_windows(similarity, setting["N"], setting["topk"])
        got[f"{name}_windows"] = windows
        got[name] = neighbours.recall_within_neighbours([similarity], setting["N"], setting["topk"])
    return got


def critic_overlaps(case: Case) -> Outputs:
    given, expected = case.spec["inputs_json"], case.spec["expected_json"]
    named = {}
    for kind, part in (("reference", "references"), ("generated", "generated")):
        same(critic.document(given["cast"], given[part]), given[f"{kind}_document"])
        named[kind] = critic.name(given["cast"], given[part], given[f"{kind}_clusters"])
        same(named[kind].people, expected[f"{kind}_ids"])
        same(named[kind].sentences, expected[f"{part}_with_full_names"])
    iou = critic.overlaps(named["generated"], named["reference"])
    return {"iou": iou, "mean": iou.mean(), "rows": len(iou)}


def bertscore_greedy(case: Case) -> Outputs:
    config = case.spec["config"]
    units = {
        name: torch.nn.functional.normalize(torch.from_numpy(array), dim=-1)
        for name, array in case.inputs().items()
    }
    lengths = zip(config["hypothesis_lengths"], config["reference_lengths"], strict=True)
    raw = np.stack(
        [
            bertscore.match(units["hyp"][row, :ours], units["ref"][row, :theirs])
            for row, (ours, theirs) in enumerate(lengths)
        ]
    )
    return {"raw": raw, "rescaled": bertscore.rescaled(raw, config["baseline"])}


def action_score(case: Case) -> Outputs:
    width = case.spec["config"]["embedding"]["dim"]

    def embed(texts: Sequence[str]) -> np.ndarray:
        rows = np.stack([fill(text, (width,), "normal:1.0", case.spec["seed"]) + 0.9 for text in texts])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    rows = []
    for row in case.spec["inputs_json"]["rows"]:
        said = actions.Actions(row["generated_action_phrases"], row["generated_verbs"])
        same(actions.pieces(row["generated"]), row["subsentences"])
        same(actions.candidates(row["generated"], said), row["all_candidates"])
        true = actions.Actions(row["gt_actions"], row["gt_verbs"])
        rows.append(actions.action_scores(true, row["generated"], said, embed))
    return {f"breakdown/{number}": row for number, row in enumerate(rows) if len(row)} | {
        "action_score_each": [row.mean() if len(row) else -1 for row in rows],
        "reported": actions.action_score(rows),
    }


def judged(case: Case) -> Outputs:
    answers = case.spec["inputs_json"]["answers"]
    return {
        "each": np.nan_to_num(judge.mean_score(answers).each),
        "mean_llama_rule": judge.mean_score(answers, missing=0).mean,
        "mean_gpt_rule": judge.mean_score(answers).mean,
    }
