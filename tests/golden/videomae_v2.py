"""Runs the golden cases of VideoMAE V2 on our models and rules."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels import zoo
from avmodels.data import augment, mixup, sampling
from avmodels.engine import weights
from avmodels.engine.schedule import cosine
from avmodels.metrics import views
from avmodels.metrics.accuracy import hits
from avmodels.nn.layer_decay import layer_groups
from avmodels.nn.positions import sinusoid
from avmodels.videomae_v2 import checkpoint, data, loss, masks
from avmodels.videomae_v2.model import (
    Classifier,
    MaskedAutoencoder,
    Size,
    grid,
    official_positions,
)
from tests.golden.__main__ import differing_keys
from tests.golden.case import Case

Outputs = dict[str, Any]


def run(case: Case) -> Outputs:
    """Our outputs of one case, by name."""
    kinds: dict[str, Callable[[Case], Outputs]] = {
        "pretrain": pretrain,
        "finetune": finetune,
        "masks": masks_and_positions,
        "sampling": sampling_and_views,
        "augment": augmentation,
        "rules": training_rules,
        "merge": merge,
    }
    if case.spec["kind"] not in kinds:
        raise NotImplementedError(f"videomae-v2 has no cases of kind {case.spec['kind']!r}")
    return kinds[case.spec["kind"]](case)


def size_of(model: dict[str, Any], prefix: str = "") -> Size:
    """The size a published model's arguments describe; `prefix` is `encoder_` for a pre-training model."""
    return Size(
        patch=model["patch_size"],
        width=model[f"{prefix}embed_dim"],
        depth=model[f"{prefix}depth"],
        heads=model[f"{prefix}num_heads"],
        decoder_width=model.get("decoder_embed_dim", 0),
        decoder_heads=model.get("decoder_num_heads", 0),
        mlp_ratio=model["mlp_ratio"],
        tubelet=model["tubelet_size"],
    )


def classifier(model: dict[str, Any], classes: int, **options: Any) -> Classifier:
    """Our classifier for the published arguments, in evaluation mode."""
    frames, side = model["all_frames"], model["img_size"]
    return Classifier(size_of(model), classes, frames, side, bias=model["qkv_bias"], **options).eval()


def autoencoder(model: dict[str, Any]) -> MaskedAutoencoder:
    """Our autoencoder for the published arguments."""
    return MaskedAutoencoder(
        size_of(model, "encoder_"),
        model["all_frames"],
        model["img_size"],
        model.get("decoder_depth", 8),
        bias=model["qkv_bias"],
    )


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def record(module: nn.Module, name: str, into: Outputs, entering: bool = False) -> None:
    """Keeps what a module returns (or what enters it) when the model is run."""
    if entering:
        module.register_forward_pre_hook(lambda _, args: into.update({name: args[0].detach()}))
    else:
        module.register_forward_hook(lambda _, args, out: into.update({name: out.detach()}))


def pretrain(case: Case) -> Outputs:
    """Forward, target, losses and gradients of the autoencoder."""
    model = autoencoder(case.spec["config"]["model"])
    weights.fit(model, checkpoint.state_of(tensors(case.state())), case.spec["case"])
    inputs = tensors(case.inputs())
    video, hidden, dropped = inputs["video"], inputs["encoder_mask"], inputs["decoder_mask"]
    got: Outputs = {"encoder/patch_tokens": model.encoder.patch_embed(video)}
    record(model.encoder.blocks[0], "encoder/visible_tokens", got, entering=True)
    record(model.encoder.norm, "encoder/output", got)
    record(model.encoder_to_decoder, "encoder_to_decoder", got)
    record(model.decoder.blocks[0], "decoder/input", got, entering=True)
    record(model.decoder.blocks[-1], "last block's input", got, entering=True)
    for part in ("encoder", "decoder"):
        for number, block in enumerate(getattr(model, part).blocks):
            record(block, f"{part}/block{number}", got)

    visible, kept = masks.kept(hidden), masks.kept(dropped)
    prediction = model(video, visible, kept)
    got = dict(got)  # what follows runs the blocks again
    last = len(model.decoder.blocks) - 1
    # The last block computes only the rows that are read; here all of them are wanted.
    got[f"decoder/block{last}"] = model.decoder.blocks[last](got["last block's input"])

    def losses(normalise: bool) -> tuple[Tensor, Tensor, Tensor]:
        target = loss.targets(video, kept, model.size.tubelet, model.size.patch, normalise)
        unseen = hidden.gather(1, kept)
        return target, unseen, loss.reconstruction_loss(prediction, target, unseen)

    target, unseen, value = losses(normalise=True)
    got |= {"prediction": prediction, "target": target, "loss_mask": unseen, "loss": value[None]}
    got["token_loss"] = loss.token_errors(prediction, target)
    value.backward(retain_graph=True)
    gradients = {
        name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None
    }
    got["grad_norm"] = torch.linalg.vector_norm(torch.cat([g.flatten() for g in gradients.values()]))
    for name in case.outputs():
        if name.startswith("grad1000/"):
            gradient = gradients[name.removeprefix("grad1000/").removesuffix(".mean_abs")] * 1000
            got[name] = gradient.abs().flatten(1).mean(1) if name.endswith(".mean_abs") else gradient

    target, _, value = losses(normalise=False)
    got |= {"unnormalised/target_first_token": target[:, 0], "unnormalised/loss": value}
    kept = masks.kept(~hidden)
    prediction = model(video, visible, kept)
    got["no_decoder_mask/prediction_mean"] = prediction.mean(-1)
    got["no_decoder_mask/prediction_first_token"] = prediction[:, 0]
    got["no_decoder_mask/loss"] = losses(normalise=True)[2]
    return {name: value.detach().numpy() for name, value in got.items()}


@torch.no_grad()
def finetune(case: Case) -> Outputs:
    """Tokens, blocks, features, logits and losses of the classifier."""
    config, state = case.spec["config"], tensors(case.state())
    classes = config["model"]["num_classes"]
    model = classifier(config["model"], classes)
    checkpoint.start_classifier(model, state, "", case.spec["case"])
    got: Outputs = {}
    record(model.blocks[0], "tokens", got, entering=True)
    record(model.get_submodule("blocks.0.attn"), "block0/attn", got)
    for number, block in enumerate(model.blocks):
        record(block, f"block{number}", got)
    video = torch.from_numpy(case.inputs()["video"])
    got["logits"] = model(video)
    got["features"] = model.features(video)
    if "loss_label" in config:
        label = torch.tensor(config["loss_label"])
        got["loss/cross_entropy"] = F.cross_entropy(got["logits"], label)[None]
        got["loss/label_smoothing"] = F.cross_entropy(got["logits"], label, label_smoothing=0.1)[None]
    if config.get("also_first_token"):
        model = classifier(config["model"], classes, mean_pooling=False)
        renamed = {name.replace("fc_norm.", "norm."): tensor for name, tensor in state.items()}
        checkpoint.start_classifier(model, renamed, "", case.spec["case"])
        got |= {"first_token/features": model.features(video), "first_token/logits": model(video)}
    return {name: value.numpy() for name, value in got.items()}


def masks_and_positions(case: Case) -> Outputs:
    """Mask draws, sinusoid tables and the published position resizing."""
    config, got = case.spec["config"], {}
    for entry in config["masks"]:
        name, shape = entry["name"], tuple(entry["grid"])
        maps = masks.running_cell_maps(shape, entry["decoder_mask_ratio"])
        np.random.seed(entry["seed"])
        draws = [
            masks.draw(shape, entry["mask_ratio"], entry["decoder_mask_ratio"]) for _ in range(entry["draws"])
        ]
        tubes = np.stack([hidden.reshape(shape[0], -1) for hidden, _ in draws])
        assert (tubes == tubes[:, :1]).all()
        phases = [
            next(phase for phase in range(4) if (maps[phase].ravel() == dropped).all())
            for _, dropped in draws
        ]
        hidden, dropped = draws[0]
        got |= {
            f"{name}/running_cell_maps": maps,
            f"{name}/tube": tubes[:, 0],
            f"{name}/running_cell": phases,
        }
        got[f"{name}/counts"] = [tubes[0, 0].sum(), (~hidden).sum(), (~dropped).sum()]
    for entry in config["positions"]:
        table = sinusoid(entry["n"], entry["d"])
        got[f"{entry['n']}x{entry['d']}"] = table[entry["rows"]] if "rows" in entry else table
    for entry in config["resize"]:
        got |= resized_positions(entry)
    return got


def resized_positions(entry: dict[str, Any]) -> Outputs:
    """What the published loader leaves, for one input size."""
    size = Size(entry["patch_size"], entry["d"], 1, 1, 1, 1, tubelet=entry.get("tubelet_size", 2))
    frames, side = entry["num_frames"], entry["input_size"]
    shape = grid(size, frames, side)
    fresh = sinusoid(shape[0] * shape[1] * shape[2], size.width)
    name = f"resize/{entry['name']}"
    try:
        table = official_positions(size, frames, side)
    except ValueError:
        return {f"{name}/status": [1, -1, 0, len(fresh)]}
    equal = table.shape == fresh.shape and torch.allclose(table, fresh, atol=1e-6)
    return {
        f"{name}/status": [0, int(equal), len(table), len(fresh)],
        f"{name}/table": table[entry["rows"]] if "rows" in entry else table,
    }


def sampling_and_views(case: Case) -> Outputs:
    """Frame numbers of every kind of clip, crops, and the pixels of views."""
    config, got = case.spec["config"], {}
    for entry in config["dense"]:
        name, n, rate = entry["name"], entry["clip_len"], entry["rate"]
        got[f"{name}/crop_start_48x32"] = views.crop_starts(48 - 32, entry["crops"])
        got[f"{name}/val_crop_start"] = views.crop_starts(48 - 32, 1)[0]
        for length in entry["lengths"]:
            got[f"{name}/test/L{length}"] = sampling.dense_views(length, n, rate, entry["segments"])
            got[f"{name}/val/L{length}"] = sampling.dense(length, n, rate, random=False)
            np.random.seed(entry["seed"])
            got[f"{name}/train/L{length}"] = [sampling.dense(length, n, rate, random=True) for _ in range(3)]
    for entry in config["raw"]:
        name, n, first = entry["name"], entry["num_frames"], entry["start_idx"]
        for length in entry["lengths"]:
            got[f"{name}/test/L{length}"] = first + sampling.sparse_views(length, n, entry["segments"])
            got[f"{name}/val/L{length}"] = first + sampling.sparse(length, n, random=False)
            np.random.seed(entry["seed"])
            draws = [sampling.sparse(length, n, random=True) for _ in range(3)]
            got[f"{name}/train/L{length}"] = first + np.stack(draws)
    for entry in config["pretrain"]:
        for length in entry["lengths"]:
            np.random.seed(entry["seed"])
            draws = [sampling.pretraining(length, entry["num_frames"], entry["rate"]) for _ in range(3)]
            got[f"{entry['name']}/L{length}"] = draws
    for entry in config["tad"]:
        stride = {"THUMOS14": 4, "FINEACTION": 16}[entry["data_set"]]
        for length in entry["lengths"]:
            got[f"tad/{entry['data_set']}/L{length}"] = sampling.windows(length, 16, stride)
    return got | view_pixels(config["view"], case.inputs()["frames"].astype(np.uint8))


class Held:
    """Frames in memory, read by number."""

    def __init__(self, frames: np.ndarray):
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def frames(self, numbers: np.ndarray) -> np.ndarray:
        return self._frames[numbers]


def view_pixels(view: dict[str, int], frames: np.ndarray) -> Outputs:
    """The normalised pixels of each test view, the validation view and a feature window."""
    n, rate, size = view["clip_len"], view["rate"], view["size"]
    got: Outputs = {"view/tad": data.window_pixels(frames[:n], size, normalise=False)}
    numbers = sampling.dense_views(len(frames), n, rate, view["segments"])
    for clip, places in data.test_views(Held(frames), numbers, size, view["crops"]):
        got |= {f"view/test_{segment}_{crop}": clip for segment, crop in places}
    clip = frames[sampling.dense(len(frames), n, rate, random=False)]
    got["view/val"] = data.centre_view(clip, size)
    return got


def augmentation(case: Case) -> Outputs:
    """RandAugment, crop, flip and erasing for fine-tuning; crop and masks for pre-training."""
    config, got = case.spec["config"], {}
    frames, size = case.inputs()["frames"].astype(np.uint8), config["size"]
    policy = augment.rand_augment(config["aa"])
    for seed in config["seeds"]:
        name = f"finetune/{seed}"
        seed_all(seed)
        changed, operations = augment.rand_augment_clip(frames, policy)
        box = augment.random_resized_box(changed.shape[1], changed.shape[2])
        sampled = data.crop_clip(changed, box, size)
        if config["data_set"] != "SSV2":
            sampled = augment.random_flip(sampled)
        got |= {f"{name}/ops": operations, f"{name}/randaug": changed, f"{name}/crop": box}
        got |= {f"{name}/sampled": sampled, f"{name}/final": augment.random_erase(sampled, config["reprob"])}
    for seed in sorted({int(name.split("/")[1]) for name in case.outputs() if name.startswith("pretrain/")}):
        name, shape = f"pretrain/{seed}", tuple(config["window_size"])
        seed_all(seed)
        box = augment.fixed_box(frames.shape[1], frames.shape[2], size)
        clip = data.normalised(augment.resize_crop(frames, box, size))
        hidden, dropped = masks.draw(
            shape, config.get("mask_ratio", 0.9), config.get("decoder_mask_ratio", 0.5)
        )
        got[f"{name}/box_w_h_x_y"] = [box.width, box.height, box.left, box.top]
        got[f"{name}/video"] = clip
        got[f"{name}/tube"] = hidden.reshape(shape[0], -1)
        got[f"{name}/running_cell"] = dropped.reshape(shape[0], -1)
    return got


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@torch.no_grad()
def training_rules(case: Case) -> Outputs:
    """Optimiser groups, schedules, mixing, losses and the conversion of checkpoints."""
    config, inputs, got = case.spec["config"], tensors(case.inputs()), {}
    for entry in config["groups"]:
        got |= groups(entry)
    for entry in config["schedules"]:
        total = entry["epochs"] * entry["steps"]
        warmup = entry.get("warmup_steps", entry["warmup_epochs"] * entry["steps"])
        rates = [cosine(step, total, warmup, entry["base"], entry["final"]) for step in range(total)]
        got[f"schedule/{entry['name']}"] = rates
    for seed in config["mix_seeds"]:
        np.random.seed(seed)
        video, soft = mixup.mix(inputs["video"], inputs["labels"], config["num_classes"])
        got |= {f"mix/{seed}/video": video, f"mix/{seed}/target": soft}
        got[f"mix/{seed}/loss"] = F.cross_entropy(inputs["logits"], soft)[None]
    label = inputs["labels"]
    got["loss/cross_entropy"] = F.cross_entropy(inputs["logits"], label)[None]
    got["loss/label_smoothing"] = F.cross_entropy(inputs["logits"], label, label_smoothing=0.1)[None]
    return got | conversions(config["convert"], tensors(case.state()), inputs["clip"])


def groups(entry: dict[str, Any]) -> Outputs:
    """Every parameter's learning-rate scale and weight decay, and the sizes of the groups."""
    shapes = {"patch_size": 8, "mlp_ratio": 4, "tubelet_size": 2, "qkv_bias": True}
    shapes |= {"img_size": 16, "all_frames": 4}
    if entry["model"] == "pretrain":
        shapes |= {"encoder_embed_dim": 8, "encoder_depth": entry["depth"], "encoder_num_heads": 1}
        shapes |= {"decoder_embed_dim": 8, "decoder_num_heads": 1}
        decoder = {name.split(".")[2] for name in entry["names"] if name.startswith("decoder.blocks.")}
        model = autoencoder(shapes | {"decoder_depth": len(decoder)})
    else:
        shapes |= {"embed_dim": 8, "depth": entry["depth"], "num_heads": 1}
        model = classifier(shapes, 3)
    made = layer_groups(model, entry["depth"], entry["layer_decay"], entry["weight_decay"])
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    of = {names[id(parameter)]: group for group in made for parameter in group["params"]}
    assert of.keys() == set(entry["names"]), of.keys() ^ set(entry["names"])
    return {
        f"{entry['name']}/lr_scale": [of[name]["lr_scale"] for name in entry["names"]],
        f"{entry['name']}/weight_decay": [of[name]["weight_decay"] for name in entry["names"]],
        f"{entry['name']}/group_sizes": [len(group["params"]) for group in made],
    }


def conversions(config: dict[str, Any], state: dict[str, Tensor], clip: Tensor) -> Outputs:
    """Features of a classifier started from a compiled pre-training checkpoint; heads cut from 710 classes."""
    head = {name.replace("head710.", "head."): state[name] for name in state if name.startswith("head710.")}
    pretrained = {name: tensor for name, tensor in state.items() if not name.startswith("head710.")}
    document = {"model": {config["prefix"] + name: tensor for name, tensor in pretrained.items()}}
    model = classifier(config["model"], 400)
    checkpoint.start_classifier(model, checkpoint.state_of(document), "kinetics-400", "the case")
    got: Outputs = {"convert/features": model.features(clip)}
    for classes in (400, 600, 700):
        cut = checkpoint.fit_head(head, classes, f"kinetics-{classes}")
        got[f"convert/head_bias_{classes}"] = cut["head.bias"]
    return got


def merge(case: Case) -> Outputs:
    """Accuracy and scores from the processes' result files."""
    config, got = case.spec["config"], {}
    for method in ("prob", "score"):
        merged = views.merge([text.splitlines() for text in config["files"]], method)
        order = [merged.ids.index(video) for video in config["videos"]]
        top1, top5 = (hits(merged.scores, merged.labels, k) for k in (1, 5))
        accuracy = merged.accuracy()
        best = merged.scores.argmax(1)
        got[f"{method}/top1_top5"] = [accuracy["top1"], accuracy["top5"]]
        got[f"{method}/scores"] = merged.scores[order]
        got[f"{method}/views"] = merged.views[order]
        rows = np.stack([best, top1, top5, merged.labels], axis=1)
        got[f"{method}/pred_top1_top5_label"] = rows[order]
    return got


def census(name: str, entry: dict[str, Any]) -> list[str]:
    """What differs between a published model of that name and ours: parameters, counts, cost."""
    size = "vit-" + name.split("_patch")[0].split("_")[-1][0]
    variant = f"{size}-pretrain" if name.startswith("pretrain_") else f"{size}-k710"
    summary = zoo.summary(f"videomae-v2/{variant}")
    faults = differing_keys(summary.shapes, entry["keys"])
    if summary.parameters != entry["params"]:
        faults.append(f"{summary.parameters} parameters, expected {entry['params']}")
    if abs(summary.gmacs / entry["gflops"] - 1) > 0.005:
        faults.append(f"{summary.gmacs:.2f} GMACs, expected {entry['gflops']}")
    return faults
