"""`avtool train`, `features`, `show`, `models`, `data` and `weights import|export`: the model library's verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from avtool.cli import options
from avtool.cli.output import as_json, table

System = Annotated[str, typer.Argument(help="A system, e.g. videomae-v2.", show_default=False)]
Variant = Annotated[
    str, typer.Argument(help="SYSTEM/VARIANT, e.g. videomae-v2/vit-b-k400.", show_default=False)
]
Data = Annotated[Path, typer.Option(help="Folder of the lists train.csv and val.csv.", show_default=False)]
Weights = Annotated[Path, typer.Option(help="Weights: ours, or a published checkpoint.", show_default=False)]
ConfigName = Annotated[
    str | None, typer.Option("--config", metavar="NAME|FILE", help="A variant's name, or a YAML file.")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting, e.g. training.batch=8.")
]

models = typer.Typer(help="The model zoo: list, show.", no_args_is_help=True)
data = typer.Typer(help="Data sets: toy, tags.", no_args_is_help=True)


def add_to(app: typer.Typer, weights: typer.Typer) -> None:
    """Adds these commands to the command line, `import` and `export` to its `weights`."""
    app.command("train")(train)
    app.command("features")(features)
    app.command("show")(show_looks)
    app.add_typer(models, name="models")
    app.add_typer(data, name="data")
    weights.command("import")(import_)
    weights.command("export")(export)


def train(
    system: System,
    data: Data,
    config: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A variant's name, or a YAML file.")
    ] = "tiny",
    set: Set = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The run's folder (default: runs/SYSTEM-CONFIG).")
    ] = None,
    init: Annotated[Path | None, typer.Option(help="Start from these weights.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    launch: Annotated[int, typer.Option(metavar="N", min=1, help="Train in N processes.")] = 1,
) -> None:
    """Train a system: pre-train, post-pre-train or fine-tune, as its configuration says."""
    from avmodels import run, zoo

    settings = zoo.load(system, config, tuple(set or ()))
    folder = out or Path("runs") / f"{system}-{Path(config).stem}"
    run.train(system, settings, data, folder, init, resume, launch)
    print(folder)


def evaluate(
    system: System,
    weights: Weights,
    data: Data,
    config: ConfigName = None,
    set: Set = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the views' scores (default: beside the weights)."),
    ] = None,
    json: options.AsJson = False,
) -> None:
    """Test weights by the published protocol."""
    from avmodels import run, zoo

    settings = zoo.load_of(system, weights, config, tuple(set or ()))
    metrics = run.evaluate(system, settings, weights, data, out or run.scores_folder(weights))
    if json:
        as_json("eval", system=system, weights=weights, metrics=metrics)
    else:
        table(f"{system} on {data}", ("metric", "value"), list(metrics.items()))


def features(
    system: System,
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILM|IMAGES", help="A film; or images and folders of them.", show_default=False
        ),
    ],
    weights: Weights,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Features: .npz of images, .npy or .h5 of clips.", show_default=False
        ),
    ],
    config: ConfigName = None,
    set: Set = None,
    precision: Annotated[str, typer.Option(metavar="bf16|fp32", help="Of the arithmetic.")] = "bf16",
) -> None:
    """Write features: a row for each window or second of a film, or for each image."""
    from avmodels import run, zoo

    settings = zoo.load_of(system, weights, config, tuple(set or ()))
    rows = run.features(system, settings, weights, sources, out, precision)
    print(f"{out}: {rows} rows")


def show_looks(
    system: System,
    image: Annotated[Path, typer.Argument(help="A picture.", show_default=False)],
    weights: Weights,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PNG", help="Where to.")] = Path("looks.png"),
    config: ConfigName = None,
    set: Set = None,
) -> None:
    """Draw where a system looks in a picture, stage by stage."""
    from avmodels import run, zoo
    from avtool.tag import read_picture
    from avtool.workspace import replacing

    settings = zoo.load_of(system, weights, config, tuple(set or ()))
    page = run.show(system, settings, weights, read_picture(image))
    with replacing(out) as beside:
        page.save(beside, format="PNG")
    print(out)


@models.command("list")
def list_(
    system: Annotated[str | None, typer.Argument(help="Only this system.")] = None,
    json: options.AsJson = False,
) -> None:
    """Every system and its variants."""
    from avmodels import zoo

    configs = {
        (name, variant): zoo.load(name, variant)
        for name in ([system] if system else zoo.SYSTEMS)
        for variant in zoo.variants(name)
    }
    if json:
        entries = [
            {"system": name, "variant": variant, "recipe": config.recipe, "about": config.about}
            for (name, variant), config in configs.items()
        ]
        as_json("models", models=entries)
        return
    rows = [
        (name, variant, config.recipe, config.about, ", ".join(best(config)))
        for (name, variant), config in configs.items()
    ]
    table("models", ("system", "variant", "recipe", "what", "published"), rows)


def best(config: Any) -> list[str]:
    """The metrics of a configuration's first published result, in words."""
    return (
        [f"{name} {value:g}" for name, value in config.published[0].metrics.items()]
        if config.published
        else []
    )


@models.command()
def show(
    name: Annotated[str, typer.Argument(help="SYSTEM or SYSTEM/VARIANT.", show_default=False)],
    json: options.AsJson = False,
) -> None:
    """Parameters, cost, published numbers and weight sources of a system or of one variant."""
    from avmodels import run, zoo

    system, _, variant = name.partition("/")
    wanted = [variant] if variant else zoo.variants(system)
    shown = {f"{system}/{each}": (zoo.load(system, each), zoo.summary(f"{system}/{each}")) for each in wanted}
    if json:
        entries = [
            {
                "name": each,
                "parameters": summary.parameters,
                "gflops": summary.gmacs,
                "gflops_here": summary.gmacs_here,
                **config.model_dump(mode="json"),
            }
            for each, (config, summary) in shown.items()
        ]
        as_json("models-show", models=entries)
        return
    for each, (config, summary) in shown.items():
        rows: list[tuple[str, Any]] = [
            ("what", config.about),
            ("parameters", f"{summary.parameters:,}"),
            ("GFLOPs a clip (multiply-accumulates)", f"{summary.gmacs:.2f}"),
            ("GFLOPs a clip as computed here", f"{summary.gmacs_here:.2f}"),
        ]
        for result in config.published:
            numbers = ", ".join(f"{metric} {value:g}" for metric, value in result.metrics.items())
            rows.append(("published", f"{result.data} {result.views}: {numbers} ({result.where})"))
        rows += [
            ("weights", f"{source.file} at {source.where} ({source.licence})") for source in config.weights
        ]
        if run.imported(each).exists():
            rows.append(("imported", run.imported(each)))
        table(each, ("", ""), rows)


@data.command()
def toy(
    system: System,
    folder: Annotated[Path, typer.Argument(help="Where to.", show_default=False)],
    train: Annotated[int, typer.Option(min=1, help="Training clips.")] = 640,
    held_out: Annotated[int, typer.Option(min=1, help="Held-out clips.")] = 160,
) -> None:
    """Make a small learnable data set in a system's own form."""
    from avmodels.data.toy import make

    make(system, folder, train, held_out)
    print(folder)


@data.command()
def tags(
    folder: Annotated[Path, typer.Argument(help="Folder of captions.csv or tars.", show_default=False)],
    objects: Annotated[int, typer.Option(min=0, help="The most frequent objects.")] = 10_000,
    attributes: Annotated[int, typer.Option(min=0, help="The most frequent attributes.")] = 0,
    least: Annotated[int, typer.Option(min=1, help="Captions that must name a tag.")] = 5,
) -> None:
    """Parse captions into the tags that TagAlign learns: writes tags.csv and tags.json beside them."""
    from avmodels.tag_align.parsing import parse

    made = parse(folder, objects, attributes, least)
    print(f"{folder}: {len(made.objects)} objects, {len(made.attributes)} attributes")


def import_(
    name: Variant,
    published: Annotated[Path, typer.Argument(help="The checkpoint as published.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to (default: your data folder).")
    ] = None,
    set: Set = None,
) -> None:
    """Turn a published checkpoint of the model library into safetensors."""
    from avmodels import run

    print(run.import_weights(name, published, out, tuple(set or ())))


def export(
    name: Variant,
    out: Annotated[Path, typer.Argument(help="A .pth or .safetensors file.", show_default=False)],
    weights: Annotated[Path | None, typer.Option(help="Ours (default: the imported ones).")] = None,
) -> None:
    """Write weights of the model library as their authors' code reads them."""
    from avmodels import run

    run.export_weights(name, out, weights)
    print(out)
