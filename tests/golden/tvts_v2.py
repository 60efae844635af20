"""Runs the golden cases of TVTSv2 on our models and rules."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avmodels.data.clips import UnreadableError
from avmodels.engine import weights
from avmodels.metrics import retrieval
from avmodels.nn.clip_text import TextEncoder, TextSize
from avmodels.tvts_v2 import (
    checkpoint,
    cost,
    groups,
    loss,
    sampling,
    transcripts,
    views,
    zero_shot,
)
from avmodels.tvts_v2.model import SIZES, TVTS, Size, Sorter, VideoEncoder, activation
from tests.golden.__main__ import differing_keys
from tests.golden.case import Case

Outputs = dict[str, Any]

# Other words for the same number of a video encoder.
ALIASES = {
    "input_resolution": "res",
    "image_size": "res",
    "patch_size": "patch",
    "output_dim": "embed_dim",
    "num_frames": "frames",
}

# The share of the patches that a published model of a patch size was trained without.
MASKS = {32: 0.0, 16: 0.5, 14: 0.7}


def run(case: Case) -> Outputs:
    """Our outputs of one case, by name."""
    kinds: dict[str, Callable[[Case], Outputs]] = {
        "clip_init": clip_init,
        "metrics": metrics,
        "param_groups": parameter_groups,
        "preprocess": preprocess,
        "pretrain": pretrain,
        "sampling": frames_and_masks,
        "sort_head": sort_head,
        "text": text,
        "transcripts": windows,
        "video": video,
    }
    if case.spec["kind"] not in kinds:
        raise NotImplementedError(f"tvts-v2 has no cases of kind {case.spec['kind']!r}")
    return kinds[case.spec["kind"]](case)


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def size_of(config: dict[str, Any], text: TextSize | None = None, **options: Any) -> Size:
    """The size a case describes; the family H is that of the exact GELU."""
    config = {ALIASES.get(name, name): value for name, value in config.items()}
    quick = config.get("act", "quick_gelu") == "quick_gelu"
    return Size(
        patch=config["patch"],
        width=config["width"],
        depth=config["layers"],
        heads=config["heads"],
        text=text or TextSize(config["embed_dim"], 8, 1, 1, 2, 2),
        sort_heads=config.get("sort_heads", 1),
        quick_gelu=quick,
        sorts_normed=config["family"] == "B"
        if "family" in config
        else "H family" not in config.get("module", ""),
        side=config["res"],
        frames=config["frames"],
        **options,
    )


def record(module: nn.Module, name: str, into: Outputs, entering: bool = False) -> None:
    """Keeps what a module returns (or what enters it) when the model is run."""
    if entering:
        module.register_forward_pre_hook(lambda _, args: into.update({name: args[0].detach()}))
    else:
        module.register_forward_hook(lambda _, args, out: into.update({name: out.detach()}))


@torch.no_grad()
def video(case: Case) -> Outputs:
    """Every stage of the video encoder, on whole, masked and short clips and on pictures."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    encoder = VideoEncoder(size_of(config)).eval()
    named = {checkpoint.ours("video_model." + name): tensor for name, tensor in tensors(case.state()).items()}
    state = {name.removeprefix("video."): tensor for name, tensor in named.items()}
    weights.fit(encoder, state, case.spec["case"])
    seen: Outputs = {}
    record(encoder.ln_pre, "tokens_after_ln_pre", seen)
    for number, block in enumerate(encoder.blocks):
        record(block.get_submodule("timeattn"), f"block{number}_time_attention", seen)
        record(block.get_submodule("attn"), f"block{number}_space_attention", seen)
        record(block, f"block{number}", seen)
    clip, keep = inputs["video"], inputs["keep_ind"]
    got: Outputs = {}
    for name, kept in (("full", None), ("masked", keep)):
        embedding, tokens = encoder.with_tokens(clip, kept)
        got |= {f"{name}/{stage}": value for stage, value in seen.items()}
        got |= {f"{name}/video_embedding": embedding, f"{name}/tokens": tokens}
    for name in [name for name in got if name.startswith("full/") and name in case.outputs()]:
        got[name] = got[name][:, : case.outputs()[name].shape[1]]
    # What is used computes the last block for the class token only: the same vectors.
    got["masked/video_embedding"] = encoder(clip, keep)
    got["full/video_embedding"] = encoder(clip)
    permuted = torch.stack([torch.randperm(encoder.size.patches) for _ in clip])
    got["full_permuted/video_embedding"] = encoder(clip, permuted)
    got["short/video_embedding"] = encoder(clip[:, : config["short_frames"]], keep)
    got["image/video_embedding"] = encoder(clip[:, 0])
    return got


@torch.no_grad()
def text(case: Case) -> Outputs:
    """Every stage of the text encoder."""
    config, tokens = case.spec["config"], torch.from_numpy(case.inputs()["tokens"])
    size = TextSize(
        config["embed_dim"],
        config["width"],
        config["layers"],
        config["heads"],
        config["vocab"],
        config["context"],
    )
    encoder = TextEncoder(size, text_activation(config)).eval()
    named = checkpoint.state_of({"state_dict": tensors(case.state())})
    state = {name.removeprefix("text."): tensor for name, tensor in named.items()}
    weights.fit(encoder, state, case.spec["case"])
    got: Outputs = {"eot_position": tokens.argmax(-1)}
    record(encoder.transformer, "after_positions", got, entering=True)
    for number, block in enumerate(encoder.transformer.resblocks):
        record(block, f"block{number}", got)
    record(encoder.ln_final, "after_ln_final", got)
    got["text_embedding"] = encoder(tokens)
    return got


def text_activation(config: dict[str, Any]) -> Callable[[], nn.Module]:
    size = SIZES["vit-b-16" if config["act"] == "quick_gelu" else "vit-h-14"]
    return activation(size)


@torch.no_grad()
def clip_init(case: Case) -> Outputs:
    """A video encoder started from CLIP's image encoder."""
    inputs = tensors(case.inputs())
    encoder = VideoEncoder(size_of(case.spec["config"])).eval()
    lacking = checkpoint.start_video_from_clip(encoder, tensors(case.state()), case.spec["case"])
    clip, got = inputs["video"], {}
    new = [name for name in encoder.state_dict() if any(part in name for part in checkpoint.NEW)]
    got["missing_keys_count"] = [len(lacking)]
    got["missing_are_new"] = [int(set(lacking) == set(new))]
    encoder.temporal_embedding.zero_()
    # Without positions in time one frame is a picture to CLIP.
    got["clip_image"] = got["video_zero_time_1"] = encoder(clip[:, :1])
    encoder.temporal_embedding.copy_(inputs["temporal_embedding"])
    return got | {"video_1": encoder(clip[:, :1]), "video_T": encoder(clip)}


def pretrain(case: Case) -> Outputs:
    """One step of training: what comes out, losses and gradients."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    size = TextSize(
        config["embed_dim"],
        config["text_width"],
        config["text_layers"],
        config["text_heads"],
        config["vocab"],
        config["context"],
    )
    places = case.spec["state"]["pred_model.head.weight"]["shape"][0]
    model = TVTS(size_of(config, size, sort_depth=config["sort_depth"], transcripts=places))
    state = checkpoint.state_of({"state_dict": tensors(case.state())})
    checkpoint.start_from(model, state, case.spec["case"])
    texts = config["n_transcripts"]
    matched = model(inputs["video"], inputs["tokens"], inputs["keep_ind"], texts)
    similarities = loss.similarity(loss.gathered(matched.video), loss.gathered(matched.text))
    contrastive = loss.contrastive(similarities, config["temperature"])
    got: Outputs = {"video_embedding": matched.video, "text_embedding": matched.text}
    got |= {"similarity": similarities, "loss_contrastive": contrastive[None]}
    total, got["loss_sort"] = contrastive, np.zeros(1)
    if matched.places is not None:
        sorting = loss.sorting(matched.places, inputs["label"], config["sort_loss_weight"])
        got |= {"sort_logits": matched.places, "sort_pred": matched.places.argmax(-1)}
        total, got["loss_sort"] = contrastive + sorting, sorting[None]
    total.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name in case.outputs():
        kind, _, parameter = name.partition("/")
        if kind not in ("grad", "grad_norm"):
            continue
        gradient = gradients[checkpoint.ours(parameter)]
        assert gradient is not None, f"no gradient reaches {parameter}"
        if kind == "grad_norm":
            got[name] = gradient.norm()[None]
        else:
            got[name] = (gradient[-1] if "token_embedding" in name else gradient).flatten()[:64]
    got["loss"] = total[None]
    return {name: torch.as_tensor(value).detach() for name, value in got.items()}


@torch.no_grad()
def sort_head(case: Case) -> Outputs:
    """The sorter alone, and what permuted transcripts do to it."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    sorter = Sorter(config["embed_dim"], config["num_heads"], config["depth"], config["num_classes"]).eval()
    weights.fit(sorter, tensors(case.state()), case.spec["case"])
    got: Outputs = {"permuted_logits": sorter(inputs["text"].flip(1), inputs["video_tokens"])}
    for number, block in enumerate(sorter.blocks):
        record(block, f"x_block{number}", got)
    logits = got["logits"] = sorter(inputs["text"], inputs["video_tokens"])
    got["pred"] = logits.argmax(-1)
    got["cross_entropy"] = loss.sorting(logits, inputs["label"], weight=1)[None]
    got["exact_order_accuracy"] = loss.in_order(logits, inputs["label"]).float().mean()[None]
    return got


def parameter_groups(case: Case) -> Outputs:
    """The optimiser's group of every parameter of a model of the case's depths."""
    config = case.spec["config"]
    text_size = TextSize(8, 8, config["text_layers"], 1, 16, 4)
    with torch.device("meta"):
        model = TVTS(Size(8, 8, config["visual_layers"], 1, text_size, sort_heads=1, side=16, frames=2))
    groups.freeze(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    made = groups.groups(model)
    of = {names[id(parameter)]: number for number, group in enumerate(made) for parameter in group["params"]}
    ours = [checkpoint.ours(name) for name in config["names"]]
    assert set(ours) == set(names.values()), set(ours) ^ set(names.values())
    found = np.array([of.get(name, -1) for name in ours])
    trained = found >= 0
    decay, rate = (np.array([group[key] for group in made]) for key in ("weight_decay", "lr_scale"))
    return {
        "group": found,
        "trainable": trained.astype(int),
        "weight_decay": np.where(trained, decay[found], 0),
        "lr_per_1e-7": np.where(trained, rate[found], 0),
    }


def metrics(case: Case) -> Outputs:
    """Retrieval with and without ties, zero-shot names, multiple choice, the contrastive loss."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    captions, clips = config["captions_per_video"], inputs["video"]
    owner = torch.arange(len(inputs["text"])) // captions
    similarities = loss.similarity(inputs["text"] + 0.6 * clips[owner], clips).numpy()
    step = config["quantised_step"]
    # Ties are the published scores rounded: ours, off by one unit in the last place, would tie elsewhere.
    tied = (np.round(case.stored["similarity"] / step) * step).astype(np.float32)
    got: Outputs = {"similarity": similarities, "similarity_tied": tied}
    for ending, scores in (("", similarities), ("_tied", tied)):
        videos, texts = retrieval.column_ranks(scores, captions), retrieval.row_ranks(scores, captions)
        got |= {f"t2v_ranks{ending}": videos, f"v2t_ranks{ending}": texts}
        got[f"t2v{ending}"] = list(retrieval.recalls(videos).values())
        got[f"v2t{ending}"] = list(retrieval.recalls(texts).values())
    got["dsl_similarity"] = retrieval.dual_softmax(similarities)
    got["dsl_t2v"] = list(retrieval.recalls(retrieval.column_ranks(got["dsl_similarity"], captions)).values())

    label, class_text = inputs["label"], inputs["class_text"]
    clip = inputs["clip"] + 0.7 * class_text[label, 0]
    choices = {
        "zero_shot": (clip, zero_shot.classes(class_text), label),
        "zero_shot1": (clip, zero_shot.classes(class_text[:, :1]), label),
        "mc": (inputs["mc_video"], inputs["mc_text"], inputs["mc_label"]),
    }
    for name, (seen, names, right) in choices.items():
        logits = got[f"{name}_logits"] = zero_shot.logits(seen, names).numpy()
        got[f"{name}_top1_top5"] = list(zero_shot.accuracy(logits, right.numpy()).values())

    square = got["square_similarity"] = loss.similarity(inputs["square_text"] + 0.5 * clips, clips)
    got["square_loss"] = loss.contrastive(square, config["temperature"])[None]
    rows, columns = case.stored["zero_row_similarity"].shape
    some = clips[:rows].clone()
    some[0] = 0
    got["zero_row_similarity"] = loss.similarity(some, clips[:columns])
    return got


def preprocess(case: Case) -> Outputs:
    """The pixels of evaluation, of training, and of the published feature extractor."""
    config = case.spec["config"]
    frames = case.inputs()["clip"].astype(np.uint8).transpose(1, 2, 3, 0)
    side = config["crop_size"]
    assert views.short_side(side) == config["resize"]
    got: Outputs = {"evaluation": views.evaluation(frames, side).transpose(0, 1)}
    random.seed(case.spec["seed"])
    clip, got["train_offset"] = views.training(frames, side)
    return got | {"train": clip.transpose(0, 1), "feature_script": views.feature(frames, side)}


def frames_and_masks(case: Case) -> Outputs:
    """The frames of clips, and the patches kept."""
    config, got = case.spec["config"], {}
    count = config["num_frames"]
    for length in config["video_lengths"]:
        got[f"uniform/{length}"] = sampling.middle(length, count)
        got[f"feature/{length}"] = sampling.spread(length, count)
        random.seed(config["python_random_seed"])
        try:
            got[f"rand/{length}"] = sampling.drawn(length, count)
        except UnreadableError:
            assert f"rand/{length}" not in case.outputs(), f"{length} frames are enough"
        else:
            assert f"rand/{length}" in case.outputs(), f"{length} frames are too few"
    for patches, mask in config["masks"]:
        np.random.seed(config["numpy_seed"])
        got[f"keep/{patches}_{mask}"] = sampling.keep(patches, mask)
    return got


def windows(case: Case) -> Outputs:
    """Transcripts of annotated videos, and when they are spoken."""
    config = case.spec["config"]
    drawn, count = [], config["num_clips"]
    for sample, seed, want in zip(
        config["samples"], config["python_random_seeds"], config["expected"], strict=True
    ):
        words = transcripts.words_of(sample)
        random.seed(seed)
        drawn.append(transcripts.draw_window(sample["info"]["duration"], count, config["interval"]))
        assert words.raw == want["clean_words"]
        assert words.repaired == want["aligned"]
        assert transcripts.spoken(words, drawn[-1]) == want["text"]
    return {
        "starts": [window.starts for window in drawn],
        "ends": [window.ends for window in drawn],
        "durations": [int(sample["info"]["duration"]) for sample in config["samples"]],
        "labels": [range(count) for _ in drawn],
    }


def census(name: str, entry: dict[str, Any]) -> list[str]:
    """What differs between a published model of that name and ours: parameters and counts."""
    with torch.device("meta"):
        size = SIZES[
            "vit-" + name.removeprefix("TVTSv2_").removesuffix("_pretrain").lower().replace("_", "-")
        ]
        model = TVTS(size, sorts=name.endswith("_pretrain"))
    state = checkpoint.published(model.state_dict())
    shapes = {name: list(tensor.shape) for name, tensor in state.items()}
    faults = differing_keys(shapes, entry["keys"]) if "keys" in entry else []
    if "tensors" in entry and len(state) != entry["tensors"]:
        faults.append(f"{len(state)} tensors, expected {entry['tensors']}")
    parts = {"params": model, "params_visual": model.video, "params_text": model.text}
    counts = {part: sum(p.numel() for p in module.parameters()) for part, module in parts.items()}
    counts["params_sort_head"] = counts["params"] - counts["params_visual"] - counts["params_text"]
    new = [p.numel() for name, p in model.video.named_parameters() if any(n in name for n in checkpoint.NEW)]
    counts["params_temporal_new"] = sum(new)
    kept = sampling.kept_count(size.patches, MASKS[size.patch])
    costs = {"gflops": cost.video(size, size.frames, size.patches)}
    costs["gflops_masked_training_clip"] = cost.video(size, size.frames, kept)
    costs["gflops_text_77"] = cost.sentence(size.text)
    faults += [
        f"{n / 1e9:.2f} {part}, expected {entry[part]}"
        for part, n in costs.items()
        if abs(n / 1e9 - entry[part]) > 0.006
    ]
    faults += [f"{n} {part}, expected {entry[part]}" for part, n in counts.items() if n != entry[part]]
    return faults
