"""Runs the golden cases of TagAlign on our networks and rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avmodels.nn.clip_blocks import Block
from avmodels.nn.clip_text import TextEncoder, TextSize, trim
from avmodels.nn.clip_tokens import tokenize
from avmodels.tag_align import checkpoint, cost, lists, prompts, segment, tower
from avmodels.tag_align.loss import Contrastive, MultiTag, Scaled, normalise
from avmodels.tag_align.model import SIZES, ImageEncoder, Size, TagAlign, optimiser_groups
from avmodels.tag_align.projector import GatedSize, GatedStack, Projector, TransformerSize, TransformerStack
from avmodels.tag_align.segment import PUBLISHED
from avmodels.tag_align.tower import ImageSize, ImageTower, Patches
from tests.golden import tag_align_evaluation as evaluation
from tests.golden.__main__ import differing_keys
from tests.golden.case import Case

Outputs = dict[str, Any]


def run(case: Case) -> Outputs:
    """Our outputs of one case, by name."""
    kinds: dict[str, Callable[[Case], Outputs]] = {
        "surgery-block": surgery_block,
        "image-encoder": image_encoder,
        "text-encoder": text_encoder,
        "projector-gdecoder": gated_projector,
        "projector-transformer": transformer_projector,
        "losses": losses,
        "training-step": training_step,
        "masks": masks,
        "tokenizer": evaluation.tokenizer,
        "geometry": evaluation.geometry,
        "segmentation": lambda case: evaluation.segmentation(case, whole_model(case)),
        "miou": evaluation.mean_iou,
        "reader": evaluation.reader,
        "pamr": evaluation.pamr,
    }
    if case.spec["kind"] not in kinds:
        raise NotImplementedError(f"tag-align has no cases of kind {case.spec['kind']!r}")
    return {name: as_array(value) for name, value in kinds[case.spec["kind"]](case).items()}


def as_array(value: Any) -> np.ndarray:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def projector_size(how: dict[str, Any]) -> GatedSize | TransformerSize:
    """The projector a published model's arguments describe."""
    if "n_heads" in how:
        return TransformerSize(how["n_layers"], how["n_heads"], how["mlp_ratio"])
    norm = how["norm"].removeprefix("sync")  # the same in one process
    return GatedSize(how["n_layers"], how["double"], how["kernel_size"], how["act"], norm)


def whole_model(case: Case) -> TagAlign:
    """Our model for the published arguments, with the case's weights."""
    clip = case.spec["config"]["clip"]
    image = ImageSize(
        clip["vision_patch_size"], clip["vision_width"], clip["vision_layers"], clip["image_resolution"]
    )
    width = clip["transformer_width"]
    text = TextSize(
        clip["embed_dim"],
        width,
        clip["transformer_layers"],
        width // 64,
        clip["vocab_size"],
        clip["context_length"],
    )
    how, tags = projector_size(case.spec["config"]["projector"]), case.spec["config"]["num_tags"]
    model = TagAlign(Size(image, text), how, tags)
    checkpoint.start(model, checkpoint.state_of({"model": tensors(case.state())}), case.spec["case"])
    return model.eval()


def watch(module: nn.Module, seen: Outputs, name: str, show: Callable[[Tensor], Tensor]) -> None:
    """Keeps what a module gives, as `show` shows it, under a name."""
    module.register_forward_hook(lambda _module, _inputs, output: seen.update({name: show(output)}))


@torch.no_grad()
def surgery_block(case: Case) -> Outputs:
    """One block with two paths."""
    block = Block(case.spec["config"]["width"], case.spec["config"]["heads"])
    prefix = "transformer.resblocks.0."
    state = checkpoint.state_of({prefix + name: tensor for name, tensor in tensors(case.state()).items()})
    block.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in state.items()})
    inputs = tensors(case.inputs())
    tokens = inputs["tokens"]
    values_mixed, mixed = tower.two_attentions(block.attn, tokens)
    first = tower.two_paths(block, tokens, tokens)
    following = tower.two_paths(block, inputs["new_path"], tokens)
    got: Outputs = {"attn_vv": values_mixed, "attn_original": mixed}
    got |= {"first_new": first[0], "first_original": first[1]}
    return got | {"next_new": following[0], "next_original": following[1]}


@torch.no_grad()
def image_encoder(case: Case) -> Outputs:
    """The whole tower on two grids, and its two plainer forms."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    size = ImageSize(config["patch"], config["width"], config["layers"], config["image_resolution"])
    state = checkpoint.from_clip({f"visual.{name}": value for name, value in tensors(case.state()).items()})
    prefix = "clip_image_encoder."
    state = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}

    def encoder(patches: Patches) -> ImageEncoder:
        model = ImageEncoder(size, config["output_dim"], patches)
        model.load_state_dict(state)
        return model.eval()

    dense, got = encoder("surgery"), {}
    for name, image in (("native", inputs["image"]), ("wide", inputs["image_wide"])):
        tokens = dense.clip_visual(image)
        steps = every_block(dense.clip_visual, image)
        step = config["stored_channels_step"]
        got |= {f"{name}/{key}": value[..., ::step] for key, value in steps.items()}
        got |= {f"{name}/tokens": tokens, f"{name}/joint": dense.clip_proj(tokens)}
    for name, model in (("joint", encoder("plain")), ("joint_last_attention_ignored", encoder("maskclip"))):
        got[f"plain/{name}"] = model.clip_proj(model.clip_visual(inputs["image_wide"]))
    return got


def every_block(model: ImageTower, image: Tensor) -> Outputs:
    """What each part of the tower gives, whole."""
    x = model.embed(image)
    got = {"embedded": x, "ln_pre": model.ln_pre(x)}
    new = original = got["ln_pre"]
    split = model.size.depth - tower.DUAL_BLOCKS
    for number, block in enumerate(model.transformer.blocks):
        if number < split:
            got[f"block{number}"] = new = original = block(original)
        else:
            new, original = tower.two_paths(block, new, original)
            got |= {f"block{number}_new": new, f"block{number}_original": original}
    return got


@torch.no_grad()
def text_encoder(case: Case) -> Outputs:
    """The frozen text tower, whole and over trimmed sentences."""
    config, ids = case.spec["config"], torch.from_numpy(case.inputs()["token_ids"])
    size = TextSize(
        config["embed_dim"],
        config["width"],
        config["layers"],
        config["width"] // 64,
        config["vocab_size"],
        config["context_length"],
    )
    encoder = TextEncoder(size).eval()
    encoder.load_state_dict(tensors(case.state()))
    got: Outputs = {}
    rows = case.stored["ln_final"].shape[1]
    show = partial(shown_rows, rows=rows, step=config["stored_channels_step"])
    for number, block in enumerate(encoder.transformer.resblocks):
        watch(block, got, f"block{number}", show)
    watch(encoder.ln_final, got, "ln_final", show)
    whole = encoder(ids.flatten(0, 1))
    seen = dict(got)
    quick = encoder(trim(ids.flatten(0, 1)))
    assert torch.allclose(whole, quick, rtol=1e-4, atol=1e-5)
    classes = prompts.embed_tokens(encoder, ids.flatten(0, 1)).unflatten(0, ids.shape[:2]).mean(1)
    return seen | {
        "features": whole,
        "class_embedding": classes,
        "class_embedding_normalised": normalise(classes),
    }


def shown_rows(x: Tensor, rows: int, step: int) -> Tensor:
    return x[:, :rows, ::step]


def projector_of(case: Case) -> Projector:
    config = case.spec["config"]
    model = Projector(config["width"], config["output_dim"], projector_size(config))
    state = {f"projector.{name}": value for name, value in tensors(case.state()).items()}
    state = checkpoint.state_of(state)
    model.load_state_dict({name.removeprefix("projector."): value for name, value in state.items()})
    return model.eval()


@torch.no_grad()
def gated_projector(case: Case) -> Outputs:
    """The gated convolutions, branch by branch, and shut."""
    model, step = projector_of(case), case.spec["config"]["stored_channels_step"]
    seen: Outputs = {}
    assert isinstance(model.projector, GatedStack)
    for number, layer in enumerate(model.projector.net):
        watch(layer, seen, f"layer{number}", lambda x: x[:, ::step])
        for name in ("conv", "conv2"):
            if getattr(layer, name) is not None:
                watch(getattr(layer, name), seen, f"layer{number}_{name}_branch", lambda x: x[:, ::step])
    features = torch.from_numpy(case.inputs()["features"]).permute(0, 2, 3, 1)
    projected = model(features)
    got = dict(seen)
    for name, parameter in model.named_parameters():
        if name.endswith("gate.gate"):
            parameter.zero_()
    return got | {
        "projected": projected.permute(0, 3, 1, 2),
        "pooled": projected.mean((1, 2)),
        "normalised": normalise(projected).permute(0, 3, 1, 2),
        "projected_with_zero_gates": model(features).permute(0, 3, 1, 2),
    }


@torch.no_grad()
def transformer_projector(case: Case) -> Outputs:
    """The transformer over patches."""
    model, step = projector_of(case), case.spec["config"]["stored_channels_step"]
    got: Outputs = {}
    assert isinstance(model.projector, TransformerStack)
    for number, block in enumerate(model.projector):
        assert isinstance(block.attn, nn.Module)
        watch(block.attn, got, f"block{number}_attention", lambda x: x[..., ::step])
        watch(block, got, f"block{number}", lambda x: x[..., ::step])
    projected = model(torch.from_numpy(case.inputs()["features"])[:, None])[:, 0]
    return got | {"projected": projected, "pooled": projected.mean(1)}


def losses(case: Case) -> Outputs:
    """Both objectives with their gradients, where the factor is free and where it is at its bound."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    text, table = inputs["text_embedding"], inputs["tag_embedding"]
    present = numbers(inputs["tags"])
    got: Outputs = {}
    for prefix, key in (("normal", "logit_scale"), ("clamped", "logit_scale_clamped")):
        parts: list[tuple[str, Scaled, tuple[Tensor, ...]]] = [
            ("contrastive", Contrastive(), (text,)),
            ("multi_tag", MultiTag(), (table, present)),
        ]
        for name, objective, others in parts:
            objective.logit_scale.data.fill_(config[key])
            image = inputs["image_embedding"].clone().requires_grad_()
            loss = objective(image, *others)
            gradients = torch.autograd.grad(loss, [image, objective.logit_scale])
            norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
            got |= {
                f"{prefix}/{name}": loss[None],
                f"{prefix}/{name}_grad_image": gradients[0],
                f"{prefix}/{name}_grad_logit_scale": gradients[1][None],
                f"{prefix}/{name}_grad_norm": norm[None],
            }
    alone = MultiTag()
    alone.logit_scale.data.fill_(config["logit_scale"])
    rows = zip(inputs["image_embedding"], present, strict=True)
    got["multi_tag_per_sample"] = torch.stack([alone(row[None], table, tags[None]) for row, tags in rows])
    return got


def numbers(hot: Tensor) -> Tensor:
    """Rows of 0 and 1 (B, K) -> the numbers of the ones, filled up with -1."""
    present = [row.nonzero()[:, 0].numpy() for row in hot]
    longest = max([1, *map(len, present)])
    return torch.stack([lists.padded(some, longest) for some in present])


def training_step(case: Case) -> Outputs:
    """One step of the whole model."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    model = whole_model(case).train()
    assert (tokenize(config["captions"]) == inputs["token_ids"]).all()
    image = model(inputs["image"]).mean((1, 2))
    text = prompts.embed_tokens(model.clip_text_encoder, inputs["token_ids"])
    cl_loss = model.cl_loss(image, text)
    ce_loss = model.ce_loss(image, model.label_embedding, numbers(inputs["tags"]))
    (cl_loss + ce_loss).backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert trained.keys() == set(config["trainable_parameters"])
    gradients = {name: p.grad.clone() for name, p in trained.items() if p.grad is not None}
    train, how = config["train"], config["train"]["optimizer"]
    groups = optimiser_groups(model, train["weight_decay"])
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    assert {name for name, p in trained.items() if id(p) in decayed} == set(
        config["weight_decayed_trainable_parameters"]
    )
    norm = nn.utils.clip_grad_norm_(trained.values(), train["clip_grad"])
    adamw = torch.optim.AdamW(groups, train["base_lr"], tuple(how["betas"]), how["eps"])
    adamw.step()
    small = [name for name, p in trained.items() if p.numel() <= config["clip"]["vision_width"]]
    norms = [gradients[name].norm() for name in config["trainable_parameters"]]
    got: Outputs = {
        "image_embedding": image,
        "text_embedding": text,
        "cl_loss": cl_loss[None],
        "ce_loss": ce_loss[None],
        "total_loss": (cl_loss + ce_loss)[None],
        "grad_norm_per_parameter": torch.stack(norms),
        "grad_norm_total": norm[None],
    }
    got |= {f"grad/{name}": gradients[name].flatten() for name in small}
    return got | {f"after_step/{name}": trained[name].flatten() for name in small}


@torch.no_grad()
def masks(case: Case) -> Outputs:
    """Cosines and scores of made-up words by both protocols."""
    model, inputs, step = whole_model(case), tensors(case.inputs()), case.spec["config"]["stored_pixel_step"]
    image, words = inputs["image"], inputs["text_embedding"]
    patches = model.clip_image_encoder(image)
    got: Outputs = {
        "similarity_projector": segment.cosines(model.projector(patches), words),
        "similarity_clip": segment.cosines(model.clip_image_encoder.clip_proj(patches), words),
    }
    for name in case.outputs():
        form, _, clip = name.partition("/mask_clip_w_")
        if clip:
            protocol = replace(PUBLISHED[{"main": "v1", "dev": "v3"}[form]], clip=float(clip))
            got[name] = segment.masks(model, image, words, protocol)[:, :, ::step, ::step]
    return got


def census(name: str, entry: dict[str, Any]) -> list[str]:
    """What differs between a published model and ours: parameters, counts, cost, and the surgery's names."""
    if "openai" in name:
        return clip_census(entry)
    size = SIZES["vit-b-16"]
    trained = TransformerSize() if "transformer" in name else GatedSize()
    with torch.device("meta"):
        model = TagAlign(size, trained)
    own = {key: list(value.shape) for key, value in model.state_dict().items()}
    faults = differing_keys(own, entry["keys"])
    counts = {
        "params": sum(p.numel() for p in model.parameters()),
        "trainable_params": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
    faults += [
        f"{count} {what}, expected {entry[what]}" for what, count in counts.items() if count != entry[what]
    ]
    flops = 2e-9 * cost.picture(size, trained, 448, "surgery")
    if abs(flops / entry["gflops"] - 1) > 0.001:
        faults.append(f"{flops:.2f} GFLOP, expected {entry['gflops']}")
    saved = {
        key: shape
        for key, shape in entry["keys"].items()
        if key not in entry["keys_removed_after_first_forward"]
    }
    saved |= entry["keys_added_after_first_forward"]
    state = checkpoint.state_of({key: torch.empty(shape, device="meta") for key, shape in saved.items()})
    return faults + differing_keys({key: list(value.shape) for key, value in state.items()}, entry["keys"])


def clip_census(entry: dict[str, Any]) -> list[str]:
    """What of OpenAI's CLIP does not fit our towers."""
    with torch.device("meta"):
        model = TagAlign(SIZES["vit-b-16"], GatedSize())
    state = checkpoint.from_clip(
        {key: torch.empty(shape, device="meta") for key, shape in entry["keys"].items()}
    )
    own = {
        key: list(value.shape)
        for key, value in model.state_dict().items()
        if key.startswith(("clip_", "projector.clip_proj."))
    }
    return differing_keys({key: list(value.shape) for key, value in state.items()}, own)
