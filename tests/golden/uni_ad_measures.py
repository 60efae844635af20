"""The golden cases of Uni-AD's characters and measures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avmodels.engine import weights
from avmodels.metrics import caption, critic, neighbours, ptb
from avmodels.uni_ad import characters
from tests.golden.case import Case

Outputs = dict[str, Any]


def tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def document(case: Case, name: str) -> Any:
    """A JSON file of the case."""
    return json.loads((case.folder / name).read_text())


@torch.no_grad()
def character_recognition(case: Case) -> Outputs:
    """Exemplars, the recogniser with its loss, and faces."""
    config, inputs = case.spec["config"], case.inputs()
    film, got = inputs["movie_feature"], {}
    units = characters.unit(film)
    for number, portrait in enumerate(inputs["profile"]):
        frames = characters.exemplar_frames(
            film, portrait, config["top_exemplars"], config["suppression_half_window"]
        )
        vector = characters.exemplar(units, frames)
        got |= {
            f"exemplar/{number}/index": frames,
            f"exemplar/{number}/cos_first64": (units @ characters.unit(portrait))[:64],
            f"exemplar/{number}/vector": vector,
            f"exemplar/{number}/self_first64": (units @ vector)[:64],
        }
    network = characters.Recogniser(
        config["dim"], config["num_layers"], config["heads"], project=config["use_proj"]
    ).eval()
    weights.fit(network, tensors(case.state()), case.spec["case"])
    given = tensors({name: inputs[name] for name in ("face", "visual", "target", "face_present")})
    present = given["face_present"].clone()
    present[:, 0] = True
    logits = network(given["face"], given["visual"], present)
    precision, recall = characters.recognition_scores(logits, given["target"], present)
    got |= {
        "recog/logits": logits,
        "recog/prob": characters.probabilities(logits, present),
        "recog/loss": characters.recognition_loss(logits, given["target"], present),
        "recog/precision": precision,
        "recog/recall": recall,
    }
    faces = [
        frame[:count] for frame, count in zip(inputs["face_embedding"], inputs["faces_in_frame"], strict=True)
    ]
    found, rows, cosines = characters.recognised_faces(
        faces, inputs["cast_embedding"], config["score_thresh"]
    )
    zero = document(case, "zero.json")
    assert json.dumps({str(member): places for member, places in found.items()}) == json.dumps(zero), found
    return got | {"zero/frame_face_id": rows, "zero/cos": cosines}


def critic_films(case: Case) -> Outputs:
    """CRITIC per film and over all, from given clusters."""
    got: Outputs = {}
    for name, film in document(case, "critic.json").items():
        named = {}
        for kind, rewritten in (("gt", "fullname_gt"), ("gen", "fullname_pred")):
            assert critic.document(film["cast"], film[f"text_{kind}"]) == film[f"full_text_{kind}"]
            named[kind] = critic.name(film["cast"], film[f"text_{kind}"], film[f"clusters_{kind}"])
            assert named[kind].sentences == film[rewritten], named[kind].sentences
        got[f"{name}/iou"] = critic.overlaps(named["gen"], named["gt"])
    return got | {"mean": np.concatenate(list(got.values())).mean()}


def metrics(case: Case) -> Outputs:
    """CIDEr, ROUGE-L and recall within neighbours as the published evaluation prints them."""
    texts, tokenised = document(case, "sentences.json"), document(case, "tokenized.json")
    assert ptb.tokenize_all(texts["tricky"]) == tokenised["tricky"]
    generated, references = [], []
    for film, lists in texts["movies"].items():
        for kind, into in (("gen", generated), ("gt", references)):
            into += ptb.tokenize_all(lists[kind])
            assert into[-len(lists[kind]) :] == tokenised[film][kind]
    rouge, cider = (
        metric(generated, [[text] for text in references]) for metric in (caption.rouge_l, caption.cider)
    )
    got: Outputs = {
        "rouge_l": 100 * rouge.corpus,
        "cider": 100 * cider.corpus,
        "rouge_l/each": rouge.each,
        "cider/each": cider.each,
    }
    similarities = {
        name.removeprefix("similarity/"): matrix + 0.25 * np.eye(len(matrix), dtype=np.float32)
        for name, matrix in case.inputs().items()
    }
    for name in case.outputs():
        if name.startswith("recall/") and name != "recall/mean":
            _, film, window, best = name.split("/")
            setting = int(window.removeprefix("N")), [int(best.removeprefix("k"))]
            got[name] = neighbours.recall_within_neighbours([similarities[film]], *setting)[0]
    got["recall/mean"] = neighbours.recall_within_neighbours(list(similarities.values()), 16, [5])[0]
    return got
