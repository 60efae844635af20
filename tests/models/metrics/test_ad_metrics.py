"""The metrics of audio description, beyond what the golden cases hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertModel, BertTokenizer

from avmodels.errors import DataError, WeightsError
from avmodels.metrics import actions, bertscore, caption, characters, critic, judge, meteor, neighbours, ptb

WORDS = ["a", "boy", "runs", "over", "the", "old", "wet", "roof", "at", "dawn"]
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)


@given(st.text(max_size=60))
def test_any_text_has_tokens_in_lower_case_without_punctuation(text: str) -> None:
    found = ptb.tokenize(text).split(" ")
    assert not {".", ",", "''", "--"} & {*found}
    assert found == [""] or all(token == token.lower() and token for token in found)


# As Stanford's tokeniser writes them.
@pytest.mark.parametrize(
    ("sentence", "tokens"),
    [
        ("Plan B. J. Smith and Dr. No.", "plan b. j. smith and dr. no"),
        ("The girls' room; y'all come, ma'am.", "the girls room y' all come ma'am"),
        ("Washington, D.C. is Ill. The ill man is ill.", "washington d.c. is ill. the ill man is ill"),
        ("Nos. 3 and 4; she says no.", "nos. 3 and 4 she says no"),
        ("lemme gimme more'n that", "lem me gim me more 'n that"),
        ("AT&T, C++ and 50¢ :)", "at&t c++ and 50 cents :-rrb-"),
    ],
)
def test_tokens_of_hard_sentences(sentence: str, tokens: str) -> None:
    assert ptb.tokenize(sentence) == tokens


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=6))
def test_scores_are_in_their_range_and_best_for_the_reference(pairs: list[tuple[str, str]]) -> None:
    generated, references = [own for own, _ in pairs], [[true] for _, true in pairs]
    perfect = [true for _, true in pairs]
    for metric, top in ((caption.cider, 10), (caption.rouge_l, 1)):
        scores = metric(generated, references)
        assert scores.corpus == pytest.approx(scores.each.mean())
        assert (scores.each >= 0).all()
        assert (scores.each <= metric(perfect, references).each + 1e-9).all()
        assert (scores.each <= top + 1e-9).all()
    for scores in caption.bleu(generated, references):
        assert 0 <= scores.corpus <= 1 + 1e-9


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(DataError, match="2 generated sentences, but references for 1"):
        caption.cider(["a", "b"], [["a"]])
    with pytest.raises(DataError, match="sample 0 has no list"):
        caption.rouge_l(["a"], [[]])


def test_recall_counts_films_alike_and_passes_over_short_ones() -> None:
    right, wrong = np.eye(8), 1 - np.eye(8)
    found = neighbours.recall_within_neighbours([right, wrong, wrong[:3, :3]], 4, (1, 4))
    assert found.tolist() == [0.5, 1.0]
    assert np.isnan(neighbours.recall_within_neighbours([np.eye(3)], 4, (1,))).all()


def test_critic_drops_a_cluster_of_two_names() -> None:
    cast, sentences = ["Ann", "Bo"], ["Ann waves.", "Bo nods."]
    text = critic.document(cast, sentences)
    places = [(text.index(word), text.index(word) + len(word)) for word in ("Ann waves", "Bo nods")]
    ann, bo = ((start, start + length) for (start, _), length in zip(places, (3, 2), strict=True))
    assert critic.name(cast, sentences, [[ann, bo]]).people == [[], []]
    assert critic.name(cast, sentences, [[ann], [bo]]).people == [["Ann"], ["Bo"]]
    found = critic.critic([(cast, sentences, sentences)], lambda text: [[ann], [bo]])
    assert found.tolist() == [1.0, 1.0]


def test_a_judge_is_asked_about_every_pair() -> None:
    asked: list[str] = []

    def ask(system: str, question: str) -> str:
        asked.append(question)
        return "{'score': 4}" if "kite" in question else "Four, I think."

    judged = judge.judge(["A boy flies a kite.", "It rains."], ["A child with a kite.", "Dawn."], ask)
    assert (judged.mean, judged.unparsable) == (4, 1)
    assert "A child with a kite." in asked[0]
    assert judge.parse("{'score': True}") is None


@given(st.text(max_size=30))
def test_no_answer_breaks_the_judge(answer: str) -> None:
    score = judge.parse(answer)
    assert score is None or isinstance(score, float)


def test_an_action_is_found_by_meaning_and_by_verb() -> None:
    axes = {"he runs.": 0, "he sleeps.": 1, "he sits.": 2}

    def embed(texts: Sequence[str]) -> np.ndarray:
        return np.eye(3)[[axes[text.lower()] for text in texts]]

    said = actions.Actions(["He runs."], ["run"])
    scores = actions.action_scores(
        actions.Actions(["He runs.", "He sits."], ["run", "sit"]), "He runs.", said, embed
    )
    assert scores.tolist() == pytest.approx([1.0, 0.0])
    assert actions.action_score([np.array([0.75]), np.array([])]) == 1.0


def test_characters_are_counted_and_confusions_told() -> None:
    counted = characters.found([{"Ann"}, {"Bo"}, set()], [{"Ann"}, {"Cy"}, {"Ann"}])
    assert (counted.right, counted.wrong, counted.missed) == (1, 1, 2)
    assert (counted.precision, counted.recall) == (0.5, 1 / 3)
    assert counted.confused == {("Cy", "Bo"): 1}


def test_names_are_whole_words() -> None:
    cast = {"Ann": ["Ann", "Mrs. (Ann) Lee"], "Bo": ["Bo"], "Œ": ["Œ"]}
    assert characters.named("Annie boards; Mrs. (Ann) Lee and Bo's dog wait.", cast) == {"Ann", "Bo"}


def test_sentences_are_encoded_once_and_compared_with_neighbours(tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    config = BertConfig(len(words), 16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    BertModel(config).save_pretrained(tmp_path)
    BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    encode = bertscore.encoder(tmp_path, layer=1)
    texts = ["a boy runs", "the old wet roof", "dawn", "a boy runs over the roof"]
    found = bertscore.similarities(texts, texts, encode, neighbours=2)
    assert np.diag(found) == pytest.approx(1, abs=1e-4)
    assert found[0, 2] == -np.inf
    alone = bertscore.similarities(texts[:2], texts[:2], encode, neighbours=2)
    assert alone == pytest.approx(found[:2, :2], abs=1e-4)


def test_what_lacks_for_a_metric_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="holds no model"):
        bertscore.encoder(tmp_path)
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho broken\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WeightsError, match="pycocoevalcap"):
        meteor.meteor(["a"], [["a"]], tmp_path / "meteor-1.5.jar")
    (tmp_path / "meteor-1.5.jar").touch()
    with pytest.raises(DataError, match="does not answer"):
        meteor.meteor(["a"], [["a"]], tmp_path / "meteor-1.5.jar")
    java.unlink()
    with pytest.raises(WeightsError, match="no java"):
        meteor.meteor(["a"], [["a"]], tmp_path / "meteor-1.5.jar")
