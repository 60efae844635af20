"""Images of every mode and layout, and what is said of those that cannot be used."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from avmodels.data import imagenet, images, toy_images
from avmodels.data.clips import UnreadableError
from avmodels.data.images import Picture
from avmodels.data.samples import Order, Samples, collate
from avmodels.errors import DataError

CLASSES = len(toy_images.SHAPES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folders")
    toy_images.make(folder, 32, 16)
    return folder


def pixels(pictures: list[Picture]) -> list[tuple[bytes, int]]:
    return sorted((images.read(picture).tobytes(), picture.label) for picture in pictures)


def tarred(folders: Path, root: Path, part: str, count: int) -> None:
    """The images of a part as webdataset tars, every second class in a JSON."""
    pictures = images.labelled(folders / part)
    for shard in range(count):
        with tarfile.open(root / f"toy-{part}-{shard:04}.tar", "w") as archive:
            for number, picture in list(enumerate(pictures))[shard::count]:
                label = str(picture.label).encode()
                text = json.dumps({"label": picture.label}).encode()
                members = {"png": picture.bytes(), **({"json": text} if number % 2 else {"cls": label})}
                for kind, data in members.items():
                    info = tarfile.TarInfo(f"{number:06}.{kind}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))


def test_every_layout_gives_the_same_images_and_classes(folders: Path, tmp_path: Path) -> None:
    expected = pixels(imagenet.labelled(folders, "train", CLASSES))
    assert len(expected) == 32 and len({label for _, label in expected}) == CLASSES
    (tmp_path / "tars").mkdir()
    tarred(folders, tmp_path / "tars", "train", 3)
    assert pixels(imagenet.labelled(tmp_path / "tars", "train", CLASSES)) == expected
    lines = []
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        for number, picture in enumerate(images.labelled(folders / "train")):
            name = f"{picture.label}/{picture.path.name}"
            packing = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
            archive.write(picture.path, name, packing)
            lines.append(f"{name}\t{picture.label}\n")
    (tmp_path / "train_map.txt").write_text("".join(lines))
    assert pixels(imagenet.labelled(tmp_path, "train", CLASSES)) == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_and_workers_share_the_shards_without_doubles(
    folders: Path, tmp_path: Path, workers: int
) -> None:
    tarred(folders, tmp_path, "train", 3)
    pictures = imagenet.labelled(tmp_path, "train", CLASSES)
    samples = Samples(pictures, lambda picture: [{"label": picture.label}])
    seen = []
    for process in range(2):
        order = Order(len(pictures), 4, 0, 0, 4, process, 2)
        for batch in DataLoader(samples, batch_sampler=order, collate_fn=collate, num_workers=workers):
            seen += batch["clips"]
    assert sorted(seen) == list(range(32))


def test_a_broken_tar_gives_what_stands_before_the_break(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tarred(folders, tmp_path, "train", 1)
    path = tmp_path / "toy-train-0000.tar"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100])
    assert 8 < len(imagenet.labelled(tmp_path, "train", CLASSES)) < 24
    assert str(path) in capsys.readouterr().err


def test_what_does_not_fit_is_said(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train has 8 folders of classes, the network 1000"):
        imagenet.labelled(folders, "train", 1000)
    with pytest.raises(DataError, match="holds neither test"):
        imagenet.labelled(folders, "test", CLASSES)
    tarred(folders, tmp_path, "train", 1)
    with pytest.raises(DataError, match=r"toy-train-0000.tar:0000\d\d.png: class 3, but the network has 3"):
        imagenet.labelled(tmp_path, "train", 3)
    zipfile.ZipFile(tmp_path / "val.zip", "w").close()
    (tmp_path / "val_map.txt").write_text("a.png\t0\n")
    with pytest.raises(DataError, match=r"val_map.txt:1: .* is not a member of val.zip"):
        imagenet.labelled(tmp_path, "val", CLASSES)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_every_mode_is_read(tmp_path: Path, mode: str, kind: str) -> None:
    if (mode, kind) == ("CMYK", "png"):
        kind = "jpg"
    grey = np.tile(np.linspace(0, 255, 32).astype(np.uint8)[:, None], (1, 20))
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(grey).convert("RGB").convert(mode)
    image.save(tmp_path / f"it.{kind}")
    got = images.read(Picture(tmp_path / f"it.{kind}"))
    assert (got.mode, got.size) == ("RGB", (20, 32))
    assert np.abs(np.asarray(got)[..., 0].mean() - grey.mean()) < 6


def test_a_turned_image_is_upright(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((10, 30, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "it.jpg", exif=exif)
    assert images.read(Picture(tmp_path / "it.jpg")).size == (10, 30)


def test_what_cannot_be_read_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(whole)
    (tmp_path / "short.png").write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "text.png").write_text("no image")
    for name in ("short.png", "text.png", "missing.png"):
        with pytest.raises(UnreadableError, match=rf"{name} cannot be read as an image: \S.*") as caught:
            images.read(Picture(tmp_path / name))
        assert "\n" not in str(caught.value)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadableError, match="bomb"):
        images.read(Picture(whole))


def test_toy_images_are_the_same_every_time_and_held_out(folders: Path, tmp_path: Path) -> None:
    toy_images.make(tmp_path, 32, 16)
    train, held_out = (pixels(images.found(tmp_path / part)) for part in ("train", "val"))
    assert train == pixels(images.found(folders / "train"))
    assert not set(train) & set(held_out)
