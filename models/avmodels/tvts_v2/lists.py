"""The lists of the published data sets, as they lie in a folder: `meta_data/` holds the lists.

A list that is missing, empty or of another form raises DataError, with the line's number where one is wrong.
"""

from __future__ import annotations

import csv
import json
import pickle
import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from avmodels.errors import DataError

# The rows of WebVid's validation list that are used, drawn with this seed.
WEBVID_HELD_OUT, WEBVID_SEED = 1000, 0
# LSMDC's clips are named by film and times, no header is.
LSMDC_CLIP = re.compile(r"_\d\d\.\d\d\.\d\d\.\d{3}-")
# Where each set of actions lists its videos, and the number of its first class.
ACTIONS = {
    "hmdb-51": ("hmdb51/prompt/split_1_test_list.tsv", 1),
    "ucf-101": ("ucf101/prompt/testlist01_new.tsv", 1),
    "kinetics-400": ("k400/prompt/kinetics400_val_list_videos.tsv", 0),
}


@dataclass(frozen=True, slots=True)
class Narrated:
    """A video, and the file of its transcript."""

    path: Path
    annotation: Path


@dataclass(frozen=True, slots=True)
class Captioned:
    """A video and what is said to be in it."""

    path: Path
    caption: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """A video and the number of its class, from 0."""

    path: Path
    label: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A video, sentences, and which of them is right."""

    path: Path
    options: tuple[str, ...]
    answer: int


def yt_temporal(folder: Path, split: str) -> list[Narrated]:
    """YT-Temporal's `train` or `val`."""
    path = folder / "meta_data" / f"yttemporal_{split}.csv"
    header, *rows = _table(path)
    if "Name" not in header:
        raise DataError(f"{path}, line 1: no column is called Name")
    names = [Path(row[header.index("Name")]) for row in _filled(path, rows, header.index("Name") + 1)]
    return [
        Narrated(
            folder / "videos" / name,
            folder / "videos" / name.parts[0] / "annotations" / name.with_suffix(".json").name,
        )
        for name in names
    ]


def webvid(folder: Path, split: str) -> list[Captioned]:
    """WebVid-2M's `train`, or the thousand published clips of its `val`."""
    path = folder / "meta_data" / f"webvid_{split}.tsv"
    rows = _filled(path, _table(path)[1:], 2)
    if split == "val" and len(rows) > WEBVID_HELD_OUT:
        drawn = np.random.RandomState(WEBVID_SEED).choice(len(rows), WEBVID_HELD_OUT, replace=False)
        rows = [rows[number] for number in drawn]
    return [Captioned(folder / split / f"{row[1]}.mp4", row[0]) for row in rows]


def msr_vtt(folder: Path) -> list[Captioned]:
    """MSR-VTT's thousand test videos of the JSFusion split, one caption each."""
    path = folder / "meta_data" / "msrvtt" / "MSR_VTT.json"
    captions: dict[str, list[str]] = {}
    try:
        for entry in _json(path)["annotations"]:
            captions.setdefault(entry["image_id"], []).append(entry["caption"])
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} holds no annotations with image_id and caption") from error
    splits = folder / "high-quality" / "structured-symlinks"
    chosen = _plain_pickle(splits / "jsfusion_val_caption_idx.pkl")
    names = _text(splits / "val_list_jsfusion.txt").split()
    clips = []
    for name in names:
        try:
            caption = captions[name][chosen[name]]
        except (KeyError, IndexError) as error:
            raise DataError(f"{path} and {splits} do not agree on the caption of {name}") from error
        clips.append(Captioned(folder / "videos" / "all" / f"{name}.mp4", caption))
    return clips


def didemo(folder: Path) -> list[Captioned]:
    """DiDeMo's test videos, a paragraph each."""
    path = folder / "meta_data" / "didemo" / "DiDeMo_test.tsv"
    return [Captioned(folder / row[1], row[0]) for row in _filled(path, _table(path)[1:], 2)]


def lsmdc(folder: Path) -> list[Captioned]:
    """LSMDC's thousand public test clips; the official list has no header, others may."""
    path = folder / "meta_data" / "lsmdc" / "LSMDC16_challenge_1000_publictect.csv"
    rows = _table(path)
    rows = _filled(path, rows if LSMDC_CLIP.search(rows[0][0]) else rows[1:], 2)
    return [
        Captioned(folder / row[0].split(".")[0].rpartition("_")[0] / f"{row[0]}.avi", row[-1]) for row in rows
    ]


def actions(folder: Path, name: str) -> tuple[list[Labelled], list[str]]:
    """The test videos of a set of actions, and the names of its classes in order."""
    listed, first = ACTIONS[name]
    path = folder / "meta_data" / listed
    names = list(_json(path.parent / "label2id.json"))
    clips = []
    for line, row in enumerate(_filled(path, _table(path), 2), start=1):
        if not row[1].strip().isdigit():
            if line == 1:
                continue  # a header
            raise DataError(f"{path}, line {line}: {row[1]!r} is no label")
        label = int(row[1]) - first
        if not 0 <= label < len(names):
            raise DataError(f"{path}, line {line}: label {row[1]} is not among {len(names)} classes")
        clips.append(Labelled(_action_video(folder, name, row[0]), label))
    return clips, names


def multiple_choice(folder: Path) -> list[Choice]:
    """The questions of SSV2-MC, all with as many options; `answer` is the right one or its number."""
    path = folder / "meta_data" / "ssv2" / "mc" / "val.jsonl"
    questions: list[Choice] = []
    for line, text in enumerate(_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            entry = json.loads(text)
            options, answer = tuple(entry["options"]), entry["answer"]
            number = options.index(answer) if isinstance(answer, str) else int(answer)
            if not 0 <= number < len(options):
                raise ValueError(f"there is no option {number}")
            if questions and len(options) != len(questions[0].options):
                raise ValueError(f"{len(options)} options, {len(questions[0].options)} before")
            questions.append(Choice(folder / "videos" / entry["clip_name"], options, number))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}, line {line}: not a question ({error})") from error
    return questions


def _action_video(folder: Path, name: str, listed: str) -> Path:
    if name != "kinetics-400":
        return folder / listed
    video = Path(listed)
    return folder / "videos_val" / (video.with_suffix(".mp4") if video.suffix == ".mkv" else video).name


def _table(path: Path) -> list[list[str]]:
    """The rows of a tab-separated file, header and all, blank lines left out."""
    rows = [row for row in csv.reader(StringIO(_text(path)), delimiter="\t") if row]
    if not rows:
        raise DataError(f"the list {path} is empty")
    return rows


def _filled(path: Path, rows: Iterable[list[str]], columns: int) -> list[list[str]]:
    """The rows, which must have so many columns."""
    rows = list(rows)
    for row in rows:
        if len(row) < columns:
            raise DataError(f"{path}: expected {columns} columns divided by tabs, got {row}")
    return rows


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the list {path}: {error}") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error


class _Plain(pickle.Unpickler):
    """Reads dictionaries, strings and numbers, and refuses everything that would run code."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")


def _plain_pickle(path: Path) -> dict[str, int]:
    try:
        with path.open("rb") as file:
            return _Plain(file).load()
    except OSError as error:
        raise DataError(f"cannot read the list {path}: {error}") from error
    except (pickle.UnpicklingError, EOFError) as error:
        raise DataError(f"{path} is not a plain pickle: {error}") from error
