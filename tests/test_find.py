"""Finding moments by a sentence: what is looked at, what is kept, what is told."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from avmodels import run as models
from avmodels import zoo
from avmodels.engine import weights
from avmodels.tvts_v2 import recipe, toy
from avtool import find
from avtool.cli.main import run
from avtool.perception import open_film
from avtool.timeline import SECOND, Shot, Span

EXAMPLE = Path(__file__).parents[1] / "examples" / "the-quiet-street.mp4"


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of tiny encoders that have learned nothing."""
    torch.manual_seed(0)
    config = recipe.zero_shot(zoo.load("tvts-v2", "tiny"))
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    weights.write(recipe.build(config).state_dict(), path, recipe.about(config))
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy film of seven scenes, 4 seconds each."""
    folder = tmp_path_factory.mktemp("film")
    toy.narrate(folder / "data" / "dots.mp4", np.random.default_rng(0))
    return folder / "data" / "dots.mp4"


@given(st.lists(st.integers(1, 40 * SECOND), min_size=1, max_size=6))
def test_parts_cover_the_shots_and_none_is_long(durations: list[int]) -> None:
    limits = np.cumsum([0, *durations]).tolist()
    shots = [Shot(number, Span(*pair), "cut", 1.0) for number, pair in enumerate(pairwise(limits))]
    found = find.parts(shots)
    assert [part.span.start for part in found] == [0, *(part.span.end for part in found[:-1])]
    assert found[-1].span.end == limits[-1]
    assert all(part.span.duration <= find.LONGEST for part in found)
    assert all(part.span.start in shots[part.shot].span for part in found)


def test_a_vector_is_that_of_its_own_frames_alone(tiny: Path, film: Path, tmp_path: Path) -> None:
    encoders = find.load(tiny)
    whole = find.index(open_film(film), encoders)
    scenes = [Span(start * SECOND, (start + 4) * SECOND) for start in range(0, 28, 4)]
    assert [part.span for part in whole.parts] == scenes and whole.vectors.shape == (7, 64)
    np.testing.assert_allclose(np.linalg.norm(whole.vectors, axis=1), 1, rtol=1e-5)
    last = whole.parts[-1]
    alone = find.index(open_film(film, start=last.span.start, work=tmp_path / "alone"), encoders)
    assert [part.span for part in alone.parts] == [last.span]
    assert alone.vectors[0] @ whole.vectors[-1] > 0.999
    assert all(alone.vectors[0] @ other < 0.999 for other in whole.vectors[:-1])


def test_describe_ranks_actions_with_imported_weights_alone(tiny: Path, film: Path, tmp_path: Path) -> None:
    without = open_film(film, work=tmp_path / "without")
    by_rules = without.actions
    imported = models.imported("tvts-v2/vit-b-16")
    imported.parent.mkdir(parents=True)
    imported.symlink_to(tiny)
    seen = open_film(film, work=tmp_path / "with")
    assert seen.actions == by_rules == []  # nobody is in the picture
    assert seen.work.file("moments", ".npy").exists() and not without.work.file("moments", ".npy").exists()


def test_vectors_are_kept_until_the_weights_change(
    tiny: Path, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoders = find.load(tiny)
    first = find.index(open_film(film), encoders)

    def looking(*_: object) -> None:
        raise AssertionError("the film was watched again")

    with monkeypatch.context() as patch:
        patch.setattr(find, "Clips", looking)
        again = find.index(open_film(film), encoders)
        assert again.parts == first.parts and (again.vectors == first.vectors).all()
        torch.manual_seed(1)
        weights.write(
            recipe.build(encoders.config).state_dict(),
            tmp_path / "other.safetensors",
            recipe.about(encoders.config),
        )
        with pytest.raises(AssertionError, match="watched again"):
            find.index(open_film(film), find.load(tmp_path / "other.safetensors"))


def test_the_likest_come_first_with_a_picture_of_their_middle(tiny: Path, film: Path, tmp_path: Path) -> None:
    encoders = find.load(tiny)
    indexed = find.index(open_film(film), encoders)
    moments = find.best([indexed], indexed.vectors[3], 2, tmp_path / "found")
    assert moments[0].span == indexed.parts[3].span and moments[0].score == pytest.approx(1, abs=1e-5)
    assert moments[0].score > moments[1].score
    with Image.open(moments[0].thumbnail) as picture:
        assert picture.size == (180, 180)
    assert [path.name[:7] for path in sorted((tmp_path / "found").iterdir())] == ["01 dots", "02 dots"]


def test_the_command_ranks_all_films(
    tiny: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "films").mkdir()
    for name, path in (("dots.mp4", film), ("street.mp4", EXAMPLE)):
        (tmp_path / "films" / name).symlink_to(path)
    (tmp_path / "films" / "broken.mp4").write_bytes(b"no film")
    command = ["find", str(tmp_path / "films"), "a red dot 🔴 落書き", "--weights", str(tiny), "--top", "50"]
    assert run([*command, "--json"]) == 6
    said = capsys.readouterr()
    assert "broken.mp4" in said.err
    answer = json.loads(said.out)
    assert answer["schema"] == "avtool.find/1"
    moments = answer["moments"]
    assert {Path(moment["film"]).name for moment in moments} == {"dots.mp4", "street.mp4"}
    scores = [moment["score"] for moment in moments]
    assert scores == sorted(scores, reverse=True)
    assert all(Path(moment["thumbnail"]).exists() for moment in moments)


def test_what_cannot_be_found_says_why(
    tiny: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(*arguments: str) -> tuple[int, str]:
        code = run(["find", str(film), *arguments])
        return code, capsys.readouterr().err.strip()

    code, line = tell("a red dot")
    assert code == 5 and "avtool weights import tvts-v2/vit-b-16 TVTSv2_ViT_B_16.pth" in line
    code, line = tell("a red dot", "--weights", "vit-h-14")
    assert code == 5 and "avtool weights import tvts-v2/vit-h-14 TVTSv2_ViT_H_14.pth" in line
    code, line = tell("a red dot", "--weights", "vit-b-17")
    assert code == 2 and "vit-b-16" in line
    published = tmp_path / "TVTSv2_ViT_B_16.pth"
    torch.save({"state_dict": {}}, published)
    code, line = tell("a red dot", "--weights", str(published))
    assert code == 2 and "avtool weights import" in line
    code, line = tell(" ", "--weights", str(tiny))
    assert code == 2 and "say what to find" in line
    code, line = tell("a dot " * 60, "--weights", str(tiny), "--top", "1")
    assert code == 0 and "only its first 77 tokens" in line
