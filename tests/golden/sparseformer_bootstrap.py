"""Runs the golden cases of Bootstrapped SparseFormer on our networks and rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer

from avmodels.engine import weights
from avmodels.sparseformer import checkpoint, inherit, loss, regions, zero_shot
from avmodels.sparseformer.model import DESIGNS
from tests.golden import sparseformer
from tests.golden.case import Case
from tests.golden.sparseformer import Outputs, network, tensors


def run(case: Case) -> Outputs:
    """Our outputs of one case, by name."""
    kinds: dict[str, Callable[[Case], Outputs]] = {
        "image": sparseformer.image_or_video,
        "video": sparseformer.image_or_video,
        "operators": operators,
        "inherit_timm": inherit_timm,
        "convert_checkpoint": convert_checkpoint,
        "alignment_loss": alignment_loss,
        "zero_shot": images_and_words,
    }
    if case.spec["kind"] not in kinds:
        raise NotImplementedError(f"sparseformer-bootstrap has no cases of kind {case.spec['kind']!r}")
    return {name: value.detach() for name, value in kinds[case.spec["kind"]](case).items()}


def operators(case: Case) -> Outputs:
    """Decoding without biases, and the position encoding."""
    boxes = tensors(case.inputs())["rois"]
    widths = [int(name.partition("_")[2]) for name in case.outputs() if name.startswith("encoding_")]
    encodings = {f"encoding_{width}": regions.encode(boxes, width) for width in widths}
    return sparseformer.adaptive_decoding(case) | encodings


@torch.no_grad()
def inherit_timm(case: Case) -> Outputs:
    """The names and groups of what a network inherits; its outputs and its teacher's."""
    config, state = case.spec["config"], tensors(case.state())
    (image,) = tensors(case.inputs()).values()
    vit, own = (
        {name.removeprefix(p): tensor for name, tensor in state.items() if name.startswith(p)}
        for p in ("vit.", "sf.")
    )
    model = network(config["student"])
    weights.fit(model, own, "the case", missing=config["target_from_source"])
    made = inherit.inherit(model, vit, "the case")
    assert made.source == config["target_from_source"]
    assert set(made.unused) == set(config["source_names_not_used"])
    assert set(made.tuned) == set(config["training_groups"]["inherited_and_tuned"])
    assert set(made.frozen) == set(config["training_groups"]["inherited_and_frozen"])
    assert set(made.new) == set(own)

    how = config["teacher"]
    names = ("depth", "embed_dim", "num_heads", "img_size", "patch_size", "num_classes")
    teacher = VisionTransformer(**{name: how[name] for name in names}).eval()
    assert teacher.norm.eps == how["norm_eps"]
    teacher.load_state_dict(vit)
    crop = image[..., : how["img_size"], : how["img_size"]]
    return {
        "student_logits": model(image),
        "student_tokens_before_norm": model.tokens(image).tokens,
        "teacher_logits": teacher(crop),
        "teacher_tokens_after_norm": teacher.forward_features(crop),
    }


def convert_checkpoint(case: Case) -> Outputs:
    """The names of unconverted checkpoints, and regions from centres and sizes."""
    config = case.spec["config"]
    final = config["names_the_published_model_expects_instead"]
    for kind in ("v1", "bootstrap"):
        want = {new: old for new, old in config[f"{kind}_new_from_old"].items() if "&" not in old}
        got = checkpoint.library_names(want.values())
        assert got == {old: final.get(new, new) for new, old in want.items()}
    dropped = checkpoint.library_names(config["bootstrap_dropped"])
    # The published converter drops stage embeddings, which the published network cannot do without.
    assert all("stage_embedding" in name for name in dropped)
    return checkpoint.library_state(tensors(case.state()))


def alignment_loss(case: Case) -> Outputs:
    """The loss and its gradient."""
    inputs = tensors(case.inputs())
    student, teacher = inputs["student"].requires_grad_(), inputs["teacher"]
    value = loss.alignment(student, teacher)
    value.backward()
    cosine = F.cosine_similarity(student, teacher, eps=case.spec["config"]["eps"])
    assert student.grad is not None
    return {"cosine": cosine, "loss": value[None], "grad_student": student.grad}


@torch.no_grad()
def images_and_words(case: Case) -> Outputs:
    """Features of images and texts in CLIP's joint space, and their similarities."""
    config, state, inputs = case.spec["config"], tensors(case.state()), tensors(case.inputs())
    visual = {name.removeprefix("visual."): state[name] for name in state if name.startswith("visual.")}
    model = network(config["visual"])
    checkpoint.start(model, visual, "the case")
    heads = config["text_cfg"]["heads"]
    clip = zero_shot.clip(model, state, "the case", heads, config["quick_gelu"])
    images, texts, scale = clip(inputs["image"], inputs["text"])
    logits = zero_shot.similarities(images, texts, scale.log())
    return {
        "image_features": images,
        "text_features": texts,
        "logits_per_image": logits,
        "probabilities": logits.softmax(-1),
    }


def census(name: str, entry: dict[str, Any]) -> list[str]:
    """What differs between a published model of that name and ours: parameters and counts."""
    kind, size = name.removeprefix("sparseformer_btsp_").removeprefix("openai_").split("_")
    outputs = {"augreg": 1000, "clip": 512 if size == "base" else 768}[kind]
    return sparseformer.census_faults(DESIGNS[f"{kind}-{size}"], outputs, kind == "augreg", None, entry)
