"""Descriptions against references, and characters against the truth."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from avmodels.metrics import critic
from avmodels.metrics.coreference import Rules
from avtool import evaluate
from avtool.cast import Cast, CastMember
from avtool.cli.main import run
from avtool.errors import UsageError
from avtool.evaluate import Told
from avtool.timeline import Sighting, Span

SAID = ["Marta opens the old door.", "He walks down the long street.", "A dog sleeps in the sun."]
TRUE = ["Marta opens the old door.", "Joren walks along the long street.", "The dog sleeps in the sun."]


def cast_of() -> Cast:
    members = tuple(
        CastMember.model_construct(name=name, images=(), aliases=(), pronoun=pronoun)
        for name, pronoun in (("Marta", "she"), ("Joren", "he"))
    )
    return Cast.model_construct(cast=members, pronunciations={})


def test_files_of_every_form_are_read_alike(tmp_path: Path) -> None:
    forms = {
        "a.jsonl": "\n".join(json.dumps({"film": "f", "text": text}) for text in SAID),
        "a.json": json.dumps({"f": [{"ad": text} for text in SAID]}),
        "a.csv": "film,text\n" + "\n".join(f'f,"{text}"' for text in SAID),
    }
    for name, content in forms.items():
        (tmp_path / name).write_text(content)
        assert evaluate.read(tmp_path / name) == [Told("f", "", (text,)) for text in SAID]
    (tmp_path / "a.txt").write_text("\n".join(SAID))
    assert [one.texts[0] for one in evaluate.read(tmp_path / "a.txt")] == SAID


def test_pairs_by_id_or_by_order() -> None:
    said = [Told("f", str(number), (text,)) for number, text in enumerate(SAID)]
    true = [Told("f", str(number), (text,)) for number, text in enumerate(TRUE)]
    assert evaluate.pair(said[::-1], true).generated == SAID
    with pytest.raises(UsageError, match=r"1 references have no prediction, e\.g\. f 2"):
        evaluate.pair(said[:2], true)
    with pytest.raises(UsageError, match="2 predictions of f for 3 references"):
        evaluate.pair([Told("f", "", (text,)) for text in SAID[:2]], true)


def test_measures_of_the_papers() -> None:
    told = [[Told("f", "", (text,)) for text in texts] for texts in (SAID, TRUE)]
    found = evaluate.measure(evaluate.pair(*told), cast=cast_of())
    assert 0 < found["cider_interval"][0] <= found["cider"] <= found["cider_interval"][1]
    assert found["bleu_1"] > found["bleu_4"] > 0
    # Marta is named in both; Joren by his name in the reference, and by nobody's in "He", who was not named before:
    # the cast's introduction names him, so that rules know whom "he" means.
    assert (found["name_precision"], found["name_recall"]) == (100, 50)
    assert found["critic"] == 100 and found["coreference"] == "rules"


def test_rules_know_whom_a_pronoun_means() -> None:
    rules = Rules({"Ann": ["Ann"], "Bo": ["Bo"]}, {"Ann": "she", "Bo": "he"})
    sentences = ["Bo sits.", "She looks at him.", "Nobody speaks."]
    named = critic.name(["Ann", "Bo"], sentences, rules(critic.document(["Ann", "Bo"], sentences)))
    assert [set(people) for people in named.people] == [{"Bo"}, {"Ann", "Bo"}, set()]


def test_the_command_prints_json_and_tells_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "said.txt").write_text("\n".join(SAID))
    (tmp_path / "true.txt").write_text("\n".join(TRUE))
    asked = ["eval", "ad", "--predictions", f"{tmp_path}/said.txt", "--references"]
    assert run([*asked, f"{tmp_path}/true.txt", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["schema"] == "avtool.eval-ad/1" and printed["metrics"]["descriptions"] == 3
    assert run([*asked, f"{tmp_path}/none.txt"]) == 2
    assert run([*asked, f"{tmp_path}/true.txt", "--recall", "5"]) == 2
    assert run([*asked, f"{tmp_path}/true.txt", "--judge", str(tmp_path)]) == 5
    assert run([*asked, f"{tmp_path}/true.txt", "--encoder", str(tmp_path)]) == 5
    assert "Traceback" not in capsys.readouterr().err


def test_a_random_language_model_judges_without_scores(tmp_path: Path) -> None:
    """What it says is no dictionary: every answer is counted as unparsable."""
    from tokenizers import Tokenizer, models
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from avmodels.uni_ad import language

    LlamaForCausalLM(language.SIZES["tiny-llama"]).save_pretrained(tmp_path)
    made = Tokenizer(models.BPE(vocab={"<unk>": 0, "a": 1, "b": 2}, merges=[], unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=made, eos_token="b").save_pretrained(tmp_path)
    told = [[Told("f", "", ("a b",))], [Told("f", "", ("a",))]]
    found = evaluate.measure(evaluate.pair(*told), judged_by=tmp_path)
    assert found["llm_ad_eval_unparsable"] == 1


def test_characters_are_held_against_the_truth(tmp_path: Path) -> None:
    shots = [{"start": 0, "end": 9, "cast": ["Marta"]}, {"start": 9, "end": 10**6, "cast": ["Joren"]}]
    shots[0]["end"] = shots[1]["start"] = 500_000
    (tmp_path / "truth.json").write_text(json.dumps({"shots": shots}))
    seen: Any = SimpleNamespace(
        cast=cast_of(),
        sightings=[
            Sighting(0, 0, Span(0, 500_000), "Marta", 0.9),
            Sighting(1, 1, Span(500_000, 900_000), "Marta", 0.9),
            Sighting(2, 1, Span(500_000, 900_000), None, 0.0),
        ],
    )
    found = evaluate.known_characters(cast("Any", seen), tmp_path / "truth.json")
    assert (found["all"]["name_precision"], found["all"]["name_recall"]) == (50, 50)
    assert found["all"]["names_confused"] == {"Joren as Marta": 1}
    with pytest.raises(UsageError, match="should hold shots"):
        (tmp_path / "truth.json").write_text("[]")
        evaluate.known_characters(seen, tmp_path / "truth.json")
