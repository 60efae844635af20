"""What one does with a system: train it, evaluate it, take features from it, import and export its weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_data_path

from avmodels import zoo
from avmodels.engine import config as configs
from avmodels.engine.log import RECORDS
from avmodels.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from avmodels.seeing import Recogniser

# The resolved configuration of a run, in its folder.
CONFIG = "config.yaml"


def train(
    system: str,
    config: Any,
    data: Path,
    run: Path,
    init: Path | None = None,
    resume: bool = False,
    processes: int = 1,
) -> None:
    """Trains a system into the folder `run`, in this process (or torchrun's) or in `processes` of its own.

    Raises ConfigError where the folder holds a run already and `resume` is off, or holds one of another
    configuration; see `engine.train.fit` for the rest.
    """
    if os.environ.get("RANK", "0") == "0":
        prepare(run, config, resume)
    if processes == 1:
        _train(system, config, data, run, init, resume)
        return
    from avmodels.engine.processes import launch

    launch(_train, (system, config, data, run, init, resume), processes)


# How the work is spread, which may be another when a run goes on.
SPREAD = {f"training.{it}" for it in ("batch", "accumulate", "parallel", "checkpointing", "workers")}


def prepare(run: Path, config: Any, resume: bool) -> None:
    """Makes a run's folder and saves the configuration there, or checks that it is the one being resumed."""
    path = run / CONFIG
    if not resume:
        if (run / RECORDS).exists():
            raise ConfigError(
                f"{run} holds a run; add --resume to go on with it, or choose another folder with -o"
            )
        run.mkdir(parents=True, exist_ok=True)
        configs.save(config, path)
        return
    if not path.exists():
        raise ConfigError(f"{run} holds no run to resume")
    before, now = configs.read_yaml(path), config.model_dump(mode="json")
    changed = [name for name in differing(before, now) if name not in SPREAD]
    if changed:
        raise ConfigError(f"{path} differs in {', '.join(changed)}: a run is resumed with its own settings")


def differing(one: dict[str, Any], other: dict[str, Any], above: str = "") -> list[str]:
    """The names of the settings in which two configurations differ."""
    names: list[str] = []
    for key in one.keys() | other.keys():
        a, b = one.get(key), other.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            names += differing(a, b, f"{above}{key}.")
        elif a != b:
            names.append(f"{above}{key}")
    return sorted(names)


def evaluate(system: str, config: Any, weights: Path, data: Path, results: Path) -> dict[str, float]:
    """The published test of a system; `results` is the folder for what it writes on the way."""
    return zoo.recipe(system).evaluate(config, weights, data, results)


def scores_folder(weights: Path) -> Path:
    """Where the results of a test of some weights lie if nothing else is asked for: beside them."""
    return weights.with_name(f"{weights.stem}-scores")


def features(
    system: str, config: Any, weights: Path, sources: Sequence[Path], out: Path, precision: str
) -> int:
    """Writes the features of a film, or for networks of images also of pictures, to `out`; returns how many there are.

    Raises ConfigError where a system has none, and for another precision than fp32 and bf16; see seeing.extract.
    """
    recipe = zoo.recipe(system)
    if precision not in ("fp32", "bf16"):
        raise ConfigError(f"precision is fp32 or bf16, not {precision}")
    if hasattr(recipe, "image_encoder"):
        from avmodels.seeing import extract

        return extract(recipe.image_encoder(config, weights, precision), sources, out)
    if not hasattr(recipe, "features"):
        raise ConfigError(f"{system} gives no features")
    if len(sources) > 1:
        raise ConfigError(f"{system} takes one film")
    return recipe.features(config, weights, sources[0], out, precision)


def recogniser(system: str, config: Any, weights: Path, precision: str = "bf16") -> Recogniser:
    """A classifier in use, avmodels.seeing.Recogniser. Raises ConfigError where a configuration is none."""
    recipe = zoo.recipe(system)
    if not hasattr(recipe, "recogniser"):
        raise ConfigError(f"{system} names no pictures")
    return recipe.recogniser(config, weights, precision)


def show(system: str, config: Any, weights: Path, picture: np.ndarray) -> Image:
    """A page of where a network looks in a picture (H, W, 3), RGB uint8. Raises ConfigError for one that cannot tell."""
    recipe = zoo.recipe(system)
    if not hasattr(recipe, "show"):
        able = [name for name in zoo.SYSTEMS if hasattr(zoo.recipe(name), "show")]
        raise ConfigError(f"{system} does not tell where it looks; {', '.join(able)} does")
    from PIL.Image import fromarray

    return recipe.show(config, weights, fromarray(picture))


def weights_folder() -> Path:
    """Where imported weights lie: <user's data>/avtool/weights/<system>/<variant>.safetensors."""
    return user_data_path("avtool") / "weights"


def imported(name: str) -> Path:
    """The file of the imported weights called `system/variant`, there or not."""
    return weights_folder() / f"{name}.safetensors"


def import_weights(
    name: str, published: Path, out: Path | None = None, settings: tuple[str, ...] = ()
) -> Path:
    """Turns a published checkpoint into our safetensors, checked against the network `system/variant` names.

    Returns the file. Raises WeightsError for a file that is unsafe, broken or does not fit.
    """
    from avmodels.engine import weights

    system, variant = zoo.split(name)
    config, recipe = zoo.load(system, variant, settings), zoo.recipe(system)
    model = recipe.build(config)
    recipe.load(model, config, published)
    path = out or imported(name)
    weights.write(model.state_dict(), path, recipe.about(config) | {"from": published.name})
    return path


def export_weights(name: str, out: Path, ours: Path | None = None) -> None:
    """Writes weights under their published names: `.safetensors`, or a `.pth` as training scripts read it."""
    from avmodels.engine import weights

    system, variant = zoo.split(name)
    path = ours or imported(name)
    says = "config" in weights.metadata(path)
    config, recipe = zoo.load_of(system, path, None if says else variant), zoo.recipe(system)
    model = recipe.build(config)
    recipe.load(model, config, path)
    state = model.state_dict()
    published = recipe.published(state, config) if hasattr(recipe, "published") else state
    if out.suffix == ".safetensors":
        weights.write(published, out, recipe.about(config))
    else:
        weights.write_pickle(published, out)


def _train(system: str, config: Any, data: Path, run: Path, init: Path | None, resume: bool) -> None:
    zoo.recipe(system).train(config, data, run, init, resume)
