"""How fast the image backbones are as they are used, and that being fast changes nothing: `python bench/backbones.py`.

SparseFormer-T and GroupMixFormer-T are measured against their published computation, which their networks for training
keep step by step; the bootstrapped base network against the ViT-B/16 it comes from. Images a second on two cores, one
and sixteen at a time. Every ratio is of ways taken in turn in one run, the best of some rounds of each; weights are
random, and such that every part of the network tells in the numbers.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from avmodels import zoo
from avmodels.groupmixformer import fold as groupmix
from avmodels.sparseformer import fold as sparse

ROUNDS = {1: 8, 16: 3}
CORES = 2

Numbers = dict[str, float]


def seconds_of(ways: dict[str, Callable[[], Tensor]], rounds: int) -> Numbers:
    """The least seconds of each way, taken in turn."""
    for way in ways.values():
        way()
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    return seconds


def lived_in(model: Any) -> Any:
    """The network with parameters and statistics as training leaves them."""
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.6, 1.6)
        elif tensor.is_floating_point():
            tensor.add_(0.02 * torch.randn_like(tensor))
    return model


def autocast(model: nn.Module, image: Tensor) -> Tensor:
    """What a network says in bfloat16, its weights cast on the way."""
    with torch.autocast("cpu", torch.bfloat16):
        return model(image).float()


def compared(published: nn.Module, fp32: nn.Module, bf16: nn.Module) -> Numbers:
    """Speeds of a network as published and as it is used, and how far what they say is apart."""
    told: Numbers = {}
    for batch, rounds in ROUNDS.items():
        image = torch.randn(batch, 3, 224, 224)
        ways: dict[str, Callable[[], Tensor]] = {
            "published_fp32": lambda image=image: published(image),
            "published_bf16": lambda image=image: autocast(published, image),
            "ours_fp32": lambda image=image: fp32(image),
            "ours_bf16": lambda image=image: bf16(image).float(),
        }
        seconds = seconds_of(ways, rounds)
        told |= {f"images_per_second_{name}_batch_{batch}": batch / value for name, value in seconds.items()}
        want = ways["published_fp32"]()
        for name in ("published_bf16", "ours_fp32", "ours_bf16"):
            told[f"times_as_fast_{name}_batch_{batch}"] = seconds["published_fp32"] / seconds[name]
            off = (ways[name]() - want).norm() / want.norm()
            told[f"relative_difference_{name}_batch_{batch}"] = off.item()
    return told


def sparseformer_tiny() -> Numbers:
    model = lived_in(zoo.create("sparseformer/v1-tiny-converted"))
    return compared(model, sparse.folded(model), sparse.folded(model, torch.bfloat16))


def groupmixformer_tiny() -> Numbers:
    model = lived_in(zoo.create("groupmixformer/tiny"))
    return compared(model, groupmix.folded(model), groupmix.folded(model).to(torch.bfloat16))


def bootstrapped_base() -> Numbers:
    """The bootstrapped network as it is used, and timm's ViT-B/16, each in fp32 and bfloat16."""
    model = lived_in(zoo.create("sparseformer/augreg-base"))
    parent = timm.create_model("vit_base_patch16_224").eval()
    fp32, bf16 = sparse.folded(model), sparse.folded(model, torch.bfloat16)
    told: Numbers = {}
    for batch, rounds in ROUNDS.items():
        image = torch.randn(batch, 3, 224, 224)
        ways: dict[str, Callable[[], Tensor]] = {
            "vit_fp32": lambda image=image: parent(image),
            "vit_bf16": lambda image=image: autocast(parent, image),
            "ours_fp32": lambda image=image: fp32(image),
            "ours_bf16": lambda image=image: bf16(image).float(),
        }
        seconds = seconds_of(ways, rounds)
        told |= {f"images_per_second_{name}_batch_{batch}": batch / value for name, value in seconds.items()}
        for precision in ("fp32", "bf16"):
            ratio = seconds[f"vit_{precision}"] / seconds[f"ours_{precision}"]
            told[f"times_as_fast_{precision}_batch_{batch}"] = ratio
    return told


PARTS = {part.__name__: part for part in (sparseformer_tiny, groupmixformer_tiny, bootstrapped_base)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    options = parser.parse_args()
    torch.set_num_threads(CORES)
    torch.manual_seed(0)
    results = {}
    with torch.inference_mode():
        for name, part in PARTS.items():
            if options.only in (None, name):
                results[name] = part()
                for what, number in results[name].items():
                    print(f"{name + ' ' + what:70} {number:.4g}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
