"""Runs the golden cases of EVAD on our network and rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avmodels.engine import config as configs
from avmodels.engine import weights
from avmodels.engine.schedule import staircase
from avmodels.evad import ava, checkpoint, detections, loss, recipe, views
from avmodels.evad.average_precision import STRICT_THRESHOLDS, average_precisions
from avmodels.evad.config import Detection, Schedule
from avmodels.evad.context import ContextBlock, ContextSize, extended
from avmodels.evad.encoder import DroppingBlock, Encoded, EncoderSize, key_first
from avmodels.evad.loss import Target
from avmodels.evad.model import Detector, Located, Predictions, Size, detector, pad
from avmodels.evad.optimisation import parameter_groups
from avmodels.evad.proposals import ProposalSize, Stage
from avmodels.evad.pyramid import LEVELS, level_of, pool
from tests.golden.__main__ import differing_keys
from tests.golden.case import Case

Outputs = dict[str, Any]


def run(case: Case) -> Outputs:
    """Our outputs of one case, by name."""
    kinds: dict[str, Callable[[Case], Outputs]] = {
        "backbone": backbone,
        "full": full,
        "rcnn_stage": rcnn_stage,
        "context_decoder": context_decoder,
        "loss": set_loss,
        "train_step": train_step,
        "schedule": schedule,
        "preprocess": preprocess,
        "ava_eval": ava_eval,
    }
    if case.spec["kind"] not in kinds:
        raise NotImplementedError(f"evad has no cases of kind {case.spec['kind']!r}")
    return {name: _array(value) for name, value in kinds[case.spec["kind"]](case).items()}


def _array(value: Any) -> np.ndarray:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def numbered(inputs: dict[str, Tensor], name: str) -> list[Tensor]:
    """The inputs called name0, name1, ..."""
    count = sum(key.removeprefix(name).isdecimal() for key in inputs if key.startswith(name))
    return [inputs[f"{name}{number}"] for number in range(count)]


def size_of(config: dict[str, Any]) -> Size:
    """The size that a published configuration describes."""
    vit, rcnn, crd = config["ViT"], config["MODEL"]["SparseRCNN"], config["MODEL"]["CRD"]
    box = config["MODEL"].get("ROI_BOX_HEAD", {})
    cells, samples = box.get("POOLER_RESOLUTION", 7), box.get("POOLER_SAMPLING_RATIO", 2)
    encoder = EncoderSize(
        width=vit["EMBED_DIM"],
        depth=vit["DEPTH"],
        heads=vit["NUM_HEADS"],
        maps=tuple(vit["FPN_INDICES"]),
        mlp_ratio=vit.get("MLP_RATIO", 4),
        frames=config["DATA"].get("NUM_FRAMES", 16),
        tubelet=vit.get("TUBELET_SIZE", 2),
        patch=vit.get("PATCH_SIZE", 16),
        trained_side=vit.get("PRETRAIN_IMG_SIZE", 224),
        bias=vit.get("QKV_BIAS", True),
    )
    context = ContextSize(
        width=crd["EMBED_DIM"],
        depth=crd["DEPTH"],
        heads=crd["NUM_HEADS"],
        mlp_ratio=crd.get("MLP_RATIO", 4),
        judge_width=rcnn.get("ACT_FC_DIM", 2048),
        judge_layers=rcnn.get("NUM_ACT", 1),
        cells=box.get("ROI_XFORM_RESOLUTION", 7),
        samples=samples,
    )
    proposals = ProposalSize(
        count=rcnn.get("NUM_PROPOSALS", 100),
        stages=rcnn.get("NUM_HEADS", 6),
        width=rcnn.get("HIDDEN_DIM", 256),
        heads=rcnn.get("NHEADS", 8),
        feedforward=rcnn.get("DIM_FEEDFORWARD", 2048),
        dynamic_width=rcnn.get("DIM_DYNAMIC", 64),
        class_layers=rcnn.get("NUM_CLS", 1),
        box_layers=rcnn.get("NUM_REG", 3),
        cells=cells,
        samples=samples,
    )
    return Size(encoder, context, (), proposals)


def loss_weights(config: dict[str, Any]) -> loss.Weights:
    """The weights of the loss: those the case lists, else the configuration's, else the defaults."""
    rcnn, listed = config["MODEL"]["SparseRCNN"], config.get("weight_dict", {})
    given = {
        "person": listed.get("loss_ce", rcnn.get("CLASS_WEIGHT")),
        "distance": listed.get("loss_bbox", rcnn.get("L1_WEIGHT")),
        "overlap": listed.get("loss_giou", rcnn.get("GIOU_WEIGHT")),
        "action": listed.get("loss_bce", rcnn.get("ACTION_WEIGHT")),
        "nobody": rcnn.get("NO_OBJECT_WEIGHT"),
        "focal": config["MODEL"].get("LOSS_FUNC") == "focal_action",
    }
    return replace(loss.Weights(), **{name: value for name, value in given.items() if value is not None})


def network(config: dict[str, Any]) -> Detector:
    """Our network for a published configuration, with random weights."""
    ktp = config["MODEL"]["KTP"]
    return detector(
        size_of(config),
        config["MODEL"].get("NUM_CLASSES", 80),
        tuple(ktp["KEEP_RATES"]),
        ktp["ENHANCED_WEIGHT"],
        tuple(config["MODEL"]["CRD"].get("ROI_EXTENSION", (0.4, 0.2))),
    )


def build(case: Case) -> Detector:
    """Our network for a case's configuration, with those of its weights that the case has."""
    config = case.spec["config"]
    model = network(config).eval()
    state = checkpoint.state_of(tensors(case.state()))
    parts = {name.split(".")[0] for name in state}
    # A case of one stage has the weights of that stage alone.
    stages = {name.split(".")[1] for name in state if name.startswith("stages.")}
    absent = tuple(f"{part}." for part, _ in model.named_children() if part not in parts)
    absent += tuple(f"stages.{number}." for number in range(len(model.stages)) if str(number) not in stages)
    if case.spec["kind"] == "context_decoder":
        absent += ("context.encoder_to_decoder", "context.mask_token")
    weights.fit(model, state, case.spec["case"], missing=absent)
    return model


def record(module: nn.Module, name: str, into: Outputs, entering: bool = False) -> None:
    """Keeps what a module returns (or what enters it) when the model is run."""
    if entering:
        module.register_forward_pre_hook(lambda _, args: into.update({name: args[0]}))
    else:
        module.register_forward_hook(lambda _, args, out: into.update({name: out}))


def kept_of_all(got: Outputs) -> Outputs:
    """The kept tokens of every dropping block by their number among all non-key tokens."""
    named, kept = {}, None
    for number in sorted(
        int(name.removeprefix("local_kept")) for name in got if name.startswith("local_kept")
    ):
        local = got[f"local_kept{number}"]
        kept = local if kept is None else kept.gather(1, local)
        named[f"global_kept{number}"] = kept
    return named


@torch.no_grad()
def encoded(model: Detector, video: Tensor) -> tuple[Encoded, Outputs]:
    """What the encoder returns, and every step on the way."""
    got: Outputs = {}
    record(model.encoder.blocks[0], "tokens_in", got, entering=True)
    for number, block in enumerate(model.encoder.blocks):
        record(block, f"block{number}", got)
        if isinstance(block, DroppingBlock):
            record(block.dropout, f"importance{number}", got, entering=True)
            record(block.dropout, f"local_kept{number}", got)
    seen = model.encoder(video)
    got = {name: value[0] if isinstance(value, tuple) else value for name, value in got.items()}
    gone = torch.ones(len(video), (seen.grid[0] - 1) * seen.key_tokens, dtype=torch.bool)
    got |= {"tokens_norm": seen.tokens, "dropped_mask": gone.scatter(1, seen.kept, False)}
    return seen, got | kept_of_all(got)


@torch.no_grad()
def backbone(case: Case) -> Outputs:
    """Tokens after every block, importance, what is kept, and the pyramid."""
    model = build(case)
    video, _ = pad(numbered(tensors(case.inputs()), "image"))
    seen, got = encoded(model, video)
    for level, x in zip(LEVELS, model.pyramid(seen.maps), strict=True):
        got |= {f"p{level}": x} | {f"p{level}_every{n}": x[:, ::n] for n in (2, 4, 8, 16, 32)}
    # Level 5 is stored with every second channel, whatever its name.
    return got | {"p5": got["p5_every2"]}


@torch.no_grad()
def full(case: Case) -> Outputs:
    """The whole network, step by step, and the detections."""
    model, config = build(case), case.spec["config"]
    video, sizes = pad(numbered(tensors(case.inputs()), "image"))
    seen, got = encoded(model, video)
    got["tokens_in"] = got["tokens_in"][:, ::4]
    whwh = sizes.flip(1).repeat(1, 2)
    levels = model.pyramid(seen.maps)
    got |= {f"p{level}_mean": x.mean((2, 3)) for level, x in zip(LEVELS, levels, strict=True)}
    got |= {"whwh": whwh, "proposal_boxes": model.proposals(sizes)[0]}
    stages: Outputs = {}
    for number, stage in enumerate(model.stages):
        record(stage, f"stage{number}", stages)
    predictions = model(video, sizes)
    for name, (people, boxes, features) in stages.items():
        got |= {f"{name}_person_logits": people, f"{name}_boxes": boxes}
        got[f"{name}_feat_every16"] = features.flatten(0, 1)[None, :, ::16]
    boxes = predictions.located.boxes[-1]
    got["extended_boxes"] = extended(boxes, model.context.extension, sizes)
    visible, volume = model.context.place(seen)
    in_time = np.argsort(key_first(seen.grid[0]))
    got["x_full"] = volume[:, in_time].transpose(1, 2)
    people = model.context.look(volume, got["extended_boxes"])
    got["dec_in"] = torch.cat([visible, people], dim=1)
    got |= refined(model, got["dec_in"], boxes.shape[1], "dec{}_tokens", "dec{}_action_logits")
    return got | detected(predictions, sizes, config)


def detected(predictions: Predictions, sizes: Tensor, config: dict[str, Any]) -> Outputs:
    """The people of the batch as the published test returns them."""
    rcnn, metas = config["MODEL"]["SparseRCNN"], config["metas"]
    originals = torch.tensor([[meta["ori_height"], meta["ori_width"]] for meta in metas], dtype=torch.float32)
    best, threshold = rcnn.get("NUM_EVAL_ACT_CLASSES", 0), rcnn.get("PERSON_THRESHOLD", 0.7)
    found = detections.select(predictions, sizes, originals, threshold, all_if_none=True, best_actions=best)
    boxes, people = detections.proposals(predictions.located, sizes, originals)
    return {
        "actions": found.actions,
        "boxes": torch.cat([found.clips[:, None], found.boxes], dim=1),
        "metadata": torch.tensor([meta["metadata"][0] for meta in metas])[found.clips],
        "person_boxes": boxes,
        "person_scores": people,
    }


def refined(model: Detector, x: Tensor, people: int, tokens: str, logits: str) -> Outputs:
    """All rows after every decoder block, and its action logits. The network itself leaves out of the last
    block the rows that nobody reads: its result is checked against these."""
    got: Outputs = {}
    (judged,) = model.context.refine(x, people)
    for number, block in enumerate(model.context.blocks):
        assert isinstance(block, ContextBlock)
        x = block(x)
        got |= {tokens.format(number): x, logits.format(number): block.judge(x[:, -people:])}
    last = got[logits.format(len(model.context.blocks) - 1)]
    torch.testing.assert_close(judged, last, rtol=1e-4, atol=1e-5)
    return got


@torch.no_grad()
def rcnn_stage(case: Case) -> Outputs:
    """One stage on given maps."""
    inputs = tensors(case.inputs())
    stage = build(case).stages[0]
    assert isinstance(stage, Stage)
    levels = [inputs[f"p{level}"] for level in LEVELS]
    boxes, got = inputs["boxes"], {}
    record(stage.inst_interact, "dynamic", got)
    people, after, features = stage(levels, boxes, inputs["proposal_features"])
    pixels = pool(levels, boxes, stage.size.cells, stage.size.samples)[:, ::16]
    return {
        "level": level_of(boxes.flatten(0, 1)).unflatten(0, boxes.shape[:2]),
        "roi_features_every16": pixels.unflatten(0, boxes.shape[:2]),
        "dynamic_out": got["dynamic"].unflatten(0, boxes.shape[:2])[..., ::2],
        "person_logits": people,
        "pred_boxes": after,
        "object_features": features[..., ::2],
    }


@torch.no_grad()
def context_decoder(case: Case) -> Outputs:
    """The decoder's blocks and heads on given tokens."""
    model = build(case)
    count = case.spec["config"]["MODEL"]["SparseRCNN"]["NUM_PROPOSALS"]
    return refined(model, tensors(case.inputs())["dec_in"], count, "tokens{}", "action_logits{}")


def targets_of(inputs: dict[str, Tensor]) -> list[Target]:
    boxes, actions = numbered(inputs, "gt_boxes"), numbered(inputs, "gt_actions")
    return [Target(*one) for one in zip(boxes, actions, strict=True)]


def set_loss(case: Case) -> Outputs:
    """Matching and every term of the loss on given predictions."""
    inputs, weights = tensors(case.inputs()), loss_weights(case.spec["config"])
    targets, sizes = targets_of(inputs), inputs["whwh"][:, :2].flip(1)
    located = Located(numbered(inputs, "person_logits"), numbered(inputs, "boxes"))
    predictions = Predictions(located, numbered(inputs, "action_logits"))
    terms = loss.losses(predictions, sizes, targets, weights, loss.people_per_process(targets))
    got = {f"raw/{name}": term for name, term in terms.items()} | weighed(terms, weights)
    for stage, predicted in enumerate(zip(*located, strict=True)):
        for image, match in enumerate(loss.match(*predicted, sizes, targets, weights)):
            got[f"match{stage}/image{image}/proposal"] = match.proposals
            got[f"match{stage}/image{image}/target"] = match.people
    return got


def weighed(terms: dict[str, Tensor], weights: loss.Weights) -> Outputs:
    terms = loss.weighted(terms, weights)
    return {f"weighted/{name}": term for name, term in terms.items()} | {"total": loss.total(terms)}


def train_step(case: Case) -> Outputs:
    """Loss and gradients of one step."""
    model, weights = build(case).train(), loss_weights(case.spec["config"])
    model.set_checkpointing(True)
    inputs = tensors(case.inputs())
    targets = targets_of(inputs)
    video, sizes = pad(numbered(inputs, "image"))
    terms = loss.losses(model(video, sizes), sizes, targets, weights, loss.people_per_process(targets))
    got = weighed(terms, weights)
    got["total"].backward()
    for ours, parameter in model.named_parameters():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        name = checkpoint.published_name(ours)
        got |= {f"gradnorm/{name}": torch.linalg.vector_norm(gradient), f"grad/{name}": gradient}
    return got


def schedule(case: Case) -> Outputs:
    """The learning rate over the epochs, and every parameter's share of it and weight decay."""
    config = case.spec["config"]
    solver = config["SOLVER"]
    steps = Schedule(
        lr=solver["BASE_LR"],
        steps=tuple(zip(solver["STEPS"], solver["LRS"], strict=True)),
        warmup_epochs=solver["WARMUP_EPOCHS"],
        warmup_lr=solver["WARMUP_START_LR"],
        new_scale=solver["LR_SCALE"],
        weight_decay=solver["WEIGHT_DECAY"],
    )
    model = network(config)
    weights.fit(model, checkpoint.state_of(tensors(case.state())), case.spec["case"])
    names = {id(parameter): checkpoint.published_name(name) for name, parameter in model.named_parameters()}
    made = parameter_groups(model, steps.weight_decay, steps.new_scale)
    of = {names[id(parameter)]: group for group in made for parameter in group["params"]}
    order = config["parameter_order"]
    assert of.keys() == set(order), of.keys() ^ set(order)
    return {
        "lr": [
            steps.lr * 1e6 * staircase(epoch, steps.steps, steps.warmup_epochs, steps.warmup_lr / steps.lr)
            for epoch in case.inputs()["epoch"].tolist()
        ],
        "lr_scale": [of[name]["lr_scale"] for name in order],
        "weight_decay_times_1e4": [of[name]["weight_decay"] * 1e4 for name in order],
    }


def preprocess(case: Case) -> Outputs:
    """Clips and boxes as the network takes them, and the frames of clips."""
    config, inputs, got = case.spec["config"], case.inputs(), {}
    sides = config["AVA"].get("MIN_SIZE", 288), config["AVA"].get("MAX_SIZE", 1333)
    for name in case.outputs():
        kind, what, *part = name.split("/")
        if kind == "sequence":
            centre, length = map(int, what.split("_"))
            sampling = config["DATA"].get("NUM_FRAMES", 16), config["DATA"].get("SAMPLING_RATE", 4)
            got[name] = views.clip_frames(centre, length, *sampling)
            continue
        frames = inputs[f"clip_{what}"].astype(np.uint8)[..., ::-1]
        clip, boxes = views.view(frames, inputs["boxes"], *sides, flip=kind == "train_flip")
        # Of most clips one frame is stored.
        got[name] = boxes if part == ["boxes"] else clip[:, : case.stored[name].shape[1]]
    return got


def ava_eval(case: Case) -> Outputs:
    """Average precision of the csv files beside the case, by each protocol."""
    truth, found, excluded, labels = (case.folder / name for name in case.spec["config"]["files"])
    out = ava.read_excluded(excluded)
    true, ours = ava.without(ava.read_boxes(truth, False), out), ava.without(ava.read_boxes(found, True), out)
    classes = sorted(ava.read_labels(labels))
    scores = average_precisions(true, ours, classes, STRICT_THRESHOLDS, "repository")
    means = np.nanmean(scores, axis=1)
    got = {"class_ids": classes, "iou_thresholds": STRICT_THRESHOLDS, "ap": scores, "map": means}
    got |= {"AP": 100 * means.mean(), "AP50": 100 * means[0], "AP75": 100 * means[5]}
    for protocol in ("sorted", "activitynet"):
        (at50,) = average_precisions(true, ours, classes, [0.5], protocol)
        got |= {f"{protocol}/ap50": at50, f"{protocol}/map50": np.nanmean(at50)}
    return got


# Which of our configurations is of which published one.
VARIANTS = {
    "ViT_B_16x4": "vit-b",
    "ViT_B_16x4_KTP": "vit-b-ktp",
    "ViT_B_16x4_KTP_EW": "vit-b-ktp-ew",
    "ViT_L_16x4_KTP": "vit-l-ktp",
}


def configuration(variant: str) -> Detection:
    """Our configuration of that name."""
    path = Path(str(files("avmodels.evad").joinpath("configs", f"{variant}.yaml")))
    return configs.validate(configs.read_yaml(path), Detection, variant)


def census(name: str, entry: dict[str, Any]) -> list[str]:
    """What differs between a published model of that name and ours: parameters, counts, cost."""
    config = configuration(VARIANTS[name])
    with torch.device("meta"):
        model = recipe.build(config)
    shapes = {key: list(tensor.shape) for key, tensor in checkpoint.published(model.state_dict()).items()}
    faults = differing_keys(shapes, entry["keys"])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if parameters != entry["params"]:
        faults.append(f"{parameters} parameters, expected {entry['params']}")
    side = int(entry["input"].split(";")[0].split()[-1])
    gmacs = recipe.published_gmacs(config, side, side)
    if abs(gmacs / entry["gflops"] - 1) > 0.005:
        faults.append(f"{gmacs:.2f} GMACs, expected {entry['gflops']}")
    return faults
