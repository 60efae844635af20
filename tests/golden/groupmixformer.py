"""Runs the golden cases of GroupMixFormer on our networks and rules."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from avmodels.engine.judging import accuracy
from avmodels.groupmixformer import checkpoint, cost, data, descent, loss
from avmodels.groupmixformer.attention import Block, heads, linear_attention, shares
from avmodels.groupmixformer.config import Steepness
from avmodels.groupmixformer.fold import folded
from avmodels.groupmixformer.model import SIZES, Backbone, Classifier, Size, Trunk, drop_path_rates
from tests.golden.__main__ import differing_keys
from tests.golden.case import Case

Outputs = dict[str, Any]


def run(case: Case) -> Outputs:
    """Our outputs of one case, by name."""
    kinds: dict[str, Callable[[Case], Outputs]] = {
        "gma_block": gma_block,
        "tiny_classify": network,
        "tiny_features": network,
        "train_step": train_step,
        "recipe": recipe,
        "evaluation": evaluation,
    }
    if case.spec["kind"] not in kinds:
        raise NotImplementedError(f"groupmixformer has no cases of kind {case.spec['kind']!r}")
    got = kinds[case.spec["kind"]](case)
    return {name: value.detach() if isinstance(value, Tensor) else value for name, value in got.items()}


def tensors(arrays: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def flat(grid: Tensor) -> Tensor:
    """Tokens on their grid (B, H, W, C) in a row, (B, H * W, C)."""
    return grid.flatten(1, 2)


@torch.no_grad()
def gma_block(case: Case) -> Outputs:
    """One block, step by step."""
    config = case.spec["config"]
    high, wide = config["size"]
    block = Block(config["dim"], config["mlp_ratio"], 0.0, config["qkv_bias"], config["qk_scale"]).eval()
    block.load_state_dict(tensors(case.state()))
    x = tensors(case.inputs())["tokens"].unflatten(1, (high, wide))
    att = block.att
    placed = block.cpe(x)
    normed = block.norm1(placed)
    stacked = att.stacked(normed)
    attending, local = att.aggregator(stacked)
    queries, keys, values = (heads(part) for part in attending.chunk(3))
    unscaled = linear_attention(queries, keys, values)
    place = queries * heads(att.crpe(attending.chunk(3)[2]))
    merged = (att.scale * unscaled + place).transpose(1, 2).flatten(2)
    seen = placed + att(normed)
    names = ("segment0_identity", "segment1_conv3", "segment2_conv5", "segment3_conv7")
    return {
        "after_cpe": flat(placed),
        "after_norm1": flat(normed),
        "aggregator_in": stacked.flatten(2).mT,
        **dict(zip(names, attending.chunk(4, dim=1), strict=True)),
        "segment4_nonattention": flat(local),
        "q": queries,
        "k": keys,
        "v": values,
        "k_softmax": shares(keys),
        "kv": shares(keys).mT @ values,
        "efficient_attention_unscaled": unscaled,
        "conv_rel_pos": place,
        "scale": np.float32(att.scale),
        "merged_before_proj": torch.cat([merged, flat(local)], dim=-1),
        "att_out": flat(att(normed)),
        "mlp_out": flat(block.mlp(block.norm2(seen))),
        "block_out": flat(block(x)),
    }


def size_of(config: dict[str, Any]) -> Size:
    """The size that the published arguments describe."""
    return Size(
        tuple(config["embedding_dims"]),
        tuple(config["serial_depths"]),
        tuple(config["mlp_ratios"]),
        config["qkv_bias"],
        config["qk_scale"],
    )


def model_of(case: Case) -> Trunk:
    """Our network of a case, in evaluation mode."""
    config = case.spec["config"]
    if config.get("return_interm_layers"):
        model: Trunk = Backbone(size_of(config), config["drop_path_rate"])
    else:
        model = Classifier(size_of(config), config["num_classes"], config["drop_path_rate"])
    left = checkpoint.start(model, checkpoint.state_of({"model": tensors(case.state())}), case.spec["case"])
    assert not left, left
    return model.eval()


@torch.no_grad()
def network(case: Case) -> Outputs:
    """Stem, tokens, blocks, maps, and logits; the folded form must give the same maps."""
    model, got = model_of(case), {}

    def record(module: nn.Module, name: str, form: Callable[[Tensor], Tensor]) -> None:
        module.register_forward_hook(lambda module, inputs, output: got.update({name: form(output)}))

    record(model.conv_stem, "stem", lambda x: x)
    for number, depth in enumerate(model.size.depths):
        record(model.patch_embed_layers[number], f"tokens_in_stage{number}", flat)
        record(model.groupmixformer_backbone[number], f"feature{number}", lambda x: x)
        for block in range(depth - 1):
            module = model.get_submodule(f"groupmixformer_backbone.{number}.gma_stage.{block}")
            record(module, f"stage{number}_block{block}", flat)
    image = tensors(case.inputs())["image"]
    output = model(image)
    if isinstance(model, Classifier):
        got |= {"pooled": model.features(image), "logits": output}
    for ours, theirs in zip(folded(model).maps(image), model.maps(image), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)
    return got


def train_step(case: Case) -> Outputs:
    """A step of training: target, loss, gradients, clipping, and what the step leaves."""
    config, inputs, model = case.spec["config"], tensors(case.inputs()), model_of(case).train()
    target = loss.mixed_target(
        inputs["labels"], config["num_classes"], config["lam"], config["label_smoothing"]
    )
    logits = model(inputs["image"])
    value = loss.soft_cross_entropy(logits, target)
    parameters = dict(model.named_parameters())
    each = torch.autograd.grad(value, list(parameters.values()))
    gradients = dict(zip(parameters, each, strict=True))
    for name, gradient in gradients.items():
        parameters[name].grad = gradient.clone()
    groups = descent.groups(model, 0.05)
    free = {id(parameter) for group in groups if not group["weight_decay"] for parameter in group["params"]}
    names = config["param_names"]
    got: Outputs = {
        "soft_target": target,
        "logits": logits,
        "loss": value,
        "grad_norms": torch.stack([gradients[name].norm() for name in names]),
        "total_grad_norm_before_clip": nn.utils.clip_grad_norm_(model.parameters(), config["clip_grad"]),
        "no_decay_mask": np.array([id(parameters[name]) in free for name in names]),
    }
    optimiser = descent.adamw(Steepness()).optimiser(groups)
    for group in optimiser.param_groups:
        group["lr"] = config["lr"]
    optimiser.step()
    state = model.state_dict()
    for name in case.outputs():
        kind, _, parameter = name.partition("/")
        if parameter:
            got[name] = gradients[parameter] if kind == "grad" else state[parameter]
    return got


def recipe(case: Case) -> Outputs:
    """The rate after some updates, and every block's drop path."""
    config = case.spec["config"]
    an_epoch = config["iters_per_epoch"]
    total, warmup = config["epochs"] * an_epoch, config["warmup_epochs"] * an_epoch
    rates = [
        descent.rate(update, total, warmup, config["base_lr"], config["warmup_lr"], config["min_lr"])
        for update in (0, *config["updates"])
    ]
    size = Size((10,) * 4, tuple(config["serial_depths"]))
    return {
        "lr_before_first_update": np.float32(rates[0]),
        "lr_scaled_1e3_after_update": 1e3 * np.array(rates[1:]),
        "drop_path_per_block": np.concatenate(drop_path_rates(size, config["drop_path_rate"])),
    }


def evaluation(case: Case) -> Outputs:
    """A test image's pixels; accuracy by batch and process, as the published code averages it, and exactly."""
    config, inputs = case.spec["config"], case.inputs()
    photo = Image.fromarray(inputs["photo"].astype(np.uint8))
    logits, labels = (torch.from_numpy(inputs[name]) for name in ("logits", "labels"))
    world, size = config["world_size"], config["batch_size"]

    def both(numbers: Tensor) -> np.ndarray:
        return np.array(list(accuracy(logits[numbers], labels[numbers]).values())) / len(numbers)

    everything = torch.arange(len(labels))
    batches = list(zip(*(everything[rank::world].split(size) for rank in range(world)), strict=True))
    each = np.array([[both(numbers) for numbers in batch] for batch in batches])
    sizes = np.array([[len(numbers) for numbers in batch] for batch in batches])
    reported = np.einsum("bk,br->rk", each.mean(1), sizes) / sizes.sum(0)[:, None]
    return {
        "image_tensor": data.test_transform(config["img_size"], config["crop"])(photo),
        "batch_accuracy": each,
        "reported_by_rank": reported,
        "exact": both(everything),
    }


def census(name: str, entry: dict[str, Any]) -> list[str]:
    """What differs between a published model of that name and ours: parameters, their count and the cost."""
    size = SIZES[name.removeprefix("groupmixformer_")]
    with torch.device("meta"):
        model = Classifier(size, 1000)
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    faults = differing_keys(shapes, entry["keys"]) if "keys" in entry else []
    digest = hashlib.sha256(json.dumps(shapes, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    if entry.get("keys_sha256", digest) != digest:
        faults.append(f"the digest of names and shapes is {digest}, expected {entry['keys_sha256']}")
    count = sum(parameter.numel() for parameter in model.parameters())
    if count != entry["params"]:
        faults.append(f"{count} parameters, expected {entry['params']}")
    for key, side in (("gflops", 224), ("gflops_384", 384)):
        gmacs = cost.network(size, side, 1000) / 1e9
        if abs(gmacs - entry[key]) > 1e-4:
            faults.append(f"{gmacs:.4f} GMACs at {side}, expected {entry[key]}")
    return faults
