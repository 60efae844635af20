"""Runs the golden cases of SparseFormer on our networks and rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from avmodels.engine import weights
from avmodels.sparseformer import checkpoint, cost, loss, regions
from avmodels.sparseformer.inflate import inflate
from avmodels.sparseformer.model import DESIGNS, Design, Layer, SparseFormer, Unit
from avmodels.sparseformer.parts import AdaptiveDecoding
from tests.golden.__main__ import differing_keys
from tests.golden.case import Case

Outputs = dict[str, Any]
TRAINED_OPS = ("ATTN", "ROI_ADJ", "SAMPLING_M", "MLP")


def run(case: Case) -> Outputs:
    """Our outputs of one case, by name."""
    kinds: dict[str, Callable[[Case], Outputs]] = {
        "sampling": sampling,
        "adaptive_decoding": adaptive_decoding,
        "roi_adjust": roi_adjust,
        "image": image_or_video,
        "video": image_or_video,
        "imagenet_v1": imagenet,
        "video_inflate": video_inflate,
        "initialisation": initialisation,
    }
    if case.spec["kind"] not in kinds:
        raise NotImplementedError(f"sparseformer has no cases of kind {case.spec['kind']!r}")
    return {name: value.detach() for name, value in kinds[case.spec["kind"]](case).items()}


def tensors(arrays: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def design_of(config: dict[str, Any]) -> Design:
    """The design that the published library's arguments describe."""
    more, before = config["compatible_config"], config.get("cls_token_insert_layer")
    words: dict[str, Any] = {
        "head": {"avg": "mean", "cls": "first"}[config["head_op"]],
        "adjustment": {1: "linear", 2: "mlp"}[more["type_op_adjust"]],
    }
    return Design(
        units=tuple(
            Unit(width, tuple(ops), passes)
            for width, ops, passes in zip(
                config["width_configs"], config["ops_list"], config["repeats"], strict=True
            )
        ),
        tokens=config["num_latent_tokens"],
        points=config["num_sampling_points"],
        channels=config["conv_dim"],
        shared_embedding=config["same_token_embedding"],
        class_token_before=before if before in range(len(config["ops_list"])) else None,
        heads={1: 64, 2: None}[more["type_num_attn_heads"]],
        generator=more["pg_inner_dim"],
        mixing_bias=more["mixing_bias"],
        transition_norm=more["transition_ln"],
        stage_embedding=more["use_stage_embedding"],
        padding=more["grid_sample_config"]["padding_mode"],
        quick_gelu=more["clip_quick_gelu"],
        clamp=more["restrict_grad_norm"],
        eps=more["ln_eps"],
        **words,
    )


def network(config: dict[str, Any]) -> SparseFormer:
    """Our network for the published library's arguments, in evaluation mode."""
    rate = config.get("drop_path_rate", 0.0)
    head = config["proj_dim"], config["proj_bias"]
    return SparseFormer(design_of(config), *head, config.get("replicates"), rate).eval()


def passes(model: SparseFormer, x: Tensor) -> Outputs:
    """Tokens and regions after each pass by their published names."""
    got: Outputs = {}
    names = (f"unit{number}.pass{r}" for number, u in enumerate(model.design.units) for r in range(u.passes))
    for name, state in zip(names, model.passes(x), strict=True):
        got |= {f"{name}.tokens": state.tokens, f"{name}.rois": state.regions}
    return got


def first_pass(model: SparseFormer, x: Tensor) -> Outputs:
    """What the operations of the very first pass do, one by one."""
    got: Outputs = {}
    features, layer = model.feat_extractor(x), model.layers[0]
    assert isinstance(layer, Layer)
    state = layer.begin(model.begin(x), 0)
    for op in layer.unit.ops:
        if op == "SAMPLING_M":
            got["unit0.pass0.sampled"] = layer.look(state, features, None)[:, :4, None]
        if op == "PE_INJECT":
            got["pe0"] = layer.position(state)
        state = layer.step(op, state, features, 0, None)
        name = {"ATTN": "attn", "MLP": "mlp", "SAMPLING_M": "sampling"}.get(op)
        if name:
            got[f"unit0.pass0.after_{name}"] = state.tokens
    every = 2 if features.ndim == 4 else 4
    return got | {"stem": features[..., ::every, ::every]}


@torch.no_grad()
def image_or_video(case: Case) -> Outputs:
    """Stem, operations of the first pass, every pass, and logits."""
    model = network(case.spec["config"])
    checkpoint.start(model, tensors(case.state()), case.spec["case"])
    (x,) = tensors(case.inputs()).values()
    return (
        first_pass(model, x)
        | passes(model, x)
        | {"logits": model(x), "initial_roi": model.initial_roi.weight}
    )


def imagenet(case: Case) -> Outputs:
    """The training code: every pass, loss, and gradients with clamping under a loss scale."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    scale = config["loss_scale"]
    groups = zip(config["width_configurations"], config["block_sizes"], config["repeats"], strict=True)
    design = Design(
        units=tuple(
            Unit(width, ("ATTN", "MLP") if number else TRAINED_OPS, passes)
            for width, size, passes in groups
            for number in range(size)
        ),
        tokens=config["num_latent_tokens"],
        points=config["token_sampling_points"],
        channels=config["conv_dim"],
        clamp=True,
        numerics="training",
    )
    model = SparseFormer(design, config["num_classes"], drop_path=config["drop_path_rate"]).eval()
    checkpoint.start(model, tensors(case.state()), case.spec["case"])
    got = first_pass(model, inputs["image"]) | passes(model, inputs["image"])
    got["final_norm_tokens"] = model.norm(model.tokens(inputs["image"]).tokens)
    got["logits"] = model(inputs["image"], scale)
    got["loss"] = loss.soft_cross_entropy(
        got["logits"], inputs["target"] / inputs["target"].sum(1, keepdim=True)
    )[None]
    (got["loss"].sum() * scale).backward()
    parameters = dict(model.named_parameters())
    published = checkpoint.library_names(case.state())
    gradients = {old: parameters[new].grad / scale for old, new in published.items()}
    got |= {f"grad/{name}": gradient for name, gradient in gradients.items()}
    norms = torch.stack([gradients[name].norm() for name in sorted(gradients)])
    return got | {"grad_norms_sorted_by_name": norms, "grad_norm": norms.norm()[None]}


@torch.no_grad()
def video_inflate(case: Case) -> Outputs:
    """Inflated tensors, and the logits of a clip and of its first frame."""
    config, state = case.spec["config"], tensors(case.state())
    model = network(config)
    checkpoint.start(model, state, case.spec["case"])
    (video,) = tensors(case.inputs()).values()
    inflated = inflate(state, model.design, config["replicates"])
    inflated["feat_extractor.conv1.weight"] = inflated["feat_extractor.conv1.weight"][:4]
    got: Outputs = {f"inflated/{name}": tensor for name, tensor in inflated.items()}
    return got | {"logits": model(video), "logits_single_frame": model(video[:, :, :1])}


def sampling(case: Case) -> Outputs:
    """Points, samples, and gradients with and without clamping."""
    inputs = tensors(case.inputs())
    eps, got = case.spec["config"]["offset_std_eps"], {}
    for name in case.outputs():
        padding, _, kind = name.partition(".")
        leaves = {key: inputs[key].clone().requires_grad_() for key in ("rois", "offsets", "features")}
        where = regions.points(leaves["rois"], leaves["offsets"], eps)
        if name == "points":
            got[name] = where.unsqueeze(2)
            continue
        quantity, _, clamping = kind.removeprefix("grad_").partition(".")
        if clamping.startswith("clamped"):
            scale = float(clamping.removeprefix("clamped").removeprefix("_scale") or 1)
            where = regions.clamp_gradient(where, scale / leaves["features"].shape[-2])
        sampled = regions.sample(leaves["features"], where, padding).unsqueeze(2)
        (sampled * inputs["cotangent"]).sum().backward()
        got[name] = sampled if kind == "sampled" else leaves[quantity].grad
    return got


@torch.no_grad()
def adaptive_decoding(case: Case) -> Outputs:
    """Generated mixings and decoded tokens."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    inner = config["pg_inner_dim"]
    decoding = AdaptiveDecoding(
        config["query_dim"],
        config["in_dim"],
        config["in_points"],
        config["out_points"],
        int(inner * config["query_dim"]) if isinstance(inner, float) else inner,
        config["mixing_bias"],
        config["parameter_generator_norm_eps"],
    )
    weights.fit(decoding, tensors(case.state()), case.spec["case"])
    generated = [mixing.flatten(2) for mixing in decoding.generate(inputs["query"])]
    decoded = decoding(inputs["sampled"].squeeze(2), inputs["query"])
    return {"generated": torch.cat(generated, dim=-1), "decoded": decoded}


def roi_adjust(case: Case) -> Outputs:
    """Adjusted regions of images and videos, and gradients."""
    inputs, got = tensors(case.inputs()), {}
    for kind in ("", "3d"):
        boxes, change = (inputs[name + kind].requires_grad_() for name in ("rois", "adjust"))
        adjusted = regions.adjust(boxes, change)
        (adjusted * inputs["cotangent" + kind]).sum().backward()
        got |= {
            f"adjusted{kind}": adjusted,
            f"grad_rois{kind}": boxes.grad,
            f"grad_adjust{kind}": change.grad,
        }
    return got


def initialisation(case: Case) -> Outputs:
    """Regions, points and gains at the start; the random numbers are held to their bounds."""
    config, got = case.spec["config"], {}
    width, channels = config["width"], config["conv_dim"]
    for name, want in case.outputs().items():
        kind, _, number = name.partition(".")
        if kind == "initial_roi":
            got[name] = regions.published_regions(int(number))
            continue
        count = int(number)
        design = Design((Unit(width, TRAINED_OPS),), tokens=4, points=count, channels=channels)
        layer: Any = SparseFormer(design, 2).layers[0]
        decoding = layer.adaptive_mixing
        if kind == "roi_offset_bias":
            got[name] = layer.roi_offset_bias
        elif kind.endswith("_norm_gain"):
            module = layer.roi_offset_module if "offset" in kind else decoding.parameter_generator
            gain = module[0].weight
            assert (gain == gain[0]).all()
            got[name] = gain[:1]
        elif kind == "generator_bias_absmax":
            bias = decoding.parameter_generator[2].bias.abs().split([channels**2, design.out_points * count])
            bounds = [(6 / (2 * channels)) ** 0.5, (6 / (count + design.out_points)) ** 0.5]
            for part, bound, recorded in zip(bias, bounds, want, strict=True):
                assert 0.5 * bound < part.max() <= bound, f"{name}: {part.max()} for a bound of {bound}"
                assert recorded <= bound
            # One random draw says no more than that it keeps the bounds.
            got[name] = torch.from_numpy(want)
    return got


VARIANTS = {
    "tiny": "v1-tiny",
    "small": "v1-small",
    "base": "v1-base",
    "t": "v1-tiny",
    "s": "v1-small",
    "b": "v1-base",
}


def census(name: str, entry: dict[str, Any]) -> list[str]:
    """What differs between a published model of that name and ours: parameters, their count and the cost."""
    size = name.removeprefix("video_").removesuffix("_replicates8").split("_")[-1]
    replicates = 8 if name.startswith("video_") else None
    return census_faults(DESIGNS[VARIANTS[size]], 1000, True, replicates, entry)


def census_faults(
    design: Design, outputs: int, bias: bool, replicates: int | None, entry: dict[str, Any]
) -> list[str]:
    """How a network's parameters differ from an entry of the census, in either code's names."""
    with torch.device("meta"):
        model = SparseFormer(design, outputs, bias, replicates)
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    names = checkpoint.library_names(entry["keys"])
    faults = differing_keys(shapes, {names[old]: shape for old, shape in entry["keys"].items()})
    count = sum(parameter.numel() for parameter in model.parameters())
    gmacs = cost.network(design, outputs, 224, 1 if replicates is None else 32, replicates) / 1e9
    if abs(gmacs / entry["gflops"] - 1) > 0.005:
        faults.append(f"{gmacs:.3f} GMACs, expected {entry['gflops']}")
    if count != entry["params"]:
        faults.append(f"{count} parameters, expected {entry['params']}")
    return faults
