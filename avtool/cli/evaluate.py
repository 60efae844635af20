"""`avtool eval`: a system's published test, descriptions against references, characters against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avtool.cli import models, options
from avtool.cli.groups import otherwise
from avtool.cli.output import as_json, table
from avtool.cli.progress import progress as told
from avtool.cli.talk import talk
from avtool.errors import UsageError

app = typer.Typer(
    cls=otherwise("system"),
    help="Measure: weights of a system (`avtool eval SYSTEM`), descriptions, characters.",
    no_args_is_help=True,
)
app.command("system", help="Test weights by the published protocol.")(models.evaluate)


@app.command()
def ad(
    predictions: Annotated[Path, typer.Option(help="Descriptions: .jsonl, .json, .csv, .txt or a script.")],
    references: Annotated[Path, typer.Option(help="What they are held against, likewise.")],
    cast: options.CastFile = None,
    allow_outside: options.AllowOutside = False,
    encoder: Annotated[
        Path | None, typer.Option(help="Folder of an encoder (roberta-large): BERTScore, R@k/N.")
    ] = None,
    layer: Annotated[int, typer.Option(help="The encoder's layer that is read.")] = 17,
    recall: Annotated[str, typer.Option(metavar="K/N", help="Of R@k/N.")] = "5/16",
    judge: Annotated[Path | None, typer.Option(help="Folder of a language model: LLM-AD-eval.")] = None,
    meteor: Annotated[Path | None, typer.Option(help="meteor-1.5.jar, where Java is: METEOR.")] = None,
    json: options.AsJson = False,
) -> None:
    """Hold descriptions against references: CIDEr, ROUGE-L, BLEU, and more with a cast, an encoder, a judge."""
    from avtool import cast as casts
    from avtool import evaluate

    k, _, n = recall.partition("/")
    if not (k.isdecimal() and n.isdecimal() and 0 < int(k) <= int(n)):
        raise UsageError(f"--recall {recall}: write K/N, for example 5/16")
    metrics = evaluate.measure(
        evaluate.pair(evaluate.read(predictions), evaluate.read(references)),
        cast=casts.load(cast, allow_outside) if cast else None,
        encoder=encoder,
        layer=layer,
        recall=(int(k), int(n)),
        judged_by=judge,
        meteor_jar=meteor,
    )
    if json:
        as_json("eval-ad", predictions=predictions, references=references, metrics=metrics)
    else:
        table(f"{predictions} against {references}", ("metric", "value"), list(metrics.items()))


@app.command()
def characters(
    film: Annotated[Path, typer.Argument(help="A film.", show_default=False)],
    cast: Annotated[Path, typer.Option("--cast", help="cast.json with names and portraits.")],
    truth: Annotated[
        Path | None, typer.Option(help="Shots with their cast (default: truth.json beside the film).")
    ] = None,
    allow_outside: options.AllowOutside = False,
    preset: options.Preset = None,
    settings: options.Set = None,
    characters: options.Characters = None,
    work: options.Work = None,
    force: options.Force = False,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    progress: options.ProgressMode = "auto",
) -> None:
    """How well the cast is known in a film: precision and recall over its shots."""
    from avtool import evaluate
    from avtool.config import resolve
    from avtool.perception import open_film

    talk(quiet, verbose)
    values = resolve(preset, options.pairs(settings, characters=characters))[0]
    with told(progress, film.name) as tell:
        seen = open_film(
            film, cast, settings=values, work=work, force=force, allow_outside=allow_outside, progress=tell
        )
        found = evaluate.known_characters(seen, truth or film.with_name("truth.json"))
    if json:
        as_json("eval-characters", film=str(film), characters=values.characters, metrics=found)
        return
    columns = ("name", "precision", "recall", "right", "wrong", "missed")
    rows = [
        (name, row["name_precision"], row["name_recall"], row["right"], row["wrong"], row["missed"])
        for name, row in found.items()
    ]
    table(f"{film.name}: characters by {values.characters}", columns, rows)
