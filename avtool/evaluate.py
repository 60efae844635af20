"""How good descriptions are against references, and how well characters are known: the measures of the papers.

Descriptions are read from .jsonl, .json, .csv, .txt, or any script avtool reads. Those of a prediction and of its
reference belong together by their `id`, where both have one, and else by their order in each film.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avmodels.metrics import bertscore, caption, characters, critic, judge, meteor, neighbours, ptb
from avmodels.metrics.coreference import Rules
from avtool.errors import UsageError
from avtool.narrate.naming import spoken_names
from avtool.timeline import Span

if TYPE_CHECKING:
    from avtool.cast import Cast
    from avtool.perception import Perception

# What lists call a description.
TEXT = ("text", "said", "ad", "caption", "prediction", "reference")
RESAMPLES = 10_000
LEAST = 80_000  # microseconds, two frames: who is seen for less is not seen in a shot


@dataclass(frozen=True, slots=True)
class Told:
    """One description: of which film, its id there, and its wording; references may have several."""

    film: str
    id: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Predictions and their references, in the order of the references."""

    films: list[str]
    generated: list[str]
    references: list[list[str]]


def read(path: Path) -> list[Told]:
    """The descriptions of a file. Raises UsageError, with the place, for what cannot be read as such."""
    try:
        match path.suffix.lower():
            case ".jsonl":
                lines = path.read_text(encoding="utf-8").splitlines()
                return _records([json.loads(line) for line in lines if line.strip()], path)
            case ".json":
                return _document(json.loads(path.read_text(encoding="utf-8")), path)
            case ".csv":
                with path.open(encoding="utf-8-sig", newline="") as file:
                    return _records(list(csv.DictReader(file)), path)
            case ".txt":
                return _records(
                    [{"text": line} for line in path.read_text(encoding="utf-8").splitlines()], path
                )
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not what its name says: {error}") from error
    return _script(path)


def _script(path: Path) -> list[Told]:
    """The cues of a script, or of a project file."""
    from avtool.tracks import script, subtitles

    cues = script.read(path).descriptions if path.suffix.lower() == ".json" else subtitles.read(path)
    return [Told("", "", (cue.text,)) for cue in cues]


def _document(document: Any, path: Path) -> list[Told]:
    """A list of records, records by film, or a project file of avtool's."""
    if isinstance(document, dict) and "script" in document:
        return _script(path)
    if isinstance(document, dict):
        records = [
            {"film": film, **(one if isinstance(one, dict) else {"text": one})}
            for film, some in document.items()
            for one in (some if isinstance(some, list) else [some])
        ]
        return _records(records, path)
    if not isinstance(document, list):
        raise UsageError(f"{path} should be a list of descriptions, or lists by film")
    return _records([one if isinstance(one, dict) else {"text": one} for one in document], path)


def _records(records: Sequence[Any], path: Path) -> list[Told]:
    told = []
    for number, record in enumerate(records, 1):
        if not isinstance(record, Mapping):
            raise UsageError(f"{path}: entry {number} is no object with a text")
        texts = record.get("references") or next(
            (record[key] for key in TEXT if record.get(key) is not None), None
        )
        if texts is None:
            raise UsageError(f"{path}: entry {number} has none of the keys {', '.join(TEXT)}")
        texts = (texts,) if isinstance(texts, str) else tuple(map(str, texts))
        film = record.get("film") or record.get("movie_id") or record.get("imdbid") or ""
        told.append(Told(str(film), str(record.get("id", "")), texts))
    return told


def pair(predictions: Sequence[Told], references: Sequence[Told]) -> Pairs:
    """Predictions with their references. Raises UsageError where one lacks its other."""
    if all(one.id for one in (*predictions, *references)):
        own = {(one.film, one.id): one.texts[0] for one in predictions}
        if len(own) < len(predictions):
            raise UsageError("two predictions of a film have the same id")
        lacking = [f"{one.film} {one.id}".strip() for one in references if (one.film, one.id) not in own]
        if lacking:
            raise UsageError(f"{len(lacking)} references have no prediction, e.g. {lacking[0]}")
        generated = [own[one.film, one.id] for one in references]
    else:
        generated = []
        waiting: dict[str, list[str]] = defaultdict(list)
        for one in predictions:
            waiting[one.film].append(one.texts[0])
        for film in dict.fromkeys(one.film for one in (*references, *predictions)):
            count = sum(one.film == film for one in references)
            if len(waiting[film]) != count:
                named = f" of {film}" if film else ""
                raise UsageError(
                    f"{len(waiting[film])} predictions{named} for {count} references: give both an `id`, or as many"
                )
        turns = {film: iter(texts) for film, texts in waiting.items()}
        generated = [next(turns[one.film]) for one in references]
    return Pairs([one.film for one in references], generated, [list(one.texts) for one in references])


def measure(
    pairs: Pairs,
    *,
    cast: Cast | None = None,
    encoder: Path | None = None,
    layer: int = bertscore.LAYER,
    recall: tuple[int, int] = (5, 16),
    judged_by: Path | None = None,
    meteor_jar: Path | None = None,
) -> dict[str, Any]:
    """The measures of audio-description papers, times 100 but for the judge's 0 to 5.

    CIDEr, ROUGE-L and BLEU always, with 95 % intervals by bootstrap over films (over sentences of one film); with an
    `encoder` BERTScore and R@k/N (`recall`); with a `cast` CRITIC by rules, and who is named; with a language model
    `judged_by` LLM-AD-eval. Raises WeightsError where a model or METEOR's jar cannot be used.
    """
    generated = ptb.tokenize_all(pairs.generated)
    references = [ptb.tokenize_all(texts) for texts in pairs.references]
    found: dict[str, Any] = {"descriptions": len(generated), "films": len(set(pairs.films))}
    for name, metric in (("cider", caption.cider), ("rouge_l", caption.rouge_l)):
        scores = metric(generated, references)
        found[name] = 100 * scores.corpus
        found[f"{name}_interval"] = [100 * edge for edge in interval(scores.each, pairs.films)]
    for order, scores in enumerate(caption.bleu(generated, references), 1):
        found[f"bleu_{order}"] = 100 * scores.corpus
    if meteor_jar is not None:
        found["meteor"] = 100 * meteor.meteor(generated, references, meteor_jar).corpus
    firsts = [texts[0] for texts in pairs.references]
    if encoder is not None:
        found |= embedded(pairs, firsts, bertscore.encoder(encoder, layer), recall)
    if cast is not None:
        found |= named(pairs, firsts, cast)
    if judged_by is not None:
        judged = judge.judge(pairs.generated, firsts, judge.judge_in(judged_by))
        found |= {"llm_ad_eval": judged.mean, "llm_ad_eval_unparsable": judged.unparsable}
    return found


def interval(each: np.ndarray, films: Sequence[str]) -> list[float]:
    """The 95 % interval of the mean: of films drawn again, or of sentences where there is one film."""
    draw = np.random.default_rng(0)
    names, groups = np.unique(films, return_inverse=True)
    if len(names) < 2:
        groups = np.arange(len(each))
    sums, counts = np.bincount(groups, each), np.bincount(groups)
    if len(sums) < 2:
        return [float(each.mean())] * 2 if len(each) else [float("nan")] * 2
    means = []
    for _ in range(RESAMPLES):
        drawn = draw.integers(0, len(sums), len(sums))
        means.append(sums[drawn].sum() / counts[drawn].sum())
    return [float(edge) for edge in np.percentile(means, (2.5, 97.5))]


def by_film(pairs: Pairs) -> dict[str, list[int]]:
    """The places of every film's descriptions."""
    places: dict[str, list[int]] = defaultdict(list)
    for number, film in enumerate(pairs.films):
        places[film].append(number)
    return places


def embedded(
    pairs: Pairs, firsts: Sequence[str], encode: bertscore.Encoder, recall: tuple[int, int]
) -> dict[str, Any]:
    """BERTScore, and the recall of a description among its neighbours; short films are left out of that."""
    ours, theirs = encode(pairs.generated), encode(firsts)
    scores = np.stack([bertscore.rescaled(bertscore.match(*pair)) for pair in zip(ours, theirs, strict=True)])
    best, count = recall
    films = list(by_film(pairs).values())
    near = [
        bertscore.similarities(
            [pairs.generated[number] for number in places],
            [firsts[number] for number in places],
            encode,
            count,
        )
        for places in films
        if len(places) >= count
    ]
    precision, recalled, both = (100 * scores.mean(0)).tolist()
    return {
        "bertscore_precision": precision,
        "bertscore_recall": recalled,
        "bertscore": both,
        f"recall_{best}_of_{count}": 100 * float(neighbours.recall_within_neighbours(near, count, [best])[0]),
        "films_too_short_for_recall": len(films) - len(near),
    }


def named(pairs: Pairs, firsts: Sequence[str], cast: Cast) -> dict[str, Any]:
    """CRITIC with who is meant told by rules, and precision and recall of the names themselves."""
    spellings = {one.name: spoken_names(one) for one in cast.cast}
    rules = Rules(spellings, {one.name: one.pronoun for one in cast.cast if one.pronoun})
    films = [
        (
            list(spellings),
            [pairs.generated[number] for number in places],
            [firsts[number] for number in places],
        )
        for places in by_film(pairs).values()
    ]
    overlaps = critic.critic(films, rules) if spellings else np.zeros(0)
    found = characters.found(
        [characters.named(text, spellings) for text in pairs.generated],
        [characters.named(text, spellings) for text in firsts],
    )
    return {
        "critic": 100 * float(overlaps.mean()) if len(overlaps) else float("nan"),
        "coreference": "rules",
        **scores_of(found),
    }


def scores_of(found: characters.Found) -> dict[str, Any]:
    return {
        "name_precision": 100 * found.precision,
        "name_recall": 100 * found.recall,
        "name_f1": 100 * found.f1,
        "names_confused": {f"{true} as {said}": times for (true, said), times in found.confused.items()},
    }


def known_characters(seen: Perception, truth: Path) -> dict[str, dict[str, Any]]:
    """Precision and recall of who of the cast is in which shot of a film: for each of them, and `all`.

    `truth` holds {"shots": [{"start": microseconds, "end": ..., "cast": [names]}, ...]}. Raises UsageError where it
    does not.
    """
    try:
        shots = [
            (Span(shot["start"], shot["end"]), set(shot["cast"]))
            for shot in json.loads(truth.read_text())["shots"]
        ]
    except OSError as error:
        raise UsageError(f"the truth {truth} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{truth} should hold shots with start, end and cast") from error
    sightings = [one for one in seen.sightings if one.name]
    said = [
        {one.name for one in sightings if one.name and one.span.overlap(span) > LEAST} for span, _ in shots
    ]
    names = [one.name for one in seen.cast.cast] if seen.cast else []
    rows = {
        name: characters.found([some & {name} for some in said], [some & {name} for _, some in shots])
        for name in names
    }
    rows["all"] = characters.found(said, [some for _, some in shots])
    return {
        name: scores_of(found) | {"right": found.right, "wrong": found.wrong, "missed": found.missed}
        for name, found in rows.items()
    }
