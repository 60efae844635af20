"""What a bootstrapped network takes from a trained ViT, and which of its parts then learn."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from avmodels.engine import weights
from avmodels.engine.weights import State
from avmodels.errors import WeightsError
from avmodels.sparseformer.model import Layer, SparseFormer

# open_clip's names of a vision tower's parts, and timm's.
CLIP_NAMES = (
    (r"^visual\.", ""),
    (r"^transformer\.resblocks\.", "blocks."),
    (r"\.ln_([12])\.", r".norm\1."),
    (r"\.attn\.in_proj_(weight|bias)$", r".attn.qkv.\1"),
    (r"\.attn\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"^ln_post\.", "norm."),
)
INHERITED = re.compile(
    r"^blocks\.\d+\.(norm[12]|attn\.(qkv|proj)|mlp\.fc[12])\.(weight|bias)$|^(norm|head)\."
)


@dataclass(frozen=True)
class Inheritance:
    """Names of the network's parameters by their fate; `source` gives the parent's name of each inherited one."""

    source: dict[str, str]
    tuned: tuple[str, ...]
    frozen: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    def report(self) -> str:
        """What was inherited, is frozen, is new and was left behind, in a few lines."""
        rows = {
            "inherited and tuned": self.tuned,
            "inherited and frozen": self.frozen,
            "new": self.new,
            "left behind": self.unused,
        }
        return "\n".join(f"{title}: {len(names)} tensors ({_parts(names)})" for title, names in rows.items())


def timm_state(state: State) -> State:
    """A ViT's tensors under timm's names: of timm itself, or the vision tower of an open_clip model."""
    clip = any("transformer.resblocks." in name for name in state)
    if not clip:
        return dict(state)
    if any(name.startswith("visual.") for name in state):
        state = {name: tensor for name, tensor in state.items() if name.startswith("visual.")}
    renamed: State = {}
    for name, tensor in state.items():
        for pattern, replacement in CLIP_NAMES:
            name = re.sub(pattern, replacement, name)
        # CLIP multiplies features by its projection, (width, out).
        renamed |= {"head.weight": tensor.t()} if name == "proj" else {name: tensor}
    return renamed


def plan(
    model: SparseFormer, parent: Collection[str], blocks: Literal["later", "all"] = "later"
) -> Inheritance:
    """What a network inherits from a ViT with these parameters (timm's names).

    `later`: of D blocks, those from D // 3 on, in order, become the network's units of attention and MLP alone,
    and its last norm and head the network's; those from 2 D // 3 on, norm and head stay as they are. `all`: each
    block becomes the unit of its number, if every unit has attention and MLP, and all of them learn.

    Raises WeightsError where the blocks do not go into the units.
    """
    depth = 1 + max(
        (int(found[1]) for name in parent if (found := re.match(r"blocks\.(\d+)\.", name))), default=-1
    )
    first = depth // 3 if blocks == "later" else 0
    places = _places(model, blocks)
    if len(places) != depth - first:
        raise WeightsError(
            f"the network has room for {len(places)} blocks of a parent, this one has {depth - first} to give "
            f"(of {depth}, from number {first})"
        )
    own = model.state_dict()
    source: dict[str, str] = {}
    for name in filter(INHERITED.match, parent):
        kind, _, rest = name.partition(".")
        if kind == "blocks":
            number, _, rest = rest.partition(".")
            if int(number) >= first:
                source[f"layers.{places[int(number) - first]}.{rest}"] = name
        elif kind == "norm" or blocks == "later":
            # CLIP's projection has no bias, though timm keeps one of zeros.
            target = f"{'norm' if kind == 'norm' else 'proj'}.{rest}"
            source |= {target: name} if target in own else {}
    frozen_from = 2 * depth // 3 - first
    frozen_layers = tuple(f"layers.{place}." for place in places[frozen_from:]) if blocks == "later" else ()
    frozen_parts = (*frozen_layers, "norm.", "proj.") if blocks == "later" else ()
    frozen = tuple(name for name in source if frozen_parts and name.startswith(frozen_parts))
    return Inheritance(
        source,
        tuned=tuple(name for name in source if name not in frozen),
        frozen=frozen,
        new=tuple(name for name in own if name not in source),
        unused=tuple(name for name in parent if name not in source.values()),
    )


def inherit(
    model: SparseFormer, parent: State, what: str, blocks: Literal["later", "all"] = "later"
) -> Inheritance:
    """Puts the weights of a ViT (timm's or open_clip's names) into the network and freezes what is to stay.

    Raises WeightsError where the ViT is of another size.
    """
    parent = timm_state(parent)
    made = plan(model, parent, blocks)
    weights.fit(model, {target: parent[name] for target, name in made.source.items()}, what, missing=made.new)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in made.frozen)
    return made


def _places(model: SparseFormer, blocks: str) -> list[int]:
    """The numbers of the layers that blocks of a parent may fill."""
    units = {number: layer.unit.ops for number, layer in enumerate(model.layers) if isinstance(layer, Layer)}
    if blocks == "all":
        return [number for number, ops in units.items() if {"ATTN", "MLP"} <= set(ops)]
    return [number for number, ops in units.items() if ops == ("ATTN", "MLP")]


def _parts(names: Iterable[str]) -> str:
    """The modules that names belong to, each once: `layers.3, layers.4, norm`."""
    parts = dict.fromkeys(re.match(r"(layers\.\d+|blocks\.\d+|[^.]+)", name)[1] for name in names)  # pyright: ignore
    return ", ".join(parts)
