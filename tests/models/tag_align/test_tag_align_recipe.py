"""Lists, data sets, training and measuring, on made-up pictures."""

from __future__ import annotations

import json
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from avmodels import run, zoo
from avmodels.data import toy as toys
from avmodels.engine import config as configs
from avmodels.engine import weights
from avmodels.errors import ConfigError, DataError, WeightsError
from avmodels.tag_align import data, datasets, lists, miou, recipe, segment
from avmodels.tag_align.config import Alignment, Inference
from tests.models.tag_align.test_tag_align_networks import clip_of

CONFIGS = Path(recipe.__file__).parent / "configs"
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 60, 220)}
SMALL = (
    "model.towers=vit-tiny",
    "model.tags=3",
    "data.side=32",
    "data.policy=''",
    "optimiser.lr=0.02",
    "optimiser.final_lr=0.02",
    "training.epochs=2",
    "training.batch=4",
    "training.workers=0",
    "training.precision=fp32",
    "inference.data=[squares]",
)


def config(variant: str, *settings: str) -> Alignment:
    document = configs.override(configs.read_yaml(CONFIGS / f"{variant}.yaml"), settings)
    return configs.validate(document, Alignment, variant)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of a coloured square on grey, with captions, tags and label maps."""
    folder = tmp_path_factory.mktemp("pictures")
    rng, tags, rows = np.random.default_rng(0), {}, ["path,caption"]
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for number in range(12):
        tag = number % 3
        colour = list(COLOURS)[tag]
        picture, label = np.full((48, 64, 3), 128, np.uint8), np.zeros((48, 64), np.uint8)
        top, left = rng.integers(0, 24), rng.integers(0, 40)
        picture[top : top + 20, left : left + 20] = COLOURS[colour]
        label[top : top + 20, left : left + 20] = tag + 1
        Image.fromarray(picture).save(folder / f"images/{number}.png")
        Image.fromarray(label).save(folder / f"labels/{number}.png")
        tags[f"images/{number}.png"] = [tag]
        rows.append(f'images/{number}.png,"a {colour} square, on grey"')
    (folder / "captions.csv").write_text("\n".join(rows))
    (folder / "tags.json").write_text(json.dumps(tags))
    (folder / "tags.csv").write_text("object\n" + "\n".join(COLOURS))
    description = {
        "folder": ".",
        "image": "images/{id}.png",
        "label": "labels/{id}.png",
        "classes": ["background", *COLOURS],
        "background": True,
        "bounds": [128, 48],
    }
    (folder / "squares.json").write_text(json.dumps(description))
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of tiny towers under TagAlign's names."""
    path = tmp_path_factory.mktemp("clip") / "clip.safetensors"
    torch.manual_seed(0)
    weights.write(recipe.build(config("gated", *SMALL)).state_dict(), path, {"system": "tag-align"})
    return path


@pytest.mark.parametrize("variant", ["gated", "gated-v3", "transformer"])
def test_every_configuration_is_the_published_one(variant: str) -> None:
    how = config(variant)
    assert how.optimiser.lr * 512 * 8 / 256 == pytest.approx(1e-3)
    assert (how.model.tags, how.training.batch, how.optimiser.clip) == (10000, 512, 5.0)
    assert recipe.published_gmacs(how) == pytest.approx(103.9 if "gated" in variant else 93.76, rel=1e-3)


def test_training_and_measuring(pictures: Path, clip: Path, tmp_path: Path) -> None:
    how = config("gated", *SMALL)
    (tmp_path / "run").mkdir()
    metrics = recipe.train(how, pictures, tmp_path / "run", clip, resume=False)
    assert 0 <= metrics["squares"] <= 100
    before = weights.read(clip, "tag-align")
    after = weights.read(tmp_path / "run" / "model.safetensors", "tag-align")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    moved = {name for name in before if name.startswith(("projector.", "cl_loss", "ce_loss"))}
    assert changed == moved | {"label_embedding"}
    measured = recipe.evaluate(how, tmp_path / "run" / "model.safetensors", pictures, tmp_path / "results")
    assert measured == pytest.approx(metrics)
    by_class = json.loads((tmp_path / "results" / "squares.json").read_text())
    assert [word for word, _ in by_class] == ["background", *COLOURS]


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, BytesIO(content))


def test_pictures_in_tars(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(tmp_path / "00000.tar", "w") as archive:
        for number in (0, 1):
            add(archive, f"00000{number}.png", (pictures / f"images/{number}.png").read_bytes())
            add(archive, f"00000{number}.txt", f"picture {number}".encode())
            add(archive, f"00000{number}.json", json.dumps({"url": f"http://a/{number}.png"}).encode())
        add(archive, "000002.json", b"{")
        add(archive, "000004.png", b"")
        add(archive, "000004.json", b"[1]")
        add(archive, "sub.dir/000003.png", (pictures / "images/2.png").read_bytes())
        add(archive, "sub.dir/000003.txt", "ein Bild, ü".encode())
    whole = (tmp_path / "00000.tar").read_bytes()
    (tmp_path / "00003.tar").write_bytes(whole[:700])
    (tmp_path / "tags.json").write_text(json.dumps({"http://a/1.png": [2, 0], "sub.dir/000003.png": []}))
    pairs = lists.read_pairs([tmp_path], 3)
    assert pairs.captions == ["picture 1", "ein Bild, ü"]
    read = data.training_reader(pairs, config("gated", *SMALL).data)
    shown = Image.open(BytesIO(pairs.places[0].read()))
    assert np.array_equal(np.asarray(shown), np.asarray(Image.open(pictures / "images/1.png")))
    sample = read(0)[0]
    assert sample["image"].shape == (3, 32, 32)
    assert sample["present"].tolist() == [0, 2]
    assert read(1)[0]["present"].tolist() == [-1, -1]
    told = capsys.readouterr().err
    assert "2 samples of" in told and "missing: 2 tar files from 00000.tar to 00003.tar" in told
    assert "the rest of" in told


def test_captions_that_are_empty_or_too_long_are_counted(
    pictures: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").symlink_to(pictures / "images")
    captions = ["", " ", "🐈‍⬛ 黒い猫 on a wall", "a very red square " * 30, *["a square"] * 4]
    rows = [f"images/{number}.png,{caption}" for number, caption in enumerate(captions)]
    (tmp_path / "captions.csv").write_text("\n".join(["path,caption", *rows]), encoding="utf-8")
    (tmp_path / "tags.json").write_text(json.dumps({f"images/{number}.png": [0] for number in range(8)}))
    (tmp_path / "tags.csv").write_text("red\ngreen\nblue\n")
    (tmp_path / "run").mkdir()
    how = config("gated", *SMALL, "inference.data=[]", "training.epochs=1")
    recipe.train(how, tmp_path, tmp_path / "run", clip, resume=False)
    told = capsys.readouterr().err
    assert "2 of 8 captions are empty" in told and "1 of 8 captions are cut after 77 tokens" in told


def test_towers_learn_from_captions_and_start_a_projector(pictures: Path, tmp_path: Path) -> None:
    small = tuple(setting for setting in SMALL if "towers" not in setting)
    for name in ("clip", "run"):
        (tmp_path / name).mkdir()
    towers = zoo.load("tag-align", "tiny-clip", small)
    recipe.train(towers, pictures, tmp_path / "clip", None, resume=False)
    path = tmp_path / "clip" / "model.safetensors"
    learned = weights.read(path, "tag-align")
    assert not any(name.startswith("projector.") for name in learned)
    model = recipe.build(towers)
    recipe.load(model, towers, path)
    own = model.clip_image_encoder.clip_proj.state_dict()
    assert all(torch.equal(own[name], it) for name, it in model.projector.clip_proj.state_dict().items())
    assert 0 <= recipe.evaluate(towers, path, pictures, tmp_path)["squares"] <= 100
    recipe.train(zoo.load("tag-align", "tiny", small), pictures, tmp_path / "run", path, resume=False)
    with pytest.raises(ConfigError, match="leave --init out"):
        recipe.train(towers, pictures, tmp_path, path, resume=False)


@pytest.mark.slow
def test_a_tag_learned_as_an_attribute_segments_the_right_object(tmp_path: Path) -> None:
    toys.make("tag-align", tmp_path / "toy", 2000, 200)
    run.train("tag-align", zoo.load("tag-align", "tiny-clip"), tmp_path / "toy", tmp_path / "clip")
    towers = tmp_path / "clip" / "model.safetensors"
    found = {}
    for tags in (0, 1):
        how = zoo.load("tag-align", "tiny", (f"objectives.tags={tags}",))
        out = tmp_path / f"tags-{tags}"
        run.train("tag-align", how, tmp_path / "toy", out, towers)
        found[tags] = run.evaluate("tag-align", how, out / "model.safetensors", tmp_path / "toy", out)[
            "colours"
        ]
    assert found[1] > 60 and found[1] > found[0] + 20  # chance is 11


def test_training_needs_clip(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--init"):
        recipe.train(config("gated", *SMALL), pictures, tmp_path, None, resume=False)


def test_a_file_without_towers_is_refused(clip: Path, tmp_path: Path) -> None:
    how = config("gated", *SMALL)
    state = {k: v for k, v in weights.read(clip, "tag-align").items() if k.startswith("projector.")}
    weights.write(state, tmp_path / "projector.safetensors", {})
    with pytest.raises(WeightsError, match="holds no CLIP"):
        recipe.load(recipe.build(how), how, tmp_path / "projector.safetensors")


def test_an_untrained_transformer_is_not_used(clip: Path, tmp_path: Path) -> None:
    towers = {k: v for k, v in weights.read(clip, "tag-align").items() if not k.startswith("projector.")}
    path = tmp_path / "clip.safetensors"
    weights.write(clip_of(towers), path, {})
    how = config("transformer", *SMALL)
    with pytest.raises(WeightsError, match="train it first"):
        recipe.load(recipe.build(how), how, path)
    gated = config("gated", *SMALL)
    recipe.load(recipe.build(gated), gated, path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cat\ndog\n", ["cat", "dog"]),
        ("word\ncat\ndog\n", ["cat", "dog"]),
        ("1,cat\n0,dog\n", ["dog", "cat"]),
        ("word,count\ncat,71\ndog,40\n", ["cat", "dog"]),
    ],
)
def test_tag_lists_of_every_form(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "tags.csv"
    path.write_text(text)
    assert lists.tag_words(path, 2) == words


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("cat\ncat\n", "'cat' stands there 2 times"),
        ("cat\n", "has 1 words, the model 2 tags"),
        ("1\n0\n", "no column of words"),
        ("a,b,c\nd,e,f\n", "one or two columns"),
    ],
)
def test_tag_lists_that_cannot_be_used(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "tags.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=fault):
        lists.tag_words(path, 2)


@pytest.mark.parametrize(
    ("index", "fault"),
    [("{", "cannot read"), ("[]", "not the tags"), ('{"a": [9]}', "from 0 to 2"), ('{"a": 1}', "a")],
)
def test_tags_that_cannot_be_used(tmp_path: Path, index: str, fault: str) -> None:
    (tmp_path / "tags.json").write_text(index)
    with pytest.raises(DataError, match=fault):
        lists.read_tags(tmp_path / "tags.json", 3)


def test_published_data_sets_have_their_classes() -> None:
    sizes = {name: len(found.classes) for name, found in datasets.published().items()}
    assert sizes == {
        "voc": 21, "voc20": 20, "context": 60, "context59": 59, "coco-object": 81, "coco-stuff": 171,
        "cityscapes": 19, "ade20k": 150, "imagenets50": 51, "imagenets300": 301, "imagenets919": 920,
    }  # fmt: skip
    later = datasets.protocol(Inference(protocol="v3"), datasets.published()["context59"])
    assert (later.form, later.scale, later.clip, later.stride) == ("softmax", 30.0, 0.5, (112, 112))
    assert datasets.protocol(Inference(clip=0.0), datasets.published()["voc"]).clip == 0


def label_of(folder: Path, pixels: Any, mode: str | None, name: str) -> list[list[int]]:
    path = folder / "label.png"
    Image.fromarray(np.array(pixels, np.uint8), mode).save(path)
    return datasets.read_label(path, datasets.published()[name]).tolist()


def test_label_maps_are_read_as_each_data_set_means_them(tmp_path: Path) -> None:
    assert label_of(tmp_path, [[0, 1, 255]], None, "voc") == [[0, 1, 255]]
    assert label_of(tmp_path, [[0, 1, 255]], None, "ade20k") == [[255, 0, 255]]
    assert label_of(tmp_path, [[0, 89, 11, 255, 120]], None, "coco-object") == [[1, 80, 0, 0, 0]]
    assert label_of(tmp_path, [[[2, 1, 0], [232, 3, 0]]], None, "imagenets300") == [[258, 1000]]


def test_files_are_found_in_the_published_folders(tmp_path: Path) -> None:
    for path in ("leftImg8bit/val/bonn/b_1_leftImg8bit.png", "leftImg8bit/val/aachen/a_1_leftImg8bit.png"):
        (tmp_path / "cityscapes" / path).parent.mkdir(parents=True)
        (tmp_path / "cityscapes" / path).touch()
    found = datasets.listing(datasets.published()["cityscapes"], tmp_path)
    below = [label.relative_to(tmp_path / "cityscapes").as_posix() for _, label in found]
    assert below == [
        "gtFine/val/aachen/a_1_gtFine_labelTrainIds.png",
        "gtFine/val/bonn/b_1_gtFine_labelTrainIds.png",
    ]
    with pytest.raises(DataError, match="no list of pictures"):
        datasets.listing(datasets.published()["voc"], tmp_path)
    with pytest.raises(ConfigError, match="'vok'"):
        datasets.find("vok", tmp_path)


def test_a_broken_picture_is_counted_and_too_many_stop(
    pictures: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).symlink_to(pictures / name)
    description = json.loads((pictures / "squares.json").read_text())
    (tmp_path / "list.txt").write_text("0\n1\n99\n")
    (tmp_path / "squares.json").write_text(json.dumps(description | {"split": "list.txt"}))
    how = config("gated", *SMALL, "training.max_unreadable=0.5")
    metrics = recipe.evaluate(how, clip, tmp_path, tmp_path / "results")
    assert metrics["unreadable"] == 1
    assert "99.png" in capsys.readouterr().err
    strict = config("gated", *SMALL, "training.max_unreadable=0")
    with pytest.raises(DataError, match="1 of 3 held-out"):
        recipe.evaluate(strict, clip, tmp_path, tmp_path / "results")


def test_labels_of_no_class_count_as_missed() -> None:
    found = miou.areas(np.array([[0, 1, 1, 0]]), np.array([[0, 1, 7, 255]]), classes=2)
    assert [areas.tolist() for areas in found] == [[1, 1], [1, 2], [1, 2], [1, 1]]


def test_windows_cover_every_pixel() -> None:
    for height, width in ((448, 448), (200, 1200), (448, 597), (700, 449)):
        cover = np.zeros((height, width), int)
        for top, left, bottom, right in segment.windows(height, width, (448, 448), (224, 224)):
            cover[top:bottom, left:right] += 1
        assert cover.min() >= 1


@torch.no_grad()
def test_a_refined_mask_keeps_its_size() -> None:
    torch.manual_seed(3)
    model = recipe.build(config("gated", *SMALL)).eval()
    how = segment.Protocol(crop=(32, 32), stride=(16, 16), refine=True)
    image, words = torch.randn(3, 32, 48), torch.randn(4, 64)
    found = segment.segment(model, image, words, how, (30, 50), background=True)
    assert found.shape == (30, 50)
    assert 0 <= int(found.min()) <= int(found.max()) <= 4
