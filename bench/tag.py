"""How fast TagAlign segments, and that being fast changes nothing: `python bench/tag.py [--json FILE]`.

Every speed is a ratio of two ways measured in turn in the same run on one thread, the least processor time of some
rounds of each; the published ways are said again here as their authors wrote them. `--claim FOLDER` trains the tiny
recipes instead, with and without tags, for some seeds: what the tags are good for.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from avmodels import run, zoo
from avmodels.data import toy
from avmodels.engine import processes
from avmodels.nn.clip_tokens import tokenize
from avmodels.tag_align import datasets, evaluation, miou, pictures, segment
from avmodels.tag_align.model import TagAlign
from avmodels.tag_align.prompts import embed_words, templates
from avmodels.tag_align.tower import DUAL_BLOCKS, ImageTower

ROUNDS = 3
SEEDS = (0, 1, 2)
# Names of a vocabulary whose prompts are timed, and photographs of scikit-image that are segmented.
WORDS = 48
PHOTOS = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png", "ihc.png")


def published_tower(tower: ImageTower, image: Tensor) -> Tensor:
    """The dense tower as published: both paths of every block in full, each with its matrix of all pairs."""
    x = tower.ln_pre(tower.embed(image))
    for block in tower.transformer.blocks[:-DUAL_BLOCKS]:
        x = block(x)
    new = original = x
    for block in tower.transformer.blocks[-DUAL_BLOCKS:]:
        y = block.ln_1(original)
        packed = F.linear(y, block.attn.in_proj_weight, block.attn.in_proj_bias)
        q, k, v = packed.unflatten(-1, (3, -1, 64)).permute(2, 0, 3, 1, 4)
        mixed = ((q @ k.transpose(-2, -1)) * 64**-0.5).softmax(-1) @ v
        values = ((v @ v.transpose(-2, -1)) * 64**-0.5).softmax(-1) @ v
        a, b = (block.attn.out_proj(part.transpose(1, 2).flatten(2)) for part in (values, mixed))
        new, original = new + a, original + b
        original = original + block.mlp(block.ln_2(original))
    return torch.cat([original[:, :1], new[:, 1:]], dim=1)


def published_masks(model: TagAlign, image: Tensor, words: Tensor, how: segment.Protocol) -> Tensor:
    """The scores of one picture (1, 3, H, W) as published: window by window, each padded to the whole picture."""
    height, width = image.shape[2:]
    total = image.new_zeros(1, len(words), height, width)
    cover = image.new_zeros(1, 1, height, width)
    for top, left, bottom, right in segment.windows(height, width, how.crop, how.stride):
        cut = image[:, :, top:bottom, left:right]
        high, wide = cut.shape[2] // 16, cut.shape[3] // 16
        patches = published_tower(model.clip_image_encoder.clip_visual, cut)[:, 1:].unflatten(1, (high, wide))
        ours = segment.scores(segment.cosines(model.projector(patches), words), how)
        clip = segment.scores(segment.cosines(model.clip_image_encoder.clip_proj(patches), words), how)
        maps = segment.resize((1 - how.clip) * ours + how.clip * clip, bottom - top, right - left)
        total += F.pad(maps, (left, width - right, top, height - bottom))
        cover[:, :, top:bottom, left:right] += 1
    return total / cover


def published_areas(prediction: np.ndarray, label: np.ndarray, classes: int) -> Tensor:
    """Intersection, union, prediction and label as mmsegmentation counts them: by histograms of floats."""
    found, truth = torch.from_numpy(prediction), torch.from_numpy(label)
    found, truth = found[truth != miou.IGNORED], truth[truth != miou.IGNORED]
    parts = (found[found == truth], found, truth)
    both, predicted, labelled = (
        torch.histc(it.float(), bins=classes, min=0, max=classes - 1) for it in parts
    )
    return torch.stack([both, predicted + labelled - both, predicted, labelled])


def best_of(ways: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """The least processor seconds of each way, taken in turn so that a busy machine bothers all alike."""
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            way()
            seconds[name] = min(seconds[name], time.process_time() - began)
    return seconds


@torch.inference_mode()
def tower(model: TagAlign) -> dict[str, float]:
    """A window of 448 x 448 pixels through ViT-B/16 with surgery, fp32 and bf16."""
    image, own = torch.randn(1, 3, 448, 448), model.clip_image_encoder.clip_visual

    def bf16() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return own(image).float()

    seconds = best_of(
        {"published": lambda: published_tower(own, image), "fp32": lambda: own(image), "bf16": bf16}
    )
    exact = published_tower(own, image)
    return {
        "speedup_fp32": seconds["published"] / seconds["fp32"],
        "speedup_bf16": seconds["published"] / seconds["bf16"],
        "largest_difference_fp32": (own(image) - exact).abs().max().item(),
        "cosine_bf16": torch.cosine_similarity(bf16(), exact, dim=-1).min().item(),
    }


@torch.inference_mode()
def prompts(model: TagAlign) -> dict[str, float]:
    """The names of a vocabulary as sentences, padded to 77 tokens as published, and cut where the longest ends."""
    words = datasets.published()["coco-stuff"].words[:WORDS]
    sentences = [form.format(word) for word in words for form in templates("simple")]
    encoder = model.clip_text_encoder
    ways = {
        "published": lambda: encoder(tokenize(sentences)),
        "ours": lambda: embed_words(encoder, words, "simple"),
    }
    seconds = best_of(ways, 2)
    difference = (ways["published"]() - ways["ours"]()).abs().max().item()
    return {"speedup": seconds["published"] / seconds["ours"], "largest_difference": difference}


@torch.inference_mode()
def segmentation(model: TagAlign) -> dict[str, float]:
    """Photographs of 480 x 640 pixels by the 171 names of COCO-Stuff, from files to mean intersection over union:
    as published, and by our evaluation; without the names' embeddings, which are made once a data set (see prompts)."""
    settings = ("inference.data=[photos]", "training.workers=0")
    published = datasets.published()["coco-stuff"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        described = {"folder": ".", "image": "{id}.jpg", "label": "{id}.png", "background": False}
        (root / "photos.json").write_text(json.dumps(described | {"classes": published.classes}))
        draw = np.random.default_rng(0)
        for number, name in enumerate(PHOTOS):
            with files("skimage.data").joinpath(name).open("rb") as file:
                Image.open(file).convert("RGB").resize((640, 480)).save(root / f"{number}.jpg")
            coarse = draw.integers(0, len(published.classes), (6, 8)).astype(np.uint8)
            label = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_NEAREST)
            Image.fromarray(label).save(root / f"{number}.png")
        data = datasets.find("photos", root)

        how = datasets.protocol(zoo.load("tag-align", "gated", settings).inference, data)
        words = embed_words(model.clip_text_encoder, data.words, "simple")

        def theirs() -> Tensor:
            found = torch.zeros(4, len(data.classes))
            for path, label_path in datasets.listing(data, root):
                picture, label = datasets.read_picture(path), datasets.read_label(label_path, data)
                image = pictures.normalised(pictures.fit(picture, data.bounds))[None]
                maps = segment.resize(published_masks(model, image, words, how), *label.shape)
                prediction = maps.softmax(1).argmax(1)[0].numpy()
                found += published_areas(prediction, label, len(data.classes))
            return found

        def ours(precision: str) -> Tensor:
            config = zoo.load("tag-align", "gated", (*settings, f"training.precision={precision}"))
            here = processes.accelerator(precision)
            areas, _ = evaluation.areas_of(model, data, root, config, here)
            return torch.from_numpy(np.stack(areas)).float()

        began = time.process_time()
        expected = theirs()
        seconds = {"published": time.process_time() - began}
        for precision in ("fp32", "bf16"):
            began = time.process_time()
            found = ours(precision)
            ended = time.process_time()
            embed_words(model.clip_text_encoder, data.words, "simple")  # as areas_of does first
            seconds[precision] = ended - began - (time.process_time() - ended)
            seconds[f"other_{precision}"] = (
                (found[2] - expected[2]).abs().sum().item() / 2 / 480 / 640 / len(PHOTOS)
            )
    return {
        "speedup_fp32": seconds["published"] / seconds["fp32"],
        "speedup_bf16": seconds["published"] / seconds["bf16"],
        "share_of_pixels_of_another_class_fp32": seconds["other_fp32"],
        "share_of_pixels_of_another_class_bf16": seconds["other_bf16"],
    }


def claim(folder: Path) -> dict[str, dict[str, float]]:
    """Mean intersection over union of the colours of held-out combinations: by CLIP alone, by a projector trained
    on captions, and by one trained on captions and tags; mean and least of the seeds."""
    data = folder / "toy"
    if not data.exists():
        toy.make("tag-align", data, 2000, 200)
    found: dict[str, list[float]] = {"clip": [], "captions": [], "captions and tags": []}
    for seed in SEEDS:
        clip = folder / f"clip-{seed}"
        own = (f"training.seed={seed}",)
        run.train("tag-align", config := zoo.load("tag-align", "tiny-clip", own), data, clip)
        weights = clip / "model.safetensors"
        found["clip"].append(run.evaluate("tag-align", config, weights, data, clip)["colours"])
        for name, share in (("captions", 0), ("captions and tags", 1)):
            out = folder / f"{name.replace(' ', '-')}-{seed}"
            how = zoo.load("tag-align", "tiny", (*own, f"objectives.tags={share}"))
            run.train("tag-align", how, data, out, weights)
            measured = run.evaluate("tag-align", how, out / "model.safetensors", data, out)
            found[name].append(measured["colours"])
    return {
        name: {"mean": float(np.mean(it)), "least": min(it), "most": max(it)} for name, it in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--claim", type=Path, metavar="FOLDER", help="train the tiny recipes here instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.claim:
        results = claim(options.claim)
    else:
        torch.manual_seed(0)
        model = zoo.create("tag-align/gated", settings=("model.tags=1",))
        results = {part.__name__: part(model) for part in (tower, prompts, segmentation)}
    for part, numbers in results.items():
        for name, number in numbers.items():
            print(f"{part + ' ' + name:60} {number:.4g}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
