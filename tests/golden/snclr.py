"""Runs the golden cases of SNCLR on our networks and rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels import zoo
from avmodels.metrics.accuracy import hits
from avmodels.snclr import checkpoint, descent, loss
from avmodels.snclr.bank import NeighbourBank
from avmodels.snclr.encoder import SIZES, ViT, ViTSize, sine_cosine
from avmodels.snclr.loss import Candidates, Objective
from avmodels.snclr.model import SNCLR, Head, Probe
from tests.golden.__main__ import differing_keys
from tests.golden.case import Case

Outputs = dict[str, Any]


def run(case: Case) -> Outputs:
    """Our outputs of one case, by name."""
    kinds: dict[str, Callable[[Case], Outputs]] = {
        "encoder": encoder,
        "linear_probe": linear_probe,
        "loss": direction,
        "neighbour_bank": neighbour_bank,
        "schedules": schedules,
        "train_step": train_step,
    }
    if case.spec["kind"] not in kinds:
        raise NotImplementedError(f"snclr has no cases of kind {case.spec['kind']!r}")
    outputs = kinds[case.spec["kind"]](case)
    return {name: value.detach() if isinstance(value, Tensor) else value for name, value in outputs.items()}


def tensors(arrays: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def census(name: str, entry: dict[str, Any]) -> list[str]:
    """What differs between a published model of that name and ours: parameters, counts, cost."""
    variant = {"vit_small": "vit-s", "vit_base": "vit-b", "resnet50": "resnet50"}[name]
    summary = zoo.summary(f"snclr/{variant}")
    probe = zoo.summary(f"snclr/{variant}-probe")
    shapes = {name: shape for name, shape in summary.shapes.items() if not name.startswith("bank.")}
    faults = differing_keys(shapes, entry["keys"])
    with torch.device("meta"):
        model = SNCLR(SIZES[variant], Head(bank=1))
    projector = sum(parameter.numel() for parameter in model.base_encoder.projector.parameters())
    encoder, predictor = (
        sum(parameter.numel() for parameter in part.parameters())
        for part in (model.base_encoder, model.predictor)
    )
    counts = {
        "params": 2 * encoder + predictor,
        "params_trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "params_backbone": encoder - projector,
        "params_projector": projector,
        "params_predictor": predictor,
    }
    faults += [
        f"{count} {what}, expected {entry[what]}" for what, count in counts.items() if count != entry[what]
    ]
    for gmacs in (probe.gmacs, probe.gmacs_here):
        if abs(gmacs / entry["gflops"] - 1) > 0.006:
            faults.append(f"{gmacs:.3f} GMACs, expected {entry['gflops']}")
    return faults


def size_of(config: dict[str, Any]) -> ViTSize:
    return ViTSize(config["patch_size"], config["embed_dim"], config["depth"], config["num_heads"])


def network(case: Case) -> SNCLR:
    """Our network for the published arguments, with the case's weights."""
    config = case.spec["config"]
    head = Head(config["dim"], config["mlp_dim"], config["bank_size"])
    model = SNCLR(size_of(config), head, config["img_size"], config["stop_grad_conv1"])
    checkpoint.start(model, checkpoint.state_of(tensors(case.state())), case.spec["case"])
    return model


@torch.no_grad()
def encoder(case: Case) -> Outputs:
    """Patches, blocks, representation, projection, prediction, and fresh position tables."""
    config, image = case.spec["config"], tensors(case.inputs())["image"]
    model = network(case).eval()
    vit = model.base_encoder
    assert isinstance(vit, ViT) and isinstance(vit.blocks, nn.Sequential)
    got: Outputs = {}
    for number, block in enumerate(vit.blocks):
        block.register_forward_hook(lambda _, __, out, number=number: got.update({f"block{number}": out}))
    representation = vit.represent(image)
    fresh = ViT(size_of(config), config["img_size"])
    tables = {
        # The published table is that of the grid turned over.
        f"pos_embed_as_built_{high}x{wide}": sine_cosine(wide, high, config["embed_dim"])[None]
        for high, wide in (
            map(int, name.rpartition("_")[2].split("x"))
            for name in case.outputs()
            if name.startswith("pos_embed_as_built_")
        )
    }
    projection = vit.projector(representation)
    return (
        got
        | tables
        | {
            "pos_embed_as_built": fresh.pos_embed,
            "patch_tokens": vit.patch_embed(image),
            "representation": representation,
            "projection": projection,
            "prediction": model.predictor(projection),
        }
    )


def linear_probe(case: Case) -> Outputs:
    """Losses, accuracies, rates and the head over epochs of one step."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    model = Probe(size_of(config), config["num_classes"], side=config["img_size"])
    checkpoint.start(model, checkpoint.state_of(tensors(case.state())), case.spec["case"])
    (head,) = model.heads
    assert isinstance(head, nn.Linear)
    head.load_state_dict({"weight": inputs["head_weight"], "bias": torch.zeros(config["num_classes"])})
    optimiser = torch.optim.SGD(head.parameters(), momentum=0.9)
    base = config["lr"] * config["batch_size"] / 256
    got: Outputs = {"representation": model.encoder.represent(inputs["image"])}
    epochs = sum(name.startswith("loss") for name in case.outputs())
    for epoch in range(epochs):
        rate = descent.rate(epoch, config["epochs"], 0, base)
        optimiser.param_groups[0]["lr"] = rate
        logits = model.train()(inputs["image"])[0]
        value = F.cross_entropy(logits, inputs["labels"])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        scores, labels = logits.detach().numpy(), inputs["labels"].numpy()
        top1, top5 = (100.0 * hits(scores, labels, k).mean(keepdims=True) for k in (1, 5))
        got |= {f"loss{epoch}": value, f"lr{epoch}": rate, f"top1_{epoch}": top1, f"top5_{epoch}": top5}
    return got | {"logits_last": model(inputs["image"])[0], "head_weight_after": head.weight}


def direction(case: Case) -> Outputs:
    """One direction of the loss, rank by rank."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    count, ranks = config["topk"], len(inputs["q"])
    neighbours = inputs["neighbours"].unflatten(1, (-1, count))
    neighbours = F.normalize(neighbours, dim=-1)
    rows = torch.cat([F.normalize(inputs["keys"], dim=-1).unsqueeze(2), neighbours], dim=2).flatten(0, 1)
    objective = Objective(config["T"], count, config["threshold"])
    got: Outputs = {}
    for rank in range(ranks):
        prediction, projection = (inputs[name][rank].clone().requires_grad_() for name in ("q", "q_pre"))
        batch = len(prediction)
        value = loss.direction(prediction, projection, Candidates(rows, rank * batch), objective)
        value.backward()
        weights = loss.positiveness(projection, neighbours[rank]).detach()
        row = torch.zeros(batch, ranks * batch, count)
        row[torch.arange(batch), rank * batch + torch.arange(batch)] = weights
        scores = F.normalize(prediction, dim=-1) @ rows.flatten(0, 1).T / config["T"]
        outputs = {
            "loss": value,
            "attention_row": row.flatten(1),
            "positiveness": weights,
            "log_probabilities": scores.log_softmax(1),
            "grad_q": prediction.grad,
            "grad_q_pre": projection.grad,
        }
        got |= {f"rank{rank}/{name}": output for name, output in outputs.items()}
    return got


def bank_of(rows: Tensor) -> NeighbourBank:
    """A bank that holds columns (width, size)."""
    bank = NeighbourBank(*rows.shape)
    bank.put(rows.T)
    return bank


def neighbour_bank(case: Case) -> Outputs:
    """Neighbours and bank of one look-up after another."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    bank = bank_of(inputs["bank"])
    got: Outputs = {}
    for number, (keys, update) in enumerate(zip(inputs["keys"], config["updates"], strict=True)):
        indices, similarity = bank.nearest(keys, config["topk"])
        neighbours = bank.rows[indices]
        if update:
            bank.put(keys)
        outputs = {
            "indices": indices,
            "similarity": similarity,
            "neighbours": neighbours.flatten(0, 1),
            "keys_and_neighbours": torch.cat([keys.unsqueeze(1), neighbours], dim=1).flatten(0, 1),
            "bank_after": bank.rows.T.clone(),
            "pointer_after": bank.place.clone(),
        }
        got |= {f"{name}{number}": output for name, output in outputs.items()}
    return got


def schedules(case: Case) -> Outputs:
    """Learning rate and momentum at moments, and steps of LARS."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    at, epochs = config["at_epochs"], config["epochs"]
    rates = [descent.rate(epoch, epochs, config["warmup_epochs"], config["lr"]) for epoch in at]
    got: Outputs = {
        "lr_times_1e3": torch.tensor(rates) * 1e3,
        "momentum": torch.tensor([descent.momentum(epoch, epochs, config["snclr_m"]) for epoch in at]),
    }
    parameters = {name: nn.Parameter(inputs[name]) for name in ("weight", "bias")}
    groups = [{"params": list(parameters.values()), "weight_decay": config["lars_wd"]}]
    optimiser = descent.LARS(groups, config["lars_lr"])
    for step in range(len(inputs["grad_weight"])):
        for name, parameter in parameters.items():
            parameter.grad = inputs[f"grad_{name}"][step]
        optimiser.step()
        got |= {f"lars_{name}_after{step}": value.detach().clone() for name, value in parameters.items()}
    return got


def train_step(case: Case) -> Outputs:
    """One step of training, from views to the moved weights."""
    config, inputs = case.spec["config"], tensors(case.inputs())
    model = network(case).train()
    model.bank = bank_of(inputs["bank"])
    model.follow(config["m"])
    views = model(inputs["view1"], inputs["view2"])
    neighbours = [model.bank.rows[model.bank.nearest(keys, config["topk"])[0]] for keys in views.keys]
    objective = Objective(config["T"], config["topk"], config["threshold"])
    value = loss.both_directions(views, model.bank, objective)
    value.backward()
    parameters = dict(model.named_parameters())
    gradients = [parameters[name].grad for name in config["param_names"]]
    got: Outputs = {
        "loss": value,
        "grad_norms": torch.stack([gradient.norm() for gradient in gradients if gradient is not None]),
    }
    for number in range(2):
        got[f"projection{number + 1}"] = views.projections[number]
        got[f"prediction{number + 1}"] = views.predictions[number]
        got[f"key{number + 1}"] = views.keys[number]
        got[f"neighbours{number + 1}"] = neighbours[number].flatten(0, 1)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    torch.optim.AdamW(learning, config["lr"], weight_decay=config["weight_decay"]).step()
    copied = {
        name: model.momentum_encoder.get_buffer(name) for name, _ in model.base_encoder.named_parameters()
    }
    norms = [copied[name].norm() for name in model.momentum_encoder.state_dict() if name in copied]
    after = {"after/" + name: tensor for name, tensor in model.state_dict().items()}
    momentum = {f"momentum/{name}": tensor for name, tensor in copied.items()}
    return (
        got
        | after
        | momentum
        | {
            "momentum_norms": torch.stack(norms),
            "bank_after": model.bank.rows.T,
            "pointer_after": model.bank.place,
        }
    )
