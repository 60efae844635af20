"""What a bootstrapped network takes from a trained ViT, and which of its parts then learn."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from timm.models import create_model
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

from avmodels.engine import weights
from avmodels.engine.weights import State
from avmodels.errors import ConfigError, WeightsError
from avmodels.sparseformer.model import Layer, SparseFormer

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


def vit(name: str, side: int, classes: int, arguments: Mapping[str, Any]) -> VisionTransformer:
    """The ViT called `name` in timm for images of `side` pixels, with random weights; `arguments` are more of timm's.

    Raises ConfigError for a name timm does not know or another kind of network.
    """
    try:
        made = create_model(name, pretrained=False, img_size=side, num_classes=classes, **arguments)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"ViT {name!r}: {' '.join(str(error).split())}") from error
    if not isinstance(made, VisionTransformer):
        raise ConfigError(
            f"{name!r} is a {type(made).__name__}; blocks are inherited from a VisionTransformer"
        )
    return made


def fit_vit(model: VisionTransformer, state: State, what: str) -> None:
    """Puts weights of timm's names, or of a whole CLIP of OpenAI or open_clip, into a ViT.

    Raises WeightsError that names what differs.
    """
    weights.fit(model, checkpoint_filter_fn(state, model), what)


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
    """Puts the weights of a ViT (timm's names) into the network and freezes what is to stay.

    Raises WeightsError where the ViT is of another size.
    """
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
