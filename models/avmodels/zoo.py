"""Every model by name: `system/variant` -> configuration -> network."""

from __future__ import annotations

import difflib
import importlib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from avmodels.engine import config as configs
from avmodels.engine.config import Config
from avmodels.errors import ConfigError, WeightsError

SYSTEMS = (
    "evad",
    "groupmixformer",
    "snclr",
    "sparseformer",
    "speed-coaug",
    "tag-align",
    "tvts-v2",
    "uni-ad",
    "videomae-v2",
)


@dataclass(frozen=True)
class Summary:
    """A network's parameters, by name and in all, and its cost for one input in multiply-accumulates / 1e9.

    `gmacs` is the cost of the published form, `gmacs_here` that of ours, which may leave out needless work.
    """

    shapes: dict[str, list[int]]
    parameters: int
    gmacs: float
    gmacs_here: float


def recipe(system: str) -> Any:
    """The module `avmodels.<system>.recipe`, which every system has.

    It offers RECIPES (schemas by recipe), build(config), load(model, config, path), about(config),
    published_gmacs(config), example_input(config), train(...), evaluate(...), and where it makes sense
    image_encoder(config, path, precision) and recogniser(config, path, precision) for pictures (see avmodels.seeing),
    features(...) of films, show(...), published(state, config) where our names differ from the published ones, and
    counted(model), the part whose cost is the same for all inputs of a size. Raises ConfigError for another name.
    """
    if system not in SYSTEMS:
        raise ConfigError(f"no system is called {system!r}{_near(system, SYSTEMS)}")
    return importlib.import_module(f"avmodels.{_package(system)}.recipe")


def variants(system: str) -> list[str]:
    """The names of a system's configurations."""
    recipe(system)
    folder = files(f"avmodels.{_package(system)}").joinpath("configs")
    return sorted(path.name.removesuffix(".yaml") for path in folder.iterdir() if path.name.endswith(".yaml"))


def load(system: str, variant: str, settings: tuple[str, ...] = ()) -> Any:
    """The configuration called `variant`, or that of a YAML file, with `section.key=value` settings put in.

    Raises ConfigError for a name that is not there, and for keys and values the schema does not know.
    """
    path = Path(variant)
    if path.suffix not in (".yaml", ".yml"):
        if variant not in variants(system):
            raise ConfigError(f"{system} has no variant {variant!r}{_near(variant, variants(system))}")
        path = Path(str(files(f"avmodels.{_package(system)}").joinpath("configs", f"{variant}.yaml")))
    document = configs.override(configs.read_yaml(path), settings)
    return validate(system, document, variant)


def load_of(system: str, weights: Path, variant: str | None, settings: tuple[str, ...] = ()) -> Any:
    """The configuration to use a weights file with: the one called `variant`, else the one the file was made with.

    Raises ConfigError where neither says.
    """
    if variant is not None:
        return load(system, variant, settings)
    from avmodels.engine.weights import metadata

    if not weights.exists():
        raise WeightsError(f"there is no checkpoint at {weights}")
    header = metadata(weights)
    if "config" not in header:
        raise ConfigError(f"{weights} does not say which configuration it is of; name it with --config")
    document = configs.override(json.loads(header["config"]), settings)
    return validate(system, document, str(weights))


def validate(system: str, document: dict[str, Any], where: str) -> Any:
    """A document as a configuration of the recipe it names. Raises ConfigError for what is wrong in it."""
    schemas: dict[str, type[Config]] = recipe(system).RECIPES
    if document.get("recipe") not in schemas:
        raise ConfigError(f"{where}: recipe is {document.get('recipe')!r}, {system} has {', '.join(schemas)}")
    return configs.validate(document, schemas[document["recipe"]], where)


def split(name: str) -> tuple[str, str]:
    """`system/variant` in its two parts. Raises ConfigError for a name without a variant."""
    system, _, variant = name.partition("/")
    if not variant:
        raise ConfigError(f"{name!r} names no variant; `avtool models list {system}` shows them")
    return system, variant


def create(name: str, weights: Path | None = None, settings: tuple[str, ...] = ()) -> Any:
    """The network called `system/variant`, in evaluation mode; with random weights unless a file is given.

    Raises ConfigError for an unknown name or setting, WeightsError for a file that does not fit.
    """
    system, variant = split(name)
    config = load(system, variant, settings)
    model = recipe(system).build(config)
    if weights is not None:
        recipe(system).load(model, config, weights)
    return model.eval()


def summary(name: str) -> Summary:
    """Parameters and cost of the network called `system/variant`, without making its weights."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    system, variant = split(name)
    config = load(system, variant)
    with torch.device("meta"):
        model = recipe(system).build(config).to("meta").eval()
    counted = getattr(recipe(system), "counted", lambda model: model)(model)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        counted(*recipe(system).example_input(config))
    shapes = {name: list(parameter.shape) for name, parameter in model.state_dict().items()}
    return Summary(
        shapes,
        sum(parameter.numel() for parameter in model.parameters()),
        recipe(system).published_gmacs(config),
        counter.get_total_flops() / 2e9,
    )


def _package(system: str) -> str:
    return system.replace("-", "_")


def _near(name: str, known: list[str] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
