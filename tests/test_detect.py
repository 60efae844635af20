"""`avtool detect`: windows, tracks, files, and the command on a film made here."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avmodels.engine import weights as files
from avtool.cli import main
from avtool.detect import WINDOWS, Detections, Person, Watcher, at, choose, detect, linked, looks_of, windows
from avtool.errors import MissingError, UsageError
from avtool.narrate import ava, facts
from avtool.narrate.phrases import agree
from avtool.render import moved
from avtool.settings import Settings
from avtool.timeline import SECOND, Action, Shot, Span, Track
from tests.narrate import made

SIZE = (96, 64)  # width and height


def shots_of(*ends: int) -> list[Shot]:
    spans = [Span(a, b) for a, b in zip((0, *ends), ends, strict=False)]
    return [Shot(number, span, "cut", 1.0) for number, span in enumerate(spans)]


offsets = np.round((np.arange(16) - 8) * 4 / 30 * SECOND).astype(int)


# --- windows ------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 5 * SECOND), min_size=1, max_size=8))
def test_no_window_crosses_a_cut(lengths: list[int]) -> None:
    shots = shots_of(*np.cumsum(lengths).tolist())
    whole = Span(0, shots[-1].span.end)
    found = windows(whole, shots, offsets)
    assert [one.time for one in found] == list(range(0, whole.end, SECOND))
    for one in found:
        shot = shots[one.shot].span
        assert one.time in shot
        assert shot.start <= one.times[0] and one.times[-1] < shot.end and one.times[8] == one.time


def test_a_part_of_a_film_begins_with_its_first_whole_second() -> None:
    shots = [Shot(0, Span(2_500_000, 5_200_000), "start", 1.0)]
    assert [one.time for one in windows(shots[0].span, shots, offsets)] == [
        3 * SECOND,
        4 * SECOND,
        5 * SECOND,
    ]


@given(
    st.lists(st.integers(20_000, 400_000), min_size=1, max_size=300),
    st.lists(st.integers(SECOND // 10, 3 * SECOND), min_size=1, max_size=20),
    st.integers(0, 500_000),
)
def test_a_window_holds_the_frames_on_the_screen(gaps: list[int], lengths: list[int], begins: int) -> None:
    times = begins + np.cumsum([0, *gaps])
    shots = shots_of(*np.cumsum([*lengths, int(times[-1]) + SECOND]).tolist())
    planned = windows(Span(0, int(times[-1]) + 1), shots, offsets)
    got: dict[int, list[int]] = {}
    most = held = 0

    def read(frames: np.ndarray, places: np.ndarray, some: list) -> None:
        nonlocal most
        assert len(some) <= WINDOWS
        most = max(most, len(frames))
        for window, row in zip(some, places, strict=True):
            got[window.time] = frames[row, 0, 0, 0].tolist()

    watcher = Watcher(planned, lambda frame: frame, read)
    frames = np.arange(len(times))[:, None, None, None] * np.ones((1, 1, 1, 3), int)
    for first in range(0, len(times), 7):
        watcher.see(times[first : first + 7], frames[first : first + 7])
        held = max(held, len(watcher._frames))
    watcher.finish()
    assert sorted(got) == [one.time for one in planned]
    for one in planned:
        assert got[one.time] == np.maximum(np.searchsorted(times, one.times, "right") - 1, 0).tolist()
    assert most <= 16 * WINDOWS and not watcher._frames
    # A window lasts two seconds, so that three are begun while others wait to be full: no more is ever held.
    assert held <= 16 * (WINDOWS + 3)


# --- tracks -------------------------------------------------------------------------------------------------


def person(second: int, shot: int, x: float, track: int = -1, actions: tuple[float, ...] = ()) -> Person:
    return Person(second * SECOND, shot, track, (x, 0.2, x + 0.2, 0.8), 0.9, actions)


def test_tracks_follow_whoever_stays_and_end_with_the_shot() -> None:
    found = [person(0, 0, 0.1), person(0, 0, 0.6), person(1, 0, 0.62), person(1, 0, 0.12), person(2, 1, 0.12)]
    told = linked(found, 1.5)
    assert [one.track for one in told[:4]] == [0, 1, 1, 0] and told[4].track not in (0, 1)
    assert linked([], 1.5) == []


def test_a_track_is_where_it_was_seen_and_nowhere_else() -> None:
    track = Track(3, 0, "person", (0, SECOND // 2), ((0, 0, 0.2, 1), (0.4, 0, 0.6, 1)), (0.5, 0.9))
    other = Track(4, 0, "person", (SECOND,), ((0.8, 0, 1, 1),), (0.9,))
    looks = looks_of([track, other])[0]
    ((box, score),) = at(track, 450_000, looks)
    assert box[0] == pytest.approx(0.36) and score == 0.9
    assert at(track, SECOND // 2, looks) == [((0.4, 0, 0.6, 1), 0.9)]
    # One look of the two around the time did not see it; or no look is near.
    assert at(track, 700_000, looks) == [] and at(other, 700_000, looks) == []
    assert at(track, SECOND, looks) == [] and at(other, SECOND, looks) and at(other, 1_400_000, looks)
    assert at(other, 2 * SECOND, looks) == []


def test_a_box_is_drawn_near_its_keyframes_and_within_its_shot() -> None:
    people = [person(1, 1, 0.1, 5), person(2, 1, 0.2, 5), person(5, 1, 0.5, 5)]
    shot = Span(700_000, 5_300_000)
    one, box = moved(people, 1_400_000, shot) or pytest.fail("nobody")
    assert one is people[0] and box[0] == pytest.approx(0.14)
    assert moved(people, 700_000, shot) and moved(people, 699_999, shot) is None
    assert moved(people, 3_500_000, shot) is None and moved(people, 4_500_000, shot)
    assert moved(people, 5_300_000, shot) is None


# --- narration ----------------------------------------------------------------------------------------------


def test_what_is_sure_is_told_of_the_track_it_overlaps(film) -> None:
    labels = {11: "sit", 79: "talk to (e.g., self, a person, a group)", 12: "stand"}
    people = [person(second, 0, 0.1, 7, (0.9, 0.85, 0.99)) for second in (1, 2)]
    people.append(person(1, 0, 0.7, 8, (0.3, 0.2, 0.1)))
    found = Detections(
        film,
        Span(0, 3 * SECOND),
        shots_of(2_200_000, 3 * SECOND),
        "EVAD",
        labels,
        (SECOND, 2 * SECOND),
        people,
    )
    tracks = [
        Track(number, 0, "person", (0, SECOND, 2 * SECOND), ((x, 0.2, x + 0.2, 0.8),) * 3, (0.9,) * 3)
        for number, x in ((0, 0.11), (1, 0.68))
    ]
    told = ava.actions(found, tracks, {})
    assert [(one.track, one.verb, one.other) for one in told] == [(0, "sits", None), (0, "talks to", 1)]
    assert told[0].span == Span(500_000, 2_200_000) and told[0].confidence == pytest.approx(0.9)
    # With a third person it is not known to whom, and nobody else's box is near enough.
    third = Track(2, 0, "person", tracks[0].times, ((0.4, 0.2, 0.5, 0.8),) * 3, (0.9,) * 3)
    assert [one.verb for one in ava.actions(found, [*tracks, third], {})] == ["sits"]
    assert ava.actions(found, tracks[1:], {}) == []
    # Where it was measured from which score on an action is sure, that decides.
    told = ava.actions(found, tracks, {"sit": 0.95, "stand": 0.5})
    assert [one.verb for one in told] == ["talks to"]


def test_what_evad_saw_is_told_of_the_named_character_it_overlaps(film) -> None:
    story = made.film(1)
    ellen, marcus = made.person(story, 0, "Ellen Ross"), made.person(story, 0, "Marcus Hale")
    aside = replace(story.tracks[1], boxes=((0.6, 0.1, 0.9, 0.9),) * len(story.tracks[1].times))
    story.tracks[1] = aside
    seen = [Person(second * SECOND, 0, 3, (0.22, 0.1, 0.5, 0.88), 0.9, (0.9, 0.95)) for second in (1, 2)]
    labels = {49: "ride (e.g., a bike, a car, a horse)", 70: "hug (a person)"}
    found = Detections(film, story.span, story.shots, "EVAD", labels, (SECOND, 2 * SECOND), seen)
    story.actions = ava.actions(found, story.tracks, {"hug (a person)": 0.99})
    said = [candidate.text for candidate in facts.candidates(story, made.cast(), Settings())]
    assert any("Ellen Ross rides" in text for text in said)
    assert not any("Marcus Hale rides" in text or "hugs" in text for text in said)
    assert {action.track for action in story.actions} == {ellen} != {marcus}


def test_every_action_that_ava_judges_has_its_words() -> None:
    from avmodels.evad.actions import AVA, UNJUDGED

    judged = {name for number, name in AVA.items() if number not in UNJUDGED}
    assert len(AVA) == 80 and len(judged) == 60
    assert sorted([*ava.VERBS, *ava.TOGETHER, *ava.SILENT]) == sorted(judged)
    for verb in (*ava.VERBS.values(), *ava.TOGETHER.values()):
        first = verb.split()[0]
        assert first.endswith("s") and agree(verb).split()[0] in (first[:-1], first[:-2], "are")


# --- the command --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of grey noise at 25 frames a second, the middle one dark."""
    path = tmp_path_factory.mktemp("detect") / "film.mp4"
    draw = np.random.default_rng(0)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(25), options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(75):
            frame = draw.integers(0, 60 if 25 <= number < 50 else 256, (*SIZE[::-1], 3), dtype=np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def film(movie: Path):
    from avtool.media.probe import probe

    return probe(movie)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a tiny untrained EVAD that says what it was trained on."""
    import torch

    from avmodels import zoo
    from avmodels.evad import recipe
    from avmodels.evad.proposals import Stage

    config = zoo.load("evad", "tiny")
    torch.manual_seed(0)
    model = recipe.build(config)
    torch.nn.init.uniform_(model.proposals.boxes.weight, 0.3, 0.6)
    last = model.stages[-1]
    assert isinstance(last, Stage)
    last.class_logits.bias.data = torch.tensor([9.0, 0.0])  # everything is a person
    path = tmp_path_factory.mktemp("weights") / "toy.safetensors"
    labels = {number: f"action {number}" for number in range(1, 7)}
    files.write(model.state_dict(), path, recipe.about(config) | {"labels": labels})
    return path


def test_a_film_is_looked_at_second_by_second(
    movie: Path,
    toy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work, ava_csv, coco, drawn = (tmp_path / name for name in ("work", "ava.csv", "coco.json", "drawn.mp4"))
    asked = ["detect", str(movie), "--weights", str(toy), "--work", str(work), "--threshold", "0"]
    wrote = ["--ava", str(ava_csv), "--coco", str(coco), "--render", str(drawn)]
    assert main.run([*asked, "--json", *wrote]) == 0
    told = capsys.readouterr()
    assert "which know 6 actions" in told.err
    answer = json.loads(told.out)
    assert answer["schema"] == "avtool.detect/1"
    assert [one["time"] for one in answer["keyframes"]] == [0, SECOND, 2 * SECOND]
    first = answer["keyframes"][0]["people"]
    assert len(first) == 8 and len(first[0]["actions"]) == 6 and first[0]["score"] >= 0.7
    assert all(0 <= side <= 1 for one in first for side in one["box"])

    rows = list(csv.reader(ava_csv.read_text().splitlines()))
    assert len(rows) == 3 * 8 * 6 and rows[0][:2] == ["film", "0000"] and {len(row) for row in rows} == {8}
    document = json.loads(coco.read_text())
    assert [image["frame_id"] for image in document["images"]] == [0, 1, 2]
    assert (
        len(document["annotations"]) == 24 and document["annotations"][0]["instance_id"] == first[0]["track"]
    )
    with av.open(str(drawn)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 75
        assert (file.streams.video[0].width, file.streams.video[0].height) == SIZE

    # What was found is read again, not computed again.
    monkeypatch.setattr("avtool.detect._watch", lambda *_: pytest.fail("watched again"))
    assert main.run([*asked, "--csv", "--threshold", "1"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(table) == 24 and table[0]["time"] == "0:00:00.000" and table[0]["actions"] == ""


def test_without_weights_people_are_the_embedded_detectors_and_no_action_is_invented(
    movie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avmodels.run.weights_folder", lambda: tmp_path / "none")
    assert choose(None) is None and choose("embedded") is None
    assert main.run(["detect", str(movie), "--work", str(tmp_path / "work"), "--json"]) == 0
    told = capsys.readouterr()
    assert "the embedded detector, which names no actions" in told.err
    assert [one["people"] for one in json.loads(told.out)["keyframes"]] == [[], [], []]
    assert (
        main.run(["detect", str(movie), "--work", str(tmp_path / "work"), "--ava", str(tmp_path / "a")]) == 2
    )


def test_the_best_imported_weights_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avmodels.run.weights_folder", lambda: tmp_path)
    (tmp_path / "evad").mkdir()
    for name in ("tiny", "vit-b", "vit-b-ktp"):
        (tmp_path / f"evad/{name}.safetensors").touch()
    assert choose(None) == tmp_path / "evad/vit-b-ktp.safetensors"
    assert choose("evad/tiny") == tmp_path / "evad/tiny.safetensors"
    with pytest.raises(MissingError, match="avtool weights import evad/vit-l-ktp FILE"):
        choose("evad/vit-l-ktp")
    with pytest.raises(MissingError, match="there are no weights"):
        choose(str(tmp_path / "none.pth"))
    (tmp_path / "published.pth").touch()
    with pytest.raises(UsageError, match="avtool weights import evad/VARIANT"):
        choose(str(tmp_path / "published.pth"))


def test_describe_is_told_what_evad_saw(
    movie: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avtool.perception import open_film

    monkeypatch.setattr("avtool.detect.choose", lambda weights: toy)
    told = Action(0, 0, "waves", Span(0, SECOND), 0.9)
    monkeypatch.setattr(
        "avtool.narrate.ava.actions", lambda found, people, least: [told] * len(found.keyframes)
    )
    seen = open_film(movie, work=tmp_path)
    assert seen.actions == [told] * 3
    # It is kept under the weights' own key.
    monkeypatch.setattr("avtool.detect.choose", lambda weights: None)
    assert open_film(movie, work=tmp_path).actions == []


def test_what_cannot_be_done_is_told(movie: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="multiple of 32"):
        detect(movie, short_side=100)
    assert main.run(["detect", str(movie), "--precision", "int8"]) == 2
    assert main.run(["detect", str(movie), "another.mp4", "--coco", str(tmp_path / "x.json")]) == 2
    assert main.run(["detect", str(movie), "--render", str(movie)]) == 2
